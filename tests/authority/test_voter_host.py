"""One voter at work: durable before it answers, bounded, and stopped in order."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from kvnode.authority import voter_host
from kvnode.authority.voter_host import VoterHost
from kvnode.core.objects.caspaxos import Ballot, Prepare, VoterState
from kvnode.core.objects.voters.duty import Rest
from kvnode.core.objects.voters.electorate import Electorate
from kvnode.core.objects.voters.memory import VoterMemory
from kvnode.core.objects.voters.messages import (
    Enlist,
    Inquire,
    Report,
    Seal,
    Standing,
    Vote,
    VoterAnswer,
    VoterRequest,
)
from kvnode.errors import (
    IndeterminateError,
    OverloadedError,
    PeerProtocolError,
    StoreFullError,
    UnavailableError,
)
from kvnode.storage.voters.memory_voter_store import MemoryVoterStore
from kvnode.types import ReplicaId
from tests.authority.voter_site import until
from tests.core.objects.voters_at_hand import FIRST, MEMBERS, SECOND

OWN = MEMBERS["a"].identity
PREPARE = Vote(FIRST.view, "eu/1", Prepare(Ballot(1, ReplicaId(9))))


class Disk(MemoryVoterStore):
    """A disk that writes when it is let, or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__(OWN)
        self._memory = VoterMemory(OWN, pledge=FIRST, electorate=FIRST)
        self.failure = failure
        self.may_write = asyncio.Event()
        self.writes = 0

    async def persist(self, memory: VoterMemory) -> None:
        """Wait, and write or fail."""
        await self.may_write.wait()
        if self.failure is not None:
            raise self.failure
        self.writes += 1
        await super().persist(memory)


class Alone:
    """A network without anybody."""

    async def ask(self, voter: str, *_: object) -> VoterAnswer:
        """See kvnode.authority.voter_port.VoterTransport."""
        msg = f"{voter} is away"
        raise UnavailableError(msg)


def hosted(disk: Disk) -> tuple[VoterHost, "asyncio.Task[None]"]:
    """Return a host that runs."""
    host = VoterHost("a", ("a", "b", "c"), disk, Alone(), uniform=Random(1).uniform)
    return host, asyncio.ensure_future(host.run())


async def asking(host: VoterHost, request: VoterRequest) -> "asyncio.Task[VoterAnswer]":
    """Return a request that waits for the disk, if it writes."""
    task = asyncio.ensure_future(host.answer(request))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_nothing_is_answered_before_it_is_durable() -> None:
    """Those who come meanwhile share the next write."""
    disk = Disk()
    host, running = hosted(disk)
    await asyncio.sleep(0)
    first = await asking(host, PREPARE)
    others = [
        await asking(host, PREPARE._replace(register=f"eu/{n}")) for n in range(2, 5)
    ]
    assert not first.done()

    disk.may_write.set()
    await asyncio.gather(first, *others)

    assert disk.writes == 2
    assert set(disk.memory.registers) == {"eu/1", "eu/2", "eu/3", "eu/4"}
    host.stop()
    await running


async def test_full_disk_refuses_and_the_voter_goes_on() -> None:
    """Nothing has happened."""
    disk = Disk(StoreFullError("no room"))
    disk.may_write.set()
    host, running = hosted(disk)
    await asyncio.sleep(0)

    with pytest.raises(StoreFullError):
        await host.answer(PREPARE)

    disk.failure = None
    assert isinstance(await host.answer(Inquire()), Standing)
    assert disk.memory.registers == {}
    host.stop()
    await running


async def test_disk_that_fails_ends_the_voter() -> None:
    """Nobody knows what is on it."""
    disk = Disk(OSError("gone"))
    disk.may_write.set()
    host, running = hosted(disk)
    await asyncio.sleep(0)

    with pytest.raises(IndeterminateError, match="disk has failed"):
        await host.answer(PREPARE)
    with pytest.raises(OSError, match="gone"):
        await running
    with pytest.raises(UnavailableError, match="does not run"):
        await host.answer(PREPARE)


