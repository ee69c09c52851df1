"""Calls that wait for nothing share a task, and nobody can tell."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest

from kvnode.errors import (
    IndeterminateError,
    ObjectEndedError,
    ObjectRaisedError,
    OverloadedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.objects.durable_object import DurableObject
from kvnode.objects.running import instance as instance_module
from tests.objects.running.objects import DOORS, Site, settled, site

WHO: ContextVar[str] = ContextVar("who", default="nobody")


class SpeechlessError(Exception):
    """Has no text."""

    def __str__(self) -> str:
        """Fail."""
        msg = "no text"
        raise ValueError(msg)


class Bad(BaseException):
    """Is caught by nobody who catches exceptions."""


class Desk(DurableObject):
    """Notes in which order its methods run."""

    notes: list[str]
    tasks: "set[asyncio.Task[object] | None]"

    async def note(self, name: str) -> str:
        """Note a name, and write it."""
        self.notes.append(name)
        self.tasks.add(asyncio.current_task())
        await self.storage.put("name", name)
        return name

    async def wait(self, door: str) -> str:
        """Note when it begins and when it goes on."""
        await self.note(f"waits for {door}")
        await DOORS[door].wait()
        self.tasks.add(asyncio.current_task())
        self.notes.append(f"goes on by {door}")
        return door

    async def alone(self, door: str) -> None:
        """Have the object to itself while it waits."""
        await self.ctx.block_concurrency_while(lambda: self.wait(door))

    async def who(self, name: str) -> str:
        """Return who was here before by the context, and say who is."""
        before = WHO.get()
        WHO.set(name)
        return before

    async def who_waits(self, name: str, door: str) -> str:
        """Say who is here, wait, and return who is."""
        WHO.set(name)
        await DOORS[door].wait()
        return WHO.get()

    async def hurry(self) -> str:
        """Wait for what does not come, and not for long."""
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "in time"
        return "never"

    async def fail(self) -> None:
        """Write, and raise."""
        await self.note("fails")
        msg = "no"
        raise LookupError(msg)

    async def cancel(self) -> None:
        """Raise what asyncio raises where somebody is cancelled."""
        await self.note("cancels")
        raise asyncio.CancelledError

    async def fail_in_silence(self) -> None:
        """Raise what cannot even say what it is."""
        raise SpeechlessError

    async def fail_badly(self) -> None:
        """Raise what is no Exception."""
        raise Bad

    async def fail_badly_later(self, door: str) -> None:
        """Do so after a while."""
        await DOORS[door].wait()
        raise Bad

    async def cancel_itself(self, door: str) -> None:
        """Write, and cancel the task in which it runs, which waits."""
        await self.note("cancels itself")
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await DOORS[door].wait()

    async def cancel_and_return(self) -> None:
        """Cancel the task in which it runs, and wait for nothing."""
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def read(self) -> object:
        """Return what was noted last."""
        return await self.storage.get("name")

    async def ask_alone(self, method: str, door: str) -> None:
        """Call the other desk with the object to itself, and then wait."""

        async def work() -> None:
            await getattr(self.env.object("Desk", "e"), method)("asked")
            await self.wait(door)

        await self.ctx.block_concurrency_while(work)

    async def ask_back(self, name: str) -> None:
        """Let the first desk note a name."""
        await self.env.object("Desk", "d").note(name)

    async def end(self) -> None:
        """Write, and end the object."""
        await self.note("ends")
        self.ctx.abort("enough")


@pytest.fixture(name="desk")
async def open_desk() -> AsyncIterator[Site]:
    """A desk that is in memory."""
    Desk.notes, Desk.tasks = [], set()
    async with site({"Desk": Desk}) as made:
        assert await made.call("Desk d", "who", "nobody") == "nobody"
        yield made


async def test_calls_that_wait_for_nothing_share_a_task(desk: Site) -> None:
    """They run as they came, and what they write is one entry."""
    before = len(desk.log.entries)
    names = [str(number) for number in range(20)]

    replies = [desk.call("Desk d", "note", name) for name in names]

    assert await asyncio.gather(*replies) == names
    assert Desk.notes == names
    assert len(Desk.tasks) == 1
    assert len(desk.log.entries) == before + 1


async def test_call_that_waits_keeps_its_task_and_holds_nobody_up(desk: Site) -> None:
    """Those behind it get another, which they share."""
    calls = [("wait", "a"), ("note", "1"), ("wait", "b"), ("note", "2"), ("note", "3")]
    replies = [desk.call("Desk d", *call) for call in calls]
    await settled()
    assert Desk.notes == ["waits for a", "1", "waits for b", "2", "3"]
    assert len(Desk.tasks) == 3

    DOORS["b"].set()
    await settled()
    DOORS["a"].set()

    assert await asyncio.gather(*replies) == ["a", "1", "b", "2", "3"]
    assert Desk.notes[5:] == ["goes on by b", "goes on by a"]
    assert len(Desk.tasks) == 3


async def test_each_call_has_a_context_of_its_own(desk: Site) -> None:
    """Whether it waits or not."""
    replies = [
        desk.call("Desk d", "who", "first"),
        desk.call("Desk d", "who_waits", "second", "a"),
        desk.call("Desk d", "who", "third"),
        desk.call("Desk d", "who_waits", "fourth", "a"),
    ]
    await settled()
    DOORS["a"].set()

    assert await asyncio.gather(*replies) == ["nobody", "second", "nobody", "fourth"]
    assert WHO.get() == "nobody"


async def test_timeout_is_of_the_call_that_waits(desk: Site) -> None:
    """It cancels the task in which it was set, which is that of no other call."""
    replies = [desk.call("Desk d", "hurry"), desk.call("Desk d", "wait", "a")]
    assert await replies[0] == "in time"

    DOORS["a"].set()
    assert await replies[1] == "a"


@pytest.mark.parametrize(("method", "raised"), [("fail", "Lookup"), ("cancel", "Canc")])
async def test_what_is_raised_concerns_its_caller_alone(
    desk: Site, method: str, raised: str
) -> None:
    """And leaves once what it has written is durable."""
    desk.log.commits.clear()
    replies = [desk.call("Desk d", each) for each in (method, "fail")]
    last = desk.call("Desk d", "note", "1")
    await settled()
    assert not any(reply.done() for reply in (*replies, last))

    desk.log.commits.set()

    with pytest.raises(ObjectRaisedError) as caught:
        await replies[0]
    assert caught.value.type_name.startswith(raised)
    with pytest.raises(ObjectRaisedError, match="no"):
        await replies[1]
    assert await last == "1"


async def test_section_keeps_out_those_that_were_behind_it(desk: Site) -> None:
    """They were to run in the same step, and it has the object to itself by then."""
    replies = [
        desk.call("Desk d", "note", "before"),
        desk.call("Desk d", "alone", "a"),
        desk.call("Desk d", "note", "behind"),
        desk.call("Desk d", "note", "last"),
    ]
    await settled()
    assert Desk.notes == ["before", "waits for a"]

    DOORS["a"].set()
    await asyncio.gather(*replies)

    assert Desk.notes[2:] == ["goes on by a", "behind", "last"]


async def test_object_that_ends_takes_along_who_was_behind(desk: Site) -> None:
    """What has run may have happened, and what has not has not."""
    desk.log.commits.clear()
    first = desk.call("Desk d", "note", "first")
    await settled()
    waits = desk.call("Desk d", "wait", "a")
    replies = [desk.call("Desk d", each) for each in ("end", "who_is_nobody")]
    behind = desk.call("Desk d", "note", "behind")
    await settled()

    with pytest.raises(IndeterminateError):
        await first
    for each in (waits, replies[0]):
        with pytest.raises((IndeterminateError, ObjectEndedError)):
            await each
    with pytest.raises(Exception, match="no method"):
        await replies[1]
    assert "behind" in Desk.notes
    with pytest.raises(UnavailableError):
        await behind
    desk.log.commits.set()


async def test_why_an_entry_was_refused_counts_more_than_that_the_lead_is_lost(
    desk: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both come in one turn if the disk is full, and nothing has happened then."""
    entries: list[asyncio.Future[int]] = []

    def propose(shard: str, data: bytes) -> "asyncio.Future[int]":
        del shard, data
        entries.append(asyncio.get_running_loop().create_future())
        return entries[-1]

    monkeypatch.setattr(desk.log, "propose", propose)
    calling = desk.call("Desk d", "note", "1")
    await settled()

    entries[0].set_exception(StoreFullError("no room"))
    desk.host.closed("s000", 1)

    with pytest.raises(StoreFullError, match="no room"):
        await calling


