"""
The time of a run: that of the running loop, counted from its beginning.

On a loop with virtual time, a run is in virtual time.  No two readings in
nanoseconds are equal, so that what happened first is seen to have been first even
when much happens at one instant.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

_T = TypeVar("_T")


class RunTime:
    """How late it is in a run, and waiting until it is later."""

    def __init__(self, clock_ns: Callable[[], int] | None = None) -> None:
        """
        Begin now, on the running loop.

        Args:
            clock_ns: What records are dated by, if not the loop's time: ns,
                monotonic, from any beginning.
        """
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._clock_ns = clock_ns or self._loop_ns
        self._first_ns = self._clock_ns()
        self._last_ns = -1

    def now_ns(self) -> int:
        """Return the time in ns; later than at any reading before."""
        self._last_ns = max(self._last_ns + 1, self._clock_ns() - self._first_ns)
        return self._last_ns

    def now_ms(self) -> int:
        """Return the time in whole ms."""
        return round((self._loop.time() - self._began) * 1000)

    def at_ns(self, loop_seconds: float) -> int:
        """Return when it was *loop_seconds* by the loop, in ns of the run, >= 0."""
        return max(0, round((loop_seconds - self._began) * 1_000_000_000))

    async def sleep_until(self, at_ms: int) -> None:
        """Return at *at_ms*, or at once if that has passed."""
        wait_s = self._began + at_ms / 1000 - self._loop.time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    def _loop_ns(self) -> int:
        return round(self._loop.time() * 1_000_000_000)


async def all_of(works: Sequence[Coroutine[Any, Any, _T]]) -> list[_T]:
    """
    Run *works* at once and return what each returned, in their order.

    If one raises, the others are cancelled and have ended when this raises.
    Unlike a TaskGroup, this cancels in the order given: a TaskGroup keeps a set,
    whose order changes from run to run.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    if not tasks:
        return []
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        return [task.result() for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # told here, or it would be logged as forgotten
