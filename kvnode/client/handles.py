"""
Handles on counters and sets: values that merge instead of overwriting.

A handle is a key and the way to the node; it caches nothing.  Updates made
concurrently in different places all count (R5).  An update that ends with an
INDETERMINATE error may count: repeating it may count it twice.
"""

from collections.abc import Coroutine
from typing import Any, Protocol

from kvnode._pb import kv_pb2
from kvnode.client.arguments import (
    counter_delta,
    key_bytes,
    member_bytes,
    set_read_options,
    set_write_options,
)
from kvnode.client.values import Key
from kvnode.errors import InvalidArgumentError


class Runner(Protocol):
    """What does an operation: a client or a session."""

    def run_operation(
        self,
        operation: kv_pb2.Operation,
        options: kv_pb2.Options | None,
        expect: str,
        deadline: float | None,
        *,
        writes: bool,
    ) -> Coroutine[Any, Any, kv_pb2.OperationResult]:
        """Await the result, whose field *expect* is set."""


class CounterHandle:
    """A counter; an absent one counts as 0."""

    def __init__(self, runner: Runner, namespace: str, key: Key) -> None:
        self._runner = runner
        self._namespace = namespace
        self._key = key_bytes(key)

    async def increment(
        self,
        delta: int = 1,
        *,
        w: int = 1,
        w_each_region: bool = False,
        deadline: float | None = None,
    ) -> int:
        """Add *delta*, which may be negative, and return the sum seen here."""
        operation = kv_pb2.Operation()
        request = operation.counter
        request.delta = counter_delta(delta)
        set_write_options(request.options, w=w, w_each_region=w_each_region)
        return await self._run(operation, deadline, writes=delta != 0)

    async def value(
        self,
        *,
        stale_ok: bool = False,
        max_staleness: float | None = None,
        deadline: float | None = None,
    ) -> int:
        """Return the sum of all increments that have arrived here."""
        operation = kv_pb2.Operation()
        set_read_options(
            operation.counter.options, stale_ok=stale_ok, max_staleness=max_staleness
        )
        return await self._run(operation, deadline, writes=False)

    async def _run(
        self, operation: kv_pb2.Operation, deadline: float | None, *, writes: bool
    ) -> int:
        request = operation.counter
        request.namespace = self._namespace
        request.key = self._key
        result = await self._runner.run_operation(
            operation, request.options, "counter", deadline, writes=writes
        )
        return result.counter.value


class SetHandle:
    """A set of byte strings; of a concurrent add and remove the add wins."""

    def __init__(self, runner: Runner, namespace: str, key: Key) -> None:
        self._runner = runner
        self._namespace = namespace
        self._key = key_bytes(key)

    async def add(
        self,
        *members: Key,
        w: int = 1,
        w_each_region: bool = False,
        deadline: float | None = None,
    ) -> int:
        """Add *members*, each of 1 to 512 bytes; return the size seen here."""
        operation = kv_pb2.Operation()
        request = operation.set
        request.add.extend(map(member_bytes, _some(members)))
        set_write_options(request.options, w=w, w_each_region=w_each_region)
        return (await self._run(operation, deadline, writes=True)).size

    async def remove(
        self,
        *members: Key,
        w: int = 1,
        w_each_region: bool = False,
        deadline: float | None = None,
    ) -> int:
        """Remove *members* as far as they are seen here; return the size left."""
        operation = kv_pb2.Operation()
        request = operation.set
        request.remove.extend(map(member_bytes, _some(members)))
        set_write_options(request.options, w=w, w_each_region=w_each_region)
        return (await self._run(operation, deadline, writes=True)).size

    async def members(
        self,
        *,
        stale_ok: bool = False,
        max_staleness: float | None = None,
        deadline: float | None = None,
    ) -> set[bytes]:
        """Return all members."""
        operation = kv_pb2.Operation()
        request = operation.set
        request.want_members = True
        set_read_options(
            request.options, stale_ok=stale_ok, max_staleness=max_staleness
        )
        return set((await self._run(operation, deadline, writes=False)).members)

    async def size(
        self,
        *,
        stale_ok: bool = False,
        max_staleness: float | None = None,
        deadline: float | None = None,
    ) -> int:
        """Return how many members there are."""
        operation = kv_pb2.Operation()
        set_read_options(
            operation.set.options, stale_ok=stale_ok, max_staleness=max_staleness
        )
        return (await self._run(operation, deadline, writes=False)).size

    async def _run(
        self, operation: kv_pb2.Operation, deadline: float | None, *, writes: bool
    ) -> kv_pb2.SetReply:
        request = operation.set
        request.namespace = self._namespace
        request.key = self._key
        result = await self._runner.run_operation(
            operation, request.options, "set", deadline, writes=writes
        )
        return result.set


def _some(members: tuple[Key, ...]) -> tuple[Key, ...]:
    if not members:
        msg = "no members were given: name at least one"
        raise InvalidArgumentError(msg)
    return members
