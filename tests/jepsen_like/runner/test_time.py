"""The time of a run, and doing several things at once."""

import asyncio

import pytest

from jepsen_like.runner.time import RunTime, all_of
from tests.jepsen_like.virtual_time import run_virtually


def test_readings_in_nanoseconds_rise_even_at_one_instant() -> None:
    """What happened first is seen to have been first."""

    async def work() -> list[int]:
        time = RunTime()
        first = [time.now_ns() for _ in range(3)]
        await time.sleep_until(5)
        await time.sleep_until(2)
        return [*first, time.now_ns(), time.now_ms()]

    assert run_virtually(work()) == [0, 1, 2, 5_000_000, 5]


def test_clock_of_its_own_dates_from_its_first_reading() -> None:
    """Wherever it begins, the run begins at zero."""
    readings = iter([700, 700, 650, 720])

    async def work() -> list[int]:
        time = RunTime(lambda: next(readings))
        return [time.now_ns() for _ in range(3)]

    assert run_virtually(work()) == [0, 1, 20]


def test_results_come_in_the_order_of_the_works() -> None:
    """Not in that of their ends."""

    async def after(delay_s: float) -> float:
        await asyncio.sleep(delay_s)
        return delay_s

    async def work() -> list[float]:
        return await all_of([after(3), after(1), after(2)])

    assert run_virtually(work()) == [3, 1, 2]
    assert run_virtually(all_of([])) == []


def test_failure_of_one_cancels_the_others_and_is_raised_at_once() -> None:
    """Nothing goes on in the background."""
    log: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    async def fails() -> None:
        await asyncio.sleep(1)
        message = "one"
        raise ValueError(message)

    async def work() -> float:
        with pytest.raises(ValueError, match="one"):
            await all_of([waits(), fails()])
        return asyncio.get_running_loop().time()

    assert run_virtually(work()) == 1.0
    assert log == ["cancelled"]
