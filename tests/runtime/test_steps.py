"""Long work in steps leaves the event loop to others, and ends when it must."""

import asyncio

import pytest

from kvnode.core.replication.entry_scan import Steps
from kvnode.runtime.steps import finish


class Work:
    """Counts its steps, and notes that it let go."""

    def __init__(self) -> None:
        self.done = 0
        self.released = False

    def steps(self, count: int) -> Steps[str]:
        """Work for so many steps."""
        try:
            for _ in range(count):
                self.done += 1
                yield
            return "result"
        finally:
            self.released = True


async def test_result_of_the_work_is_returned_in_the_end() -> None:
    """Also of work without a step."""
    assert await finish(Work().steps(3)) == "result"
    assert await finish(Work().steps(0)) == "result"


async def test_others_have_their_turn_after_each_step() -> None:
    """A scan of a million keys must not be felt."""
    work = Work()
    seen: list[int] = []

    async def look() -> None:
        while len(seen) < 3:
            seen.append(work.done)
            await asyncio.sleep(0)

    await asyncio.gather(finish(work.steps(5)), look())

    assert seen == [1, 2, 3]


async def test_work_that_is_cancelled_lets_go() -> None:
    """A scan holds a snapshot's cursor."""
    work = Work()
    task = asyncio.create_task(finish(work.steps(1000)))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.released
    assert work.done < 1000
