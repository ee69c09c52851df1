"""
Deadlines of many calls with few timers: a wheel of buckets.

A timer a call would cost as much as the call.  Deadlines are rounded up to 10 ms
instead, and calls that fall due in the same 10 ms share one timer.  A call that
is answered leaves its bucket at once, so what it held is freed at once.

References:
    Varghese & Lauck, 1987.  Hashed and hierarchical timing wheels.
"""

import asyncio
from typing import Final, Protocol
from weakref import WeakKeyDictionary, ref

BUCKETS_PER_SECOND = 100


class Expiring(Protocol):
    """Something with a deadline; hashed by identity."""

    def expire(self) -> None:
        """Act on the deadline having passed."""


Bucket = set[Expiring]
"""What falls due together; discard from it what no longer waits."""


class Deadlines:
    """The wheel of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)  # wheels are kept by loop, and must not keep it
        self._buckets: dict[int, tuple[Bucket, asyncio.TimerHandle]] = {}

    def add(self, entry: Expiring, expires_at: float) -> Bucket:
        """
        Have *entry* expire at loop time *expires_at* or up to 10 ms later.

        Returns the bucket, for the caller to discard the entry from.
        """
        number = int(expires_at * BUCKETS_PER_SECOND) + 1
        found = self._buckets.get(number)
        if found is None:
            bucket: Bucket = set()
            loop = self._loop()
            assert loop is not None, "whoever waits runs in it"
            timer = loop.call_at(number / BUCKETS_PER_SECOND, self._expire, number)
            found = self._buckets[number] = (bucket, timer)
        found[0].add(entry)
        return found[0]

    def close(self) -> None:
        """Cancel all timers; nothing expires any more."""
        for _, timer in self._buckets.values():
            timer.cancel()
        self._buckets.clear()

    def _expire(self, number: int) -> None:
        bucket, _ = self._buckets.pop(number)
        for entry in tuple(bucket):
            entry.expire()


_WHEELS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Deadlines]] = (
    WeakKeyDictionary()
)


def deadlines_of(loop: asyncio.AbstractEventLoop) -> Deadlines:
    """Return the wheel that all have in common who want no one of their own."""
    found = _WHEELS.get(loop)
    if found is None:
        found = _WHEELS[loop] = Deadlines(loop)
    return found
