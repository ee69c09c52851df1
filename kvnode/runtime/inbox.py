"""
The inbox: what waits for its turn, bounded in operations and in bytes.

Clients are refused when it is full and may try again; peers are held back, which
the transport passes on to them.  Time and connections always get in: they are
few, and a node that did not hear of them would stand still.

Pages of deltas are the most that ever comes, and nobody waits for a single one.  They
have a queue of their own behind the other, of which a turn takes one page: so clients
of a node that catches up wait for one page, not for all that are here (rule D7).
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from kvnode.core.node.commands import (
    Command,
    Put,
    UpdateDocument,
    UpdateSet,
    WriteRequest,
)
from kvnode.core.node.events import Event
from kvnode.core.replication.delta import PAGE_ENTRIES_MAX
from kvnode.errors import OverloadedError

TURN_OPERATIONS_MAX = 1000
"""Bounds how long one turn keeps the event loop: about 20 ms."""

TURN_BYTES_MAX = 32 * 1024 * 1024
"""Bounds the memory of one transaction; a single larger batch is a turn alone."""

TURN_MAINTENANCE_MAX = PAGE_ENTRIES_MAX
"""Entries of pages in one turn: one full page, however many are here."""


class _Queued(NamedTuple):
    event: Event
    operations: int
    size_bytes: int


class _Queue(deque[_Queued]):
    """What waits, in order."""

    def take(self, operations_max: int, bytes_max: int) -> Iterator[_Queued]:
        """Yield what is within the bounds; the first whatever its size."""
        first = True
        while self and (
            first
            or (
                self[0].operations <= operations_max and self[0].size_bytes <= bytes_max
            )
        ):
            queued = self.popleft()
            operations_max -= queued.operations
            bytes_max -= queued.size_bytes
            first = False
            yield queued


class Inbox:
    """Events in the order in which they came, pages of deltas behind."""

    def __init__(self, *, operations_max: int, bytes_max: int) -> None:
        self._operations_max = operations_max
        self._bytes_max = bytes_max
        self._urgent = _Queue()
        self._maintenance = _Queue()
        self._operations = 0
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._woken = False

    def __len__(self) -> int:
        """Return how many events wait."""
        return len(self._urgent) + len(self._maintenance)

    def check_room(self, operations: int, size_bytes: int) -> None:
        """
        Do nothing if a request of that size may be put.

        Raises:
            OverloadedError: It may not; says how much waits.
        """
        if (
            self._operations + operations > self._operations_max
            or self._bytes + size_bytes > self._bytes_max
        ):
            msg = (
                f"{self._operations} operations wait at this node, of"
                f" {self._operations_max} that may, and {self._bytes} bytes of"
                f" {self._bytes_max}, those from other nodes too: try again"
            )
            raise OverloadedError(msg)

    async def room(self) -> None:
        """Wait until no more than the allowed bytes wait, or until `wake`."""
        while self._bytes > self._bytes_max and not self._woken:
            self._taken.clear()
            await self._taken.wait()

    def put(
        self,
        event: Event,
        operations: int,
        size_bytes: int,
        *,
        is_maintenance: bool = False,
    ) -> None:
        """
        Queue *event*; whether it may be is asked before.

        Args:
            event: What happened.
            operations: How many entries it is about: what it costs its turn.
            size_bytes: What it holds.
            is_maintenance: It may wait behind all others.
        """
        queue = self._maintenance if is_maintenance else self._urgent
        queue.append(_Queued(event, operations, size_bytes))
        self._operations += _asked(queue[-1])
        self._bytes += size_bytes
        self._arrived.set()

    def wake(self) -> None:
        """Let `take` return whatever there is, and `room` from now on at once."""
        self._woken = True
        self._arrived.set()
        self._taken.set()

    async def take(self) -> list[Event]:
        """Wait for events; return one turn's, empty only after `wake`."""
        if not self:
            self._arrived.clear()
            await self._arrived.wait()
        taken = list(self._urgent.take(TURN_OPERATIONS_MAX, TURN_BYTES_MAX))
        taken += self._maintenance.take(TURN_MAINTENANCE_MAX, TURN_BYTES_MAX)
        self._operations -= sum(map(_asked, taken))
        self._bytes -= sum(queued.size_bytes for queued in taken)
        self._taken.set()
        return [queued.event for queued in taken]


def _asked(queued: _Queued) -> int:
    """Return how many operations clients asked for: peers do not use up their room."""
    return queued.operations if isinstance(queued.event, WriteRequest) else 0


def command_bytes(command: Command) -> int:
    """Return about how much memory *command* holds."""
    match command:
        case Put(key, value, metadata):
            return len(key.key) + len(value) + len(metadata)
        case UpdateSet(key, add, remove):
            return len(key.key) + sum(map(len, add)) + sum(map(len, remove))
        case UpdateDocument(key, update):
            return len(key.key) + len(update)
        case _:
            return len(command.key.key)
