"""In which order writes become entries, and what comes after one that failed."""

import asyncio

import pytest

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
        self.refusal: Exception | None = None  # of the next proposal
        self.failures: list[KvError] = []
        self.overlay = Overlay(DictState())
        self.committer = Committer(
            self.overlay, self.propose, on_commit=lambda: None, on_failure=self.failed
        )

    def failed(self, error: KvError) -> None:
        """Note that the committer has failed; what uses it ends it then."""
        self.failures.append(error)
        self.committer.fail(error)

    async def propose(self, data: bytes) -> int:
        """Take an entry, and wait."""
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            raise refusal
        self.proposed += [change.key for change in decode_changes(data)]
        self.fates.append(asyncio.get_running_loop().create_future())
        return await self.fates[-1]

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


async def test_stopped_committer_proposes_what_was_taken_before(desk: Desk) -> None:
    """And neither what is staged, nor anything if it has ended meanwhile."""
    desk.stage(b"taken")
    desk.committer.flush()
    desk.stage(b"staged")
    desk.committer.stop(UnavailableError("a section has failed"))
    await settled()
    assert desk.proposed == [b"taken"]


async def test_committer_that_has_ended_proposes_nothing(desk: Desk) -> None:
    """Not even what was taken: another instance may be at work already."""
    desk.stage(b"taken")
    desk.committer.flush()
    desk.committer.stop(UnavailableError("a section has failed"))
    desk.committer.fail(UnavailableError("the lead is lost"))
    await settled()
    assert desk.proposed == []


async def test_entry_before_one_that_was_refused_is_waited_for(desk: Desk) -> None:
    """It may still be committed, and whoever begins anew has to see it."""
    await desk.write(b"a")
    refusal = desk.refusal = OverloadedError("too many wait")
    await desk.write(b"b")
    draining = asyncio.create_task(desk.committer.drained())
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
    assert desk.committer.count == 2


async def test_nothing_is_proposed_once_the_object_has_ended(desk: Desk) -> None:
    """The shard may be led anew by then, and another instance be there."""
    desk.stage(b"a")
    desk.committer.flush()
    desk.committer.fail(UnavailableError("the shard was closed"))
    await settled()

    assert desk.proposed == []


async def test_entry_that_ends_in_an_unforeseen_way_counts_as_lost(desk: Desk) -> None:
    """Nobody may be told that it is durable."""
    await desk.write(b"a")
    desk.fates[0].cancel()
    with pytest.raises(IndeterminateError, match="may have happened"):
        await desk.committer.settled(0)

    other = Desk()
    other.refusal = RuntimeError("a fault of ours")
    other.stage(b"a")
    other.committer.flush()
    (task,) = asyncio.all_tasks() - {asyncio.current_task()}
    with pytest.raises(RuntimeError):
        await task
    with pytest.raises(IndeterminateError, match="a fault of ours"):
        await other.committer.settled(0)


async def test_nobody_begins_upon_what_has_an_unknown_fate(desk: Desk) -> None:
    """It might come to show later, in the middle of what was begun without it."""
    await desk.write(b"a")
    desk.fates[0].set_exception(IndeterminateError("the lead was lost"))

    with pytest.raises(UnavailableError, match="nobody knows yet"):
        await desk.committer.drained()


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
