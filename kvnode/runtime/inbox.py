"""
The inbox: what waits for its turn, bounded in operations and in bytes.

Clients are refused when it is full and may try again; peers are held back, which
the transport passes on to them.  Time and connections always get in: they are
few, and a node that did not hear of them would stand still.
"""

import asyncio
from collections import deque
from typing import NamedTuple

from kvnode.core.node.commands import Command, Put, UpdateDocument, UpdateSet
from kvnode.core.node.events import Event
from kvnode.errors import OverloadedError

TURN_OPERATIONS_MAX = 1000
"""Bounds how long one turn keeps the event loop: about 20 ms."""

TURN_BYTES_MAX = 32 * 1024 * 1024
"""Bounds the memory of one transaction; a single larger batch is a turn alone."""


class _Queued(NamedTuple):
    event: Event
    operations: int
    size_bytes: int


class Inbox:
    """Events in the order in which they came."""

    def __init__(self, *, operations_max: int, bytes_max: int) -> None:
        self._operations_max = operations_max
        self._bytes_max = bytes_max
        self._queue: deque[_Queued] = deque()
        self._operations = 0
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._woken = False

    def __len__(self) -> int:
        """Return how many events wait."""
        return len(self._queue)

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
                f"{self._operations} operations of {self._bytes} bytes wait at this"
                f" node; at most {self._operations_max} of {self._bytes_max} may"
            )
            raise OverloadedError(msg)

    async def room(self) -> None:
        """Wait until no more than the allowed bytes wait, or until `wake`."""
        while self._bytes > self._bytes_max and not self._woken:
            self._taken.clear()
            await self._taken.wait()

    def put(self, event: Event, operations: int, size_bytes: int) -> None:
        """Queue *event*; whether it may be is asked before."""
        self._queue.append(_Queued(event, operations, size_bytes))
        self._operations += operations
        self._bytes += size_bytes
        self._arrived.set()

    def wake(self) -> None:
        """Let `take` return whatever there is, and `room` from now on at once."""
        self._woken = True
        self._arrived.set()
        self._taken.set()

    async def take(self) -> list[Event]:
        """Wait for events; return one turn's, empty only after `wake`."""
        if not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        events: list[Event] = []
        operations = size = 0
        while self._queue and (
            not events
            or (
                operations + self._queue[0].operations <= TURN_OPERATIONS_MAX
                and size + self._queue[0].size_bytes <= TURN_BYTES_MAX
            )
        ):
            queued = self._queue.popleft()
            events.append(queued.event)
            operations += queued.operations
            size += queued.size_bytes
        self._operations -= operations
        self._bytes -= size
        self._taken.set()
        return events


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
