"""In which order writes become entries, and what comes after one that failed."""

import asyncio

import pytest

from kvnode.completion import failed
from kvnode.core.objects.map_change import Change, ChangeKind, decode_changes
from kvnode.errors import (
    IndeterminateError,
    KvError,
    OverloadedError,
    UnavailableError,
)
from kvnode.objects.storing.committer import Committer
from kvnode.objects.storing.overlay import Overlay
from tests.objects.running.fake_log import DictState
from tests.objects.running.objects import settled


class Desk:
    """A committer, and a log in which every entry waits for the test's word."""

    def __init__(self) -> None:
        self.proposed: list[bytes] = []
        self.fates: list[asyncio.Future[int]] = []
        self.refusal: KvError | None = None  # of the next proposal
        self.failures: list[KvError] = []
        self.overlay = Overlay(DictState())
        self.committer = Committer(
            self.overlay, self.propose, on_commit=lambda: None, on_failure=self.failed
        )

    def failed(self, error: KvError) -> None:
        """Note that the committer has failed; what uses it ends it then."""
        self.failures.append(error)
        self.committer.fail(error)

    def propose(self, data: bytes) -> "asyncio.Future[int]":
        """Take an entry, and wait."""
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            return failed(refusal)
        self.proposed += [change.key for change in decode_changes(data)]
        self.fates.append(asyncio.get_running_loop().create_future())
        return self.fates[-1]

    async def write(self, key: bytes) -> None:
        """Write a key, and propose it."""
        self.stage(key)
        await settled()

    def stage(self, key: bytes) -> None:
        """Write a key, to be proposed soon."""
        self.overlay.stage([Change(ChangeKind.PUT, key, b"")])
        self.committer.wrote()


@pytest.fixture
async def desk() -> Desk:
    """A fresh one."""
    return Desk()


async def test_entry_before_one_that_was_refused_is_waited_for(desk: Desk) -> None:
    """It may still be committed, and whoever begins anew has to see it."""
    await desk.write(b"a")
    refusal = desk.refusal = OverloadedError("too many wait")
    await desk.write(b"b")
    draining = asyncio.create_task(desk.committer.drained(lambda: None))
    await settled()
    assert desk.failures == [refusal]
    assert not draining.done()

    desk.fates[0].set_result(1)
    await settled()
    assert not draining.done()
    desk.committer.applied(1)
    await draining


async def test_nothing_is_proposed_after_an_entry_that_failed(desk: Desk) -> None:
    """Neither what was staged by then, nor what is on its way already."""
    desk.refusal = OverloadedError("too many wait")
    desk.stage(b"a")
    desk.committer.flush()
    desk.stage(b"b")
    desk.committer.flush()
    await settled()
    desk.stage(b"c")
    await settled()

    assert desk.proposed == []
    assert desk.committer.count == 1


async def test_nothing_is_proposed_once_the_object_has_ended(desk: Desk) -> None:
    """What it has just written goes with it; what was proposed before may commit."""
    desk.stage(b"a")
    desk.committer.flush()
    desk.stage(b"b")
    desk.committer.fail(UnavailableError("a section has failed"))
    await settled()

    assert desk.proposed == [b"a"]


async def test_entry_that_ends_in_an_unforeseen_way_counts_as_lost(desk: Desk) -> None:
    """Nobody may be told that it is durable."""
    await desk.write(b"a")
    desk.fates[0].cancel()
    with pytest.raises(IndeterminateError, match="may have happened"):
        await desk.committer.settled(0)

    other = Desk()
    await other.write(b"a")
    other.fates[0].set_exception(RuntimeError("a fault of ours"))
    with pytest.raises(IndeterminateError, match="a fault of ours"):
        await other.committer.settled(0)


async def test_entry_that_could_not_even_be_proposed_counts_as_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for it is told, and nothing follows it."""

    def fault(_: bytes) -> "asyncio.Future[int]":
        msg = "a fault of ours"
        raise RuntimeError(msg)

    with monkeypatch.context() as broken:
        broken.setattr(desk.committer, "_propose", fault)
        desk.stage(b"a")
        with pytest.raises(IndeterminateError, match="a fault of ours"):
            await desk.committer.settled(0)
    desk.stage(b"b")
    await settled()
    assert desk.proposed == []


async def test_calls_that_run_at_the_same_time_share_an_entry(desk: Desk) -> None:
    """Each waits for it; what is written while it is under way is another one's."""

    async def call(key: bytes) -> None:
        desk.stage(key)
        await desk.committer.settled(0)

    calls = [asyncio.create_task(call(key)) for key in (b"a", b"b", b"c")]
    await settled()
    assert desk.proposed == [b"a", b"b", b"c"]
    assert len(desk.fates) == 1
    late = asyncio.create_task(call(b"d"))
    await settled()
    assert len(desk.fates) == 2

    desk.fates[0].set_result(1)
    await asyncio.gather(*calls)
    assert not late.done()
    desk.fates[1].set_result(2)
    await late


async def test_nobody_begins_upon_what_has_an_unknown_fate(desk: Desk) -> None:
    """It might come to show later, in the middle of what was begun without it."""
    await desk.write(b"a")
    desk.fates[0].set_exception(IndeterminateError("the lead was lost"))

    with pytest.raises(UnavailableError, match="nobody knows yet"):
        await desk.committer.drained(lambda: None)


async def test_what_is_held_and_raises_is_not_proposed(desk: Desk) -> None:
    """Half of it must not happen; so nothing that comes later may, either."""

    def half() -> None:
        with desk.committer.held(reserved_bytes=0):
            desk.stage(b"b")
            msg = "no"
            raise ValueError(msg)

    await desk.write(b"a")
    with pytest.raises(ValueError, match="no"):
        half()
    await settled()

    assert desk.proposed == [b"a"]
    assert [error.outcome.value for error in desk.failures] == ["failed"]
    with pytest.raises(UnavailableError, match="did not come to its end"):
        desk.committer.check_room()


async def test_what_was_staged_before_is_not_held(desk: Desk) -> None:
    """It is an entry of its own."""
    desk.stage(b"a")
    with desk.committer.held(reserved_bytes=0):
        desk.stage(b"b")
        await settled()
        assert desk.proposed == [b"a"]
    await settled()
    assert desk.proposed == [b"a", b"b"]
    assert len(desk.fates) == 2


async def test_who_waits_until_writes_show_asks_for_that(desk: Desk) -> None:
    """Once they are committed: sooner there is nothing to show, and later it lasts."""
    hurried: list[int] = []
    await desk.write(b"a")
    draining = asyncio.create_task(
        desk.committer.drained(lambda: hurried.append(len(hurried)))
    )
    await settled()
    assert hurried == []
    desk.fates[0].set_result(1)
    await settled()
    assert hurried == [0]
    desk.committer.applied(1)
    await draining
