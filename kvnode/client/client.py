"""
The asynchronous client.

    async with Client("127.0.0.1:7400", "127.0.0.1:7401") as client:
        await client.put("flags/new-ui", "on", ttl=3600.0)
        value = await client.get("flags/new-ui")

Concurrent calls share frames (kvnode.client.batching), so the way to more
throughput is more calls at once, from as many tasks as you like.
"""

from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Self

import grpc

from kvnode._pb import kv_pb2, objects_pb2
from kvnode.client.admin import AdminStore
from kvnode.client.arguments import deadline_seconds, prefix_bytes
from kvnode.client.dispatcher import Dispatcher
from kvnode.client.object_dispatcher import (
    LEAD,
    MOVE,
    REPLACE_VOTER,
    SHARDS,
    STATUS,
    ObjectDispatcher,
)
from kvnode.client.object_status import ObjectsStatus, objects_status_of
from kvnode.client.object_storage import STORAGE_CLASS, StorageHandle
from kvnode.client.objects import ObjectHandle, target_of
from kvnode.client.session import Session
from kvnode.client.shards import ShardsOverview, overview_of
from kvnode.client.values import Changes, Key
from kvnode.client.watch import watch
from kvnode.errors import InvalidArgumentError, UnavailableError
from kvnode.types import DEFAULT_NAMESPACE

DEADLINE_SECONDS = 5.0
"""How long a call may take in all, unless it says otherwise."""


