"""
Open loops: operations that come when they are due, whatever became of the last.

Users elsewhere do not wait for each other.  So each operation has a time at which
it is due, fixed beforehand, and its span is counted from there: when a store
stands still for a second, all that came due in that second shows it, where a
closed loop would have asked once and waited (Tene's "coordinated omission").

A process is woken by the operating system a millisecond late at times, and then
sends at once all that is due.  How late operations were sent is part of the
result: if it is not small against the spans, the figures are of the generator.

References:
    Schroeder, Wierman & Harchol-Balter, 2006.  Open versus closed: a cautionary
        tale.
    Tene, 2013.  How NOT to measure latency.
"""

import asyncio
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter_ns

from tests.benchmarks.measurement import NANOS_PER_SECOND

UNANSWERED_MAX = 50_000
"""Ten seconds of the usual load: with more, the loop waits, and is late."""

TICK_SECONDS = 0.001
"""As fine as the event loop's own clock when it waits for sockets."""

PacedOperation = Callable[[int], Awaitable[None]]
"""The operation of that number, from 0: sends, waits for the answer, judges it."""


@dataclass(frozen=True, slots=True)
class Pace:
    """An even rate from a time on; times are of one monotonic clock, in ns."""

    began: int
    per_second: int

    def __post_init__(self) -> None:
        assert self.per_second >= 1, "a pace of nothing never comes to an end"

    def due(self, number: int) -> int:
        """Return when the operation of that number, from 0, is due."""
        return self.began + number * NANOS_PER_SECOND // self.per_second

    def count(self, now: int) -> int:
        """Return how many operations are due at *now* or before."""
        if now < self.began:
            return 0
        # The smallest number whose rounded-down due time is past `now`.
        return ((now - self.began + 1) * self.per_second - 1) // NANOS_PER_SECOND + 1


@dataclass(slots=True)
class Paced:
    """What became of the operations, by number; times and spans in ns."""

    pace: Pace
    late: "array[int]" = field(default_factory=lambda: array("q"))
    took: "array[int]" = field(default_factory=lambda: array("q"))  # from its due time
    answered: int = 0
    ended: int = 0

    def spans(self, since: int, until: int) -> list[int]:
        """Return the spans of operations due in [since, until), in their order."""
        return list(self.took[self.pace.count(since - 1) : self.pace.count(until - 1)])

    def lateness(self, since: int, until: int) -> list[int]:
        """Return how late the same operations were sent."""
        return list(self.late[self.pace.count(since - 1) : self.pace.count(until - 1)])

    @property
    def per_second(self) -> float:
        """Answers a second, from the first due time to the last answer."""
        elapsed = self.ended - self.pace.began
        return self.answered * NANOS_PER_SECOND / elapsed if elapsed > 0 else 0.0


class OpenLoop:
    """
    Runs one operation at an even rate until told to stop.

    An operation that raises ends the loop with its error: under this load
    nothing may fail.
    """

    def __init__(self, operation: PacedOperation, *, per_second: int) -> None:
        self._operation = operation
        self._per_second = per_second
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Send nothing more; `run` returns when all that was sent is answered."""
        self._stopped.set()

    async def run_for(self, seconds: float) -> Paced:
        """Run for *seconds*; return what became of it."""
        asyncio.get_running_loop().call_later(seconds, self.stop)
        return await self.run()

    async def run(self) -> Paced:
        """
        Run until `stop`; return what became of it.

        Raises:
            Exception: What the first operation to fail raised.
        """
        paced = Paced(Pace(perf_counter_ns(), self._per_second))
        try:
            await self._send(paced)
        except* Exception as errors:  # noqa: BLE001 -- it is raised again
            # The others failed for the same reason, or were cancelled for it.
            raise errors.exceptions[0] from None
        return paced

    async def _send(self, paced: Paced) -> None:
        async with asyncio.TaskGroup() as group:
            while not self._stopped.is_set():
                now = perf_counter_ns()
                room = UNANSWERED_MAX - (len(paced.late) - paced.answered)
                due = paced.pace.count(now)
                for number in range(len(paced.late), min(due, len(paced.late) + room)):
                    paced.late.append(now - paced.pace.due(number))
                    paced.took.append(-1)
                    group.create_task(self._one(number, paced))
                await asyncio.sleep(TICK_SECONDS)

    async def _one(self, number: int, paced: Paced) -> None:
        await self._operation(number)
        paced.ended = perf_counter_ns()
        paced.took[number] = paced.ended - paced.pace.due(number)
        paced.answered += 1
