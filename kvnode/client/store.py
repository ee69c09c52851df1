"""
The data methods, the same for a client and for a session of it.

Each builds one operation and awaits one result.  Reads take `stale_ok` (answer at
once, from what the node has, S2) and `max_staleness` (seconds behind every origin
at most, S3); writes take `w` and `w_each_region` (who must have it before the
reply, S4); all take `deadline` in seconds, by default the client's.

Every method raises kvnode.errors.KvError; its `outcome` says whether the operation
may have happened.
"""

from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Any, Protocol

from kvnode._pb import kv_pb2
from kvnode.client.arguments import (
    deadline_seconds,
    key_bytes,
    page_limit,
    prefix_bytes,
    set_read_options,
    set_write_options,
)
from kvnode.client.batch import (
    Delete,
    Get,
    Put,
    Step,
    fill_batch,
    fill_delete,
    fill_put,
)
from kvnode.client.documents import DocumentHandle
from kvnode.client.handles import CounterHandle, SetHandle
from kvnode.client.replies import (
    conflict_page_of,
    page_of,
    value_of,
    write_result_of,
)
from kvnode.client.session_token import Token
from kvnode.client.values import (
    BatchResults,
    ConflictPage,
    Item,
    JsonValue,
    Key,
    Page,
    Value,
    WriteResult,
)
from kvnode.limits import LIST_PAGE_MAX
from kvnode.types import DEFAULT_NAMESPACE


class SessionReply(Protocol):
    """A reply that carries a session token."""

    @property
    def session(self) -> bytes:
        """The token, empty if none was asked for."""


class Dispatching(Protocol):
    """The road to the nodes; kvnode.client.dispatcher has the one over gRPC."""

    async def run(
        self,
        operation: kv_pb2.Operation,
        options: kv_pb2.Options | None,
        *,
        expect: str,
        writes: bool,
        deadline: float,
    ) -> kv_pb2.OperationResult:
        """Send *operation* until it is answered, or must be given up."""