async def test_calls_that_wait_to_be_told_count(
    desk: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have no task, and take room all the same."""
    monkeypatch.setattr(instance_module, "EVENTS_MAX", 3)
    desk.log.commits.clear()
    replies = [desk.call("Desk d", "note", str(number)) for number in range(3)]
    await settled()

    with pytest.raises(OverloadedError, match="3 calls"):
        await desk.call("Desk d", "note", "one more")
    assert desk.host.is_busy("s000")

    desk.log.commits.set()
    await asyncio.gather(*replies)
    assert await desk.call("Desk d", "note", "again") == "again"
    assert not desk.host.is_busy("s000")


async def test_read_without_a_lease_is_confirmed_before_it_leaves(desk: Site) -> None:
    """By each call, whose rounds the shard's leader shares."""
    desk.log.leased = False

    replies = [desk.call("Desk d", "who", str(number)) for number in range(3)]

    assert await asyncio.gather(*replies) == ["nobody"] * 3
    assert desk.log.confirmed == 3


@pytest.mark.parametrize(
    ("method", "type_name"),
    [("fail_in_silence", "SpeechlessError"), ("fail_badly", "Bad")],
)
async def test_whatever_is_raised_those_behind_it_run(
    desk: Site, method: str, type_name: str
) -> None:
    """One call must not leave the object without anybody who does the next."""
    replies = [desk.call("Desk d", method), desk.call("Desk d", "note", "1")]
    await settled()

    assert all(reply.done() for reply in replies)
    with pytest.raises(ObjectRaisedError) as caught:
        await replies[0]
    assert caught.value.type_name == type_name
    assert await desk.call("Desk d", "note", "2") == "2"
    assert not desk.host.is_busy("s000")


async def test_who_waits_before_it_raises_what_is_no_exception_is_told(
    desk: Site,
) -> None:
    """In the task that it has kept, and in one of its own."""
    replies = [desk.call("Desk d", "fail_badly_later", "a") for _ in range(2)]
    alone = desk.call("Desk d", "alone", "b")
    replies.append(desk.call("Desk d", "fail_badly_later", "a"))
    await settled()
    DOORS["a"].set()
    DOORS["b"].set()
    await settled()

    assert await alone is None
    assert all(reply.done() for reply in replies)
    for reply in replies:
        with pytest.raises(ObjectRaisedError) as caught:
            await reply
        assert caught.value.type_name == "Bad"
    assert not desk.host.is_busy("s000")


@pytest.mark.parametrize("is_behind_a_section", [False, True])
async def test_who_cancels_itself_may_have_happened(
    desk: Site, *, is_behind_a_section: bool
) -> None:
    """It has written: to be told that nothing was done is to do it twice."""
    DOORS["b"].set()
    before = [desk.call("Desk d", "alone", "b")] if is_behind_a_section else []
    call = desk.call("Desk d", "cancel_itself", "a")
    await settled()

    await asyncio.gather(*before)
    assert call.done()
    assert "cancels itself" in Desk.notes
    with pytest.raises(IndeterminateError, match="cancelled"):
        await call
    assert not desk.host.is_busy("s000")


async def test_who_cancels_its_task_cancels_nobody_behind_it(desk: Site) -> None:
    """The task is that of others as well, and the next of them waits in it."""
    cancels = desk.call("Desk d", "cancel_and_return")
    waits = desk.call("Desk d", "wait", "a")
    await settled()
    DOORS["a"].set()

    await cancels
    assert await waits == "a"


async def test_who_was_behind_does_not_run_in_an_object_that_has_ended(
    desk: Site,
) -> None:
    """It is told so at once, though it would wait for long."""
    waits = desk.call("Desk d", "wait", "a")
    await asyncio.sleep(0)  # it has asked, and the task of the object is not there yet
    desk.host.closed("s000", 1)
    await settled()

    assert waits.done()
    with pytest.raises(UnavailableError):
        await waits
    assert Desk.notes == []


@pytest.mark.parametrize("first", [("note", "first"), ("wait", "a")])
async def test_calls_with_keys_keep_their_place_among_those_without(
    desk: Site, first: tuple[str, str]
) -> None:
    """They have tasks of their own, and begin in the order in which they came."""
    replies = [
        desk.call("Desk d", *first),
        desk.call("Desk d", "note", "second"),
        desk.call("Desk d", "note", "third", key="k"),
        desk.call("Desk d", "read"),
        desk.call("Desk d", "note", "last"),
    ]
    await settled()
    DOORS["a"].set()

    *_, found, _ = await asyncio.gather(*replies)
    assert Desk.notes[1:4] == ["second", "third", "last"]
    assert found == "third"


@pytest.mark.parametrize("turns", range(12))
async def test_who_comes_while_another_begins_a_section_is_behind_those_before(
    desk: Site, turns: int
) -> None:
    """Whether these were still to begin then, or wait at the gate already."""
    replies = [
        desk.call("Desk d", "alone", "a"),
        desk.call("Desk d", "note", "second"),
        desk.call("Desk d", "note", "third"),
    ]
    for _ in range(turns):
        await asyncio.sleep(0)
    replies.append(desk.call("Desk d", "note", "last"))
    await settled()
    DOORS["a"].set()
    await asyncio.gather(*replies)

    assert Desk.notes[2:] == ["second", "third", "last"]


@pytest.mark.parametrize("turns", range(12))
async def test_section_is_of_the_call_that_has_it_and_of_those_it_makes(
    desk: Site, turns: int
) -> None:
    """Not of others that another object does in the same task."""
    assert await desk.call("Desk e", "who", "nobody") == "nobody"
    alone = desk.call("Desk d", "ask_alone", "note", "a")
    for _ in range(turns):
        await asyncio.sleep(0)
    other = desk.call("Desk e", "ask_back", "other")
    await settled()
    inside = Desk.notes[Desk.notes.index("asked") :]
    assert inside in (["asked", "waits for a"], ["other", "asked", "waits for a"])

    DOORS["a"].set()
    await asyncio.gather(alone, other)


@pytest.mark.parametrize("turns", range(12))
async def test_section_lets_in_what_it_asks_for_by_way_of_another(
    desk: Site, turns: int
) -> None:
    """Whoever has begun the task in which that other one does it."""
    assert await desk.call("Desk e", "who", "nobody") == "nobody"
    DOORS["a"].set()
    alone = desk.call("Desk d", "ask_alone", "ask_back", "a")
    for _ in range(turns):
        await asyncio.sleep(0)
    other = desk.call("Desk e", "note", "other")
    await settled()

    assert alone.done()
    assert other.done()
    await asyncio.gather(alone, other)