async def test_too_many_who_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of theirs has happened."""
    monkeypatch.setattr(voter_host, "WAITING_MAX", 2)
    disk = Disk()
    host, running = hosted(disk)
    await asyncio.sleep(0)
    waiting = [await asking(host, PREPARE) for _ in range(3)]

    with pytest.raises(OverloadedError, match="wait for this voter"):
        await host.answer(PREPARE)

    disk.may_write.set()
    await asyncio.gather(*waiting)
    host.stop()
    await running


async def test_peer_that_errs_does_not_end_the_voter() -> None:
    """Nor does it disturb who is answered in the same turn."""
    disk = Disk()
    disk.may_write.set()
    host, running = hosted(disk)
    await asyncio.sleep(0)
    await host.answer(Seal(SECOND))
    other = FIRST.with_replaced("b", MEMBERS["d"])

    answers = await asyncio.gather(
        host.answer(Seal(other)), host.answer(Inquire()), return_exceptions=True
    )

    assert isinstance(answers[0], PeerProtocolError)
    assert isinstance(answers[1], Standing)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_voter_that_does_not_run_answers_nothing() -> None:
    """Before it runs, and after it was stopped."""
    disk = Disk()
    host = VoterHost("a", ("a",), disk, Alone(), uniform=Random(1).uniform)

    with pytest.raises(UnavailableError, match="does not run"):
        await host.answer(Inquire())


class Peers:
    """
    A network in which others answer at once, or not at all.

    Attributes:
        answers: Of those who are there: their standing.
        before: What happens before the first of them answers.
    """

    def __init__(self, answers: dict[str, VoterAnswer]) -> None:
        self.answers = answers
        self.before: Callable[[], Awaitable[object]] | None = None

    async def ask(
        self, voter: str, request: VoterRequest, _deadline_seconds: float
    ) -> VoterAnswer:
        """See kvnode.authority.voter_port.VoterTransport."""
        if self.before is not None:
            before, self.before = self.before, None
            await before()
        if voter not in self.answers:
            msg = f"{voter} is away"
            raise UnavailableError(msg)
        answer = self.answers[voter]
        if isinstance(request, Seal) and isinstance(answer, Standing):
            assert answer.electorate is not None
            return Report(answer.voter, answer.electorate, {"s": VoterState()})
        return answer


def voting_in(name: str, electorate: Electorate | None) -> Standing:
    """Return the standing of a member."""
    memory = VoterMemory(MEMBERS[name].identity, electorate=electorate)
    return memory.standing(("a", "b", "c"))


async def test_voter_goes_on_to_a_view_that_is_in_force_without_it() -> None:
    """All others have finished before it is asked."""
    store = MemoryVoterStore(MEMBERS["b"].identity)
    store._memory = VoterMemory(MEMBERS["b"].identity, electorate=FIRST)
    peers = Peers({n: voting_in(n, SECOND) for n in "ad"})
    host = VoterHost("b", ("a", "b", "d"), store, peers, uniform=Random(1).uniform)
    running = asyncio.ensure_future(host.run())

    await until(lambda: isinstance(host.duty, Rest))

    assert store.memory.electorate == SECOND
    assert store.memory.registers == {"s": VoterState()}
    host.stop()
    await running


async def test_voter_heeds_what_it_is_told_while_it_looks_at_others() -> None:
    """Enlisted meanwhile, it pledges nothing."""
    store = MemoryVoterStore(OWN)
    peers = Peers({name: voting_in(name, None) for name in "bc"})
    host = VoterHost("a", ("a", "b", "c"), store, peers, uniform=Random(1).uniform)
    peers.before = lambda: host.answer(Enlist())
    running = asyncio.ensure_future(host.run())

    await until(lambda: "has not looked" not in repr(host.duty))

    assert store.memory == VoterMemory(OWN, barred=True)
    host.stop()
    await running


async def test_what_was_due_is_dropped_if_the_voter_is_another_meanwhile() -> None:
    """What it had to do was for whom it was."""
    disk = Disk()
    disk.may_write.set()
    host, running = hosted(disk)
    await asyncio.sleep(0)
    before = host.standing
    await host.answer(Seal(SECOND))

    await host._change(before, lambda memory: memory._replace(successor=None))

    assert disk.memory.successor == SECOND
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_own_voter_is_asked_without_the_network() -> None:
    """And others through it."""
    disk = Disk()
    host, running = hosted(disk)
    await asyncio.sleep(0)

    assert await host.ask("a", Inquire(), 1.0) == host.standing
    with pytest.raises(UnavailableError, match="b is away"):
        await host.ask("b", Inquire(), 1.0)
    with pytest.raises(IndeterminateError, match="in time"):
        await host.ask("a", PREPARE, 0.001)

    disk.may_write.set()
    host.stop()
    await running