class Store:
    """Data methods on one namespace, with or without a session."""

    def __init__(self, namespace: str, deadline: float, token: Token | None) -> None:
        self._namespace = namespace
        self._wire_namespace = "" if namespace == DEFAULT_NAMESPACE else namespace
        self._deadline = deadline_seconds(deadline)
        self._token = token

    def _dispatcher(self) -> Dispatching:
        """Return the road to the nodes."""
        raise NotImplementedError

    async def get(
        self,
        key: Key,
        *,
        stale_ok: bool = False,
        max_staleness: float | None = None,
        deadline: float | None = None,
    ) -> Value | None:
        """Read *key*; None if it is absent, deleted or expired."""
        operation = kv_pb2.Operation()
        request = operation.get
        request.key = key_bytes(key)
        if self._wire_namespace:
            request.namespace = self._wire_namespace
        options = request.options
        if stale_ok or max_staleness is not None:
            set_read_options(options, stale_ok=stale_ok, max_staleness=max_staleness)
        result = await self.run_operation(
            operation, options, "get", deadline, writes=False
        )
        return value_of(result.get)

    async def put(  # noqa: PLR0913 - one argument for each field of the request
        self,
        key: Key,
        value: bytes | str,
        *,
        metadata: JsonValue = None,
        ttl: float | None = None,
        expires_at: float | None = None,
        if_absent: bool = False,
        if_version: str | None = None,
        w: int = 1,
        w_each_region: bool = False,
        deadline: float | None = None,
    ) -> WriteResult:
        """
        Store *value* under *key*.

        Args:
            key: 1 to 512 bytes.
            value: At most 25 MiB; a str is stored as UTF-8.
            metadata: At most 1,024 bytes as JSON.
            ttl: Seconds until it expires, >= 0.001.
            expires_at: When it expires, in seconds since 1970; not with *ttl*.
            if_absent: Only if the replica asked has no value.
            if_version: Only if the replica asked has this version.
            w: Replicas that must have it before the reply, >= 1.
            w_each_region: One replica in every region, instead of *w*.
            deadline: Seconds, >= 0.001.
        """
        operation = kv_pb2.Operation()
        request = operation.put
        put = Put(key, value, metadata, ttl, expires_at, if_absent, if_version)
        fill_put(request, put, namespace=self._wire_namespace)
        options = request.options
        set_write_options(options, w=w, w_each_region=w_each_region)
        result = await self.run_operation(
            operation, options, "write", deadline, writes=True
        )
        return write_result_of(result.write)

    async def delete(
        self,
        key: Key,
        *,
        if_version: str | None = None,
        w: int = 1,
        w_each_region: bool = False,
        deadline: float | None = None,
    ) -> WriteResult:
        """Remove *key*; that it was absent already is no error."""
        operation = kv_pb2.Operation()
        request = operation.delete
        delete = Delete(key, if_version)
        fill_delete(request, delete, namespace=self._wire_namespace)
        options = request.options
        set_write_options(options, w=w, w_each_region=w_each_region)
        result = await self.run_operation(
            operation, options, "write", deadline, writes=True
        )
        return write_result_of(result.write)

    async def list(  # noqa: PLR0913 - one argument for each field of the request
        self,
        prefix: Key = b"",
        *,
        limit: int = LIST_PAGE_MAX,
        cursor: bytes = b"",
        values: bool = False,
        stale_ok: bool = False,
        max_staleness: float | None = None,
        deadline: float | None = None,
    ) -> Page:
        """Return a page of at most *limit* keys with *prefix*, after *cursor*."""
        operation = kv_pb2.Operation()
        request = operation.list
        request.namespace = self._wire_namespace
        request.prefix = prefix_bytes(prefix)
        request.limit = page_limit(limit)
        request.cursor = cursor
        request.with_values = values
        options = request.options
        set_read_options(options, stale_ok=stale_ok, max_staleness=max_staleness)
        result = await self.run_operation(
            operation, options, "list", deadline, writes=False
        )
        return page_of(result.list, values=values)

    async def scan(
        self,
        prefix: Key = b"",
        *,
        values: bool = False,
        stale_ok: bool = False,
        max_staleness: float | None = None,
        deadline: float | None = None,
    ) -> AsyncGenerator[Item, None]:
        """
        Yield all keys with *prefix* in order, page by page.

        Each page is a read of its own, with *deadline* for itself; what is written
        meanwhile may or may not be seen.
        """
        cursor = b""
        while True:
            page = await self.list(
                prefix,
                cursor=cursor,
                values=values,
                stale_ok=stale_ok,
                max_staleness=max_staleness,
                deadline=deadline,
            )
            for item in page.items:
                yield item
            if page.complete:
                return
            cursor = page.cursor

    async def batch(
        self,
        steps: Sequence[Step],
        *,
        w: int = 1,
        w_each_region: bool = False,
        deadline: float | None = None,
    ) -> BatchResults:
        """
        Do 1 to 10,000 *steps* in order, in one transaction at the node asked.

        Other replicas may see the parts one by one.  Gets read what was stored
        before the batch.
        """
        operation = kv_pb2.Operation()
        request = operation.batch
        fill_batch(request, steps, namespace=self._wire_namespace)
        writes = not all(isinstance(step, Get) for step in steps)
        options = request.options
        set_write_options(options, w=w, w_each_region=w_each_region)
        result = await self.run_operation(
            operation, options, "batch", deadline, writes=writes
        )
        return [
            value_of(one.get) if one.HasField("get") else write_result_of(one.write)
            for one in result.batch.results
        ]

    async def conflicts(
        self,
        key: Key | None = None,
        *,
        limit: int = LIST_PAGE_MAX,
        cursor: bytes = b"",
        deadline: float | None = None,
    ) -> ConflictPage:
        """Return what lost against concurrent writes of *key*, or of all keys (R4)."""
        operation = kv_pb2.Operation()
        request = operation.conflicts
        request.namespace = self._wire_namespace
        request.limit = page_limit(limit)
        request.cursor = cursor
        if key is not None:
            request.key = key_bytes(key)
        result = await self.run_operation(
            operation, None, "conflicts", deadline, writes=False
        )
        return conflict_page_of(result.conflicts)

    def counter(self, key: Key) -> CounterHandle:
        """Return a handle on the counter under *key*; nothing is sent yet."""
        return CounterHandle(self, self._wire_namespace, key)

    def set(self, key: Key) -> SetHandle:
        """Return a handle on the set under *key*; nothing is sent yet."""
        return SetHandle(self, self._wire_namespace, key)

    def document(self, key: Key) -> DocumentHandle:
        """Return a handle on the document under *key*; nothing is sent yet."""
        return DocumentHandle(self, self._wire_namespace, key)

    def run_operation(
        self,
        operation: kv_pb2.Operation,
        options: kv_pb2.Options | None,
        expect: str,
        deadline: float | None,
        *,
        writes: bool,
    ) -> Coroutine[Any, Any, kv_pb2.OperationResult]:
        """
        Do *operation*, within the session if there is one.

        For this package's handles; its arguments are protobuf, so it may change.
        """
        seconds = self._deadline if deadline is None else deadline_seconds(deadline)
        dispatcher = self._dispatcher()
        if self._token is None or options is None:
            return dispatcher.run(
                operation, options, expect=expect, writes=writes, deadline=seconds
            )
        token, carried = self._token, self._token.current
        options.session = carried
        options.want_session = True

        async def run_in_session() -> kv_pb2.OperationResult:
            result = await dispatcher.run(
                operation, options, expect=expect, writes=writes, deadline=seconds
            )
            reply: SessionReply = getattr(result, expect)
            token.adopt(reply.session, carried=carried)
            return result

        return run_in_session()