class Client(AdminStore):
    """
    Speaks to one of several nodes, from one event loop.

    It connects when it is first used, and `async with` closes it.

    Args:
        addresses: `host:port` of at least one node, the preferred one first.
        namespace: The one that all data methods work in.
        deadline: Seconds that a call may take in all, >= 0.001.
        credentials: For TLS; None for none.
        direct: Whether calls of objects may go over plain TCP; None: unless something
            is between the client and the node, such as a proxy or a mapped port.  True
            is for a port beside that is mapped as it is (`objects_calls_port`).

    Raises:
        InvalidArgumentError: An argument is out of range.
    """

    def __init__(
        self,
        *addresses: str,
        namespace: str = DEFAULT_NAMESPACE,
        deadline: float = DEADLINE_SECONDS,
        credentials: grpc.ChannelCredentials | None = None,
        direct: bool | None = None,
    ) -> None:
        super().__init__(namespace, deadline, token=None)
        if not addresses or not all(addresses):
            msg = f"a client needs the host:port of a node or more, not {addresses}"
            raise InvalidArgumentError(msg)
        self._addresses = addresses
        self._credentials = credentials
        self._direct = direct
        self._own_dispatcher: Dispatcher | None = None
        self._own_object_dispatcher: ObjectDispatcher | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Bind to the running event loop; nothing is sent yet."""
        self._dispatcher()

    async def close(self) -> None:
        """
        Close all connections; calls under way fail, and later ones too.

        A write under way ends with ConnectionLostError: it may have happened.
        """
        self._closed = True
        if self._own_dispatcher is not None:
            await self._own_dispatcher.close()
        if self._own_object_dispatcher is not None:
            await self._own_object_dispatcher.close()

    def session(self, token: bytes = b"") -> Session:
        """
        Return a session that has seen what *token* stands for, or nothing yet.

        Raises:
            InvalidArgumentError: *token* is no session token.
        """
        return Session(self._dispatcher(), self._namespace, self._deadline, token)

    def watch(
        self,
        prefix: Key = b"",
        *,
        resume_token: bytes = b"",
        from_start: bool = False,
        conflicts: bool = False,
    ) -> AsyncGenerator[Changes, None]:
        """
        Yield changes of keys with *prefix*, across failures, until stopped.

        The first step, which may be empty, says that the watch stands.

        Args:
            prefix: At most 512 bytes; empty for all keys.
            resume_token: Of a step of an earlier watch, from any node; empty to
                begin now.
            from_start: Begin with all that is there.
            conflicts: Report conflicts as the node notices them (R4).

        Raises:
            RejectedError: The node says that no such watch can be.
            UnavailableError: The client was closed.
        """
        request = kv_pb2.WatchRequest(
            namespace=self._wire_namespace,
            prefix=prefix_bytes(prefix),
            resume_token=resume_token,
            from_start=from_start,
            conflicts=conflicts,
        )
        return watch(self._dispatcher(), request)

    def object(
        self,
        class_name: str,
        name: str = "",
        *,
        id: str = "",  # noqa: A002 -- what users call it
        location_hint: str = "",
    ) -> ObjectHandle:
        """
        Return a handle on an object; nothing is sent yet.

        Args:
            class_name: Its class, which a node must serve.
            name: 1 to 1,024 bytes of UTF-8; an object is there once it is called.
            id: Instead of a name: 64 hex digits.
            location_hint: The region in which it is to live, if a call is the first
                that is heard of it; one that has a home stays there.

        Raises:
            InvalidArgumentError: Neither name nor id is given, or both are.
        """
        return ObjectHandle(
            self._object_dispatcher,
            target_of(class_name, name, id),
            deadline=self._deadline,
            location_hint=location_hint,
        )

    def storage(self, name: str, *, location_hint: str = "") -> StorageHandle:
        """
        Return a handle on a map with strong consistency; nothing is sent yet.

        Args:
            name: What it is called.
            location_hint: See `object`.

        Raises:
            InvalidArgumentError: *name* is empty.
        """
        target = target_of(STORAGE_CLASS, name, "")
        reading, writing = (
            ObjectHandle(
                self._object_dispatcher,
                target,
                deadline=self._deadline,
                location_hint=location_hint,
                writes=writes,
            )
            for writes in (False, True)
        )
        return StorageHandle(reading, writing)

    async def objects_status(self, *, deadline: float | None = None) -> ObjectsStatus:
        """Return what the node says of the objects that it serves."""
        reply = await self._object_dispatcher().unary_call(
            STATUS,
            objects_pb2.ObjectsStatusRequest(),
            writes=False,
            deadline=self._seconds(deadline),
        )
        return objects_status_of(reply)

    async def shards(self, *, deadline: float | None = None) -> ShardsOverview:
        """Return who keeps the objects, as far as the node knows."""
        reply = await self._object_dispatcher().unary_call(
            SHARDS,
            objects_pb2.ShardsRequest(),
            writes=False,
            deadline=self._seconds(deadline),
        )
        return overview_of(reply)

    async def move_shard(
        self, shard: str, nodes: Sequence[str], *, deadline: float | None = None
    ) -> None:
        """
        Let *nodes* keep *shard*; return when they do.

        Args:
            shard: Its name.
            nodes: The names of 1 to 7 nodes; an odd number is best.
            deadline: Seconds; it goes on after that.

        Raises:
            InvalidArgumentError: There is no such shard or node.
            IndeterminateError: It may have happened: ask again to finish it.
        """
        await self._object_dispatcher().unary_call(
            MOVE,
            objects_pb2.MoveShardRequest(shard=shard, nodes=nodes),
            writes=True,
            deadline=self._seconds(deadline),
        )

    async def lead_shard(self, shard: str, *, deadline: float | None = None) -> None:
        """
        Let the node that is asked lead *shard*, which it keeps.

        Raises:
            RejectedError: It does not keep it.
        """
        await self._object_dispatcher().unary_call(
            LEAD,
            objects_pb2.LeadShardRequest(shard=shard),
            writes=True,
            deadline=self._seconds(deadline),
        )

    async def replace_voter(
        self, node: str, newcomer: str, *, deadline: float | None = None
    ) -> tuple[str, ...]:
        """
        Let the voter of *newcomer* vote in place of that of *node*, which is lost.

        Both may be the same: the node has come back with a new disk.

        Returns:
            The names of the nodes that vote then.

        Raises:
            RejectedError: One of them cannot be.
            IndeterminateError: It may have been chosen: ask again to finish it.
        """
        reply = await self._object_dispatcher().unary_call(
            REPLACE_VOTER,
            objects_pb2.ReplaceVoterRequest(node=node, newcomer=newcomer),
            writes=True,
            deadline=self._seconds(deadline),
        )
        return tuple(reply.nodes)

    def _seconds(self, deadline: float | None) -> float:
        return self._deadline if deadline is None else deadline_seconds(deadline)

    def _object_dispatcher(self) -> ObjectDispatcher:
        dispatcher = self._own_object_dispatcher
        if dispatcher is None:
            self._check_open()
            dispatcher = self._own_object_dispatcher = ObjectDispatcher(
                self._addresses, credentials=self._credentials, direct=self._direct
            )
        return dispatcher

    def _check_open(self) -> None:
        if self._closed:
            msg = "this client is closed: make a new one"
            raise UnavailableError(msg)

    def _dispatcher(self) -> Dispatcher:
        dispatcher = self._own_dispatcher
        if dispatcher is None:
            self._check_open()
            dispatcher = self._own_dispatcher = Dispatcher(
                self._addresses,
                namespace=self._namespace,
                credentials=self._credentials,
            )
        return dispatcher
