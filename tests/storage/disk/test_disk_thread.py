"""A thread that waits for the disk does one thing after another, to the end."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from kvnode.storage.disk.disk_thread import DiskThread


@pytest.fixture(name="thread")
def started_thread() -> Iterator[DiskThread]:
    """Yield a thread, which has ended when the test has."""
    thread = DiskThread("of a test")
    yield thread
    thread.close()
    assert "of a test" not in {each.name for each in threading.enumerate()}


class Slow:
    """Something that takes until the test says so."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.has_ended = False

    def __call__(self) -> None:
        """Take so long."""
        assert self.may_end.wait(10)
        self.has_ended = True


async def test_work_is_done_elsewhere_in_the_order_in_which_it_was_given(
    thread: DiskThread,
) -> None:
    """And the loop goes on meanwhile."""
    done: list[tuple[int, str]] = []

    def note(number: int, *, word: str) -> None:
        done.append((number, word))
        names.add(threading.current_thread().name)

    names: set[str] = set()
    works = [thread.begin(note, number, word="w") for number in range(5)]
    for work in works:
        await work.end()

    assert done == [(number, "w") for number in range(5)]
    assert names == {"of a test"}
    assert not thread.is_at_work


async def test_what_is_under_way_shows(thread: DiskThread) -> None:
    """Until all of it is done."""
    assert not thread.is_at_work
    slow = Slow()
    work = thread.begin(slow)
    assert thread.is_at_work
    assert not work.is_done
    slow.may_end.set()
    await work.end()
    assert not thread.is_at_work


async def test_what_it_raises_reaches_whoever_waits(thread: DiskThread) -> None:
    """And the thread goes on."""

    def fail() -> None:
        msg = "the disk"
        raise OSError(msg)

    with pytest.raises(OSError, match="the disk"):
        await thread.begin(fail).end()
    slow = Slow()
    slow.may_end.set()
    await thread.begin(slow).end()
    assert slow.has_ended


async def test_who_is_cancelled_waits_to_the_end(thread: DiskThread) -> None:
    """What is half written must not be left to itself."""
    slow = Slow()
    waiting = asyncio.create_task(thread.begin(slow).end())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0.02)
    assert not waiting.done()

    slow.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert slow.has_ended


async def test_who_is_cancelled_again_waits_no_more(thread: DiskThread) -> None:
    """Somebody is in a hurry."""
    slow = Slow()
    waiting = asyncio.create_task(thread.begin(slow).end())
    for _ in range(2):
        await asyncio.sleep(0)
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not slow.has_ended
    slow.may_end.set()


async def test_closing_waits_for_what_was_given(thread: DiskThread) -> None:
    """All of it: it may be what somebody was promised."""
    slow, last = Slow(), Slow()
    thread.begin(slow)
    thread.begin(last)
    asyncio.get_running_loop().call_later(0.02, slow.may_end.set)
    last.may_end.set()
    closing = asyncio.to_thread(thread.close)
    await closing
    assert slow.has_ended
    assert last.has_ended


def test_loop_that_has_ended_meanwhile_is_told_nothing(thread: DiskThread) -> None:
    """Its node has stopped in the middle of a write; the thread goes on."""
    slow = Slow()

    async def begin() -> None:
        thread.begin(slow)

    asyncio.run(begin())
    slow.may_end.set()
    again = Slow()
    again.may_end.set()

    async def begin_again() -> None:
        await thread.begin(again).end()

    asyncio.run(begin_again())
    assert slow.has_ended
    assert again.has_ended
