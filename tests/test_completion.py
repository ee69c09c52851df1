"""Work that is begun is waited for to its end."""

import asyncio

import pytest

from kvnode.completion import completed


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
