"""Work that is begun is waited for to its end."""

import asyncio
import gc
from collections.abc import Callable

import pytest

from kvnode.completion import begun, called_back, completed, ended


async def test_who_is_cancelled_goes_on_when_the_work_has_ended() -> None:
    """Else the next piece of work would overlap with it."""
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(completed(work))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()

    work.set_result(1)

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_result_and_failure_of_the_work_are_handed_on() -> None:
    """To who was not cancelled."""
    loop = asyncio.get_running_loop()
    good: asyncio.Future[int] = loop.create_future()
    bad: asyncio.Future[int] = loop.create_future()
    good.set_result(1)
    bad.set_exception(OSError("the disk is gone"))

    assert await completed(good) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        await completed(bad)


async def test_who_waits_for_an_end_is_told_no_more_than_that() -> None:
    """Whatever it was; also by many, and of work that has ended before."""
    for end in ("result", "exception", "cancel"):
        work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = [asyncio.create_task(ended(work)) for _ in range(3)]
        await asyncio.sleep(0)
        if end == "result":
            work.set_result(1)
        elif end == "exception":
            work.set_exception(ValueError())
        else:
            work.cancel()
        await asyncio.gather(*waiting, ended(work))
        assert work.cancelled() or work.exception() or work.result() == 1


async def test_who_waits_for_an_end_goes_on_behind_the_callbacks_of_it() -> None:
    """Who keeps what is under way in a map has taken it out by then."""
    work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    told: list[str] = []
    work.add_done_callback(lambda _: told.append("callback"))
    work.set_result(None)
    await ended(work)
    assert told == ["callback"]


async def test_who_is_cancelled_while_it_waits_for_an_end_leaves_the_work() -> None:
    """And nothing of it is left there."""
    work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(ended(work))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not work.done()
    assert work.remove_done_callback(print) == 0
    assert not work._callbacks


async def test_work_is_kept_while_it_runs_and_may_fail_unheard() -> None:
    """Whoever has asked for it may have gone."""
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    tasks: dict[str, asyncio.Task[None]] = {}

    async def fail() -> None:
        raise OSError

    task = begun(fail(), tasks, "a")
    assert tasks == {"a": task}
    await ended(task)
    assert tasks == {}
    del task
    gc.collect()
    assert complaints == []


async def test_callback_is_waited_for_once() -> None:
    """Whether it is called at once, later, or again."""
    given: list[Callable[[str], None]] = []

    def at_once(give: Callable[[str], None]) -> None:
        give("at once")

    assert await called_back(at_once) == "at once"

    waiting = asyncio.create_task(called_back(given.append))
    left = asyncio.create_task(called_back(given.append))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.sleep(0)
    for give in given:
        give("later")
        give("again")

    assert await waiting == "later"
    assert left.cancelled()
