"""What the judge of every commit takes for a broken rule, and what not."""

from dataclasses import replace

import pytest

from cluster.simulated.chance import Chance
from cluster.simulated.disk import Disk
from cluster.simulated.judge import Judge
from cluster.simulated.loop import VirtualLoop
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.roster import Member, Roster
from kvnode.core.versions.store_view import (
    Commit,
    DurableState,
    Filling,
    StartOver,
    Write,
)
from kvnode.storage.durability import Durability
from kvnode.types import Dot, HlcTimestamp, ReplicaId
from tests.core.replication.entries import B, C, at, register

KEY = at(b"k")
DOT = Dot(C, 2)
MARK = StartOver(
    VersionVector.of({B: 1}), Floor(VersionVector.of({B: 1}), HlcTimestamp(50))
)


def complaints(clock: VersionVector, filling: Filling | None) -> tuple[str, ...]:
    """
    Return what is said of a store that starts over and drops all without a rescue.

    Args:
        clock: What it claims.
        filling: Whether a bootstrap was under way, and how far it was.
    """
    disk = Disk("node", Chance(0), Durability.FSYNC)
    disk.open()
    judge = Judge(lambda: 0.0)
    judge.opened("node", disk)
    disk.on_applied = lambda commit: judge.applied("node", commit)
    replica = disk.state().replica
    judge.may_start_over(replica)

    async def main() -> None:
        entry = register(DOT, hlc=10)
        state = DurableState(replica, clock, filling=filling)
        await disk.apply(Commit(state, (Write(KEY, entry, None),)))
        marked = DurableState(replica, clock, filling=filling, start_over=MARK)
        await disk.apply(Commit(marked))
        await disk.apply(Commit(marked, (Write(KEY, None, entry.version),)))

    VirtualLoop(Chance(0)).run_until_complete(main())  # type: ignore[abstract]
    return judge.violations()


def test_what_a_bootstrap_has_brought_need_not_be_rescued() -> None:
    """Its donor has it, covered or not, and the next one brings it again (G2b)."""
    assert complaints(EMPTY, Filling()) == ()


@pytest.mark.parametrize(
    ("clock", "filling"),
    [
        (VersionVector.of({C: 2}), Filling()),
        (VersionVector.of({C: 2}), None),
        (EMPTY, None),
    ],
)
def test_judge_sees_what_is_dropped_and_was_only_here(
    clock: VersionVector, filling: Filling | None
) -> None:
    """Whether it was claimed in a bootstrap, or held by a store that was whole."""
    [complaint] = complaints(clock, filling)

    assert complaint.startswith("rescued: ")


class Cluster:
    """Disks, and a judge that sees all that is committed to them."""

    def __init__(self) -> None:
        self.judge = Judge(lambda: 0.0)
        self.disks: dict[str, Disk] = {}

    def replica(self, name: str) -> ReplicaId:
        """Return who *name* is; its disk is made if there is none."""
        if name not in self.disks:
            chance = Chance(len(self.disks))  # another identity for each
            disk = self.disks[name] = Disk(name, chance, Durability.FSYNC)
            disk.open()
            self.judge.opened(name, disk)
            disk.on_applied = lambda commit: self.judge.applied(name, commit)
        return self.disks[name].state().replica

    def commit(self, name: str, state: DurableState, *writes: Write) -> None:
        """Make *state* and *writes* durable at *name*."""
        apply = self.disks[name].apply(Commit(state, writes))
        VirtualLoop(Chance(0)).run_until_complete(apply)  # type: ignore[abstract]

    def let_in(self, name: str, who: str, *, filling: Filling | None = None) -> None:
        """Have *name*, which may be being filled, take *who* for a member."""
        roster = Roster((Member(self.replica(who), who),))
        state = DurableState(self.replica(name), roster=roster, filling=filling)
        self.commit(name, state)

    def mark(self, name: str) -> None:
        """Have *name* be told to start over."""
        self.commit(name, DurableState(self.replica(name), start_over=MARK))

    def start_over(self, name: str, fresh: ReplicaId) -> None:
        """Have *name*, which may do so, start over as *fresh*, and be filled."""
        self.judge.may_start_over(self.replica(name))
        self.mark(name)
        roster = Roster((Member(fresh, name),))
        state = DurableState(fresh, roster=roster, filling=Filling())
        self.commit(name, state)
        self.commit(name, replace(state, filling=None))

    def complaints(self, rule: str) -> list[str]:
        """Return what the judge has said of *rule*."""
        return [v for v in self.judge.violations() if v.startswith(f"{rule}: ")]


@pytest.mark.parametrize("mark", [None, MARK])
def test_opened_store_lacks_what_it_covers_only_while_it_starts_over(
    mark: StartOver | None,
) -> None:
    """I1: the clock of a marked store tells what it had, and nobody is told of it."""
    cluster = Cluster()
    origin, other = cluster.replica("origin"), cluster.replica("other")
    entry = register(Dot(origin, 1))
    put, clock = Write(KEY, entry, None), VersionVector.of({origin: 1})
    cluster.commit("origin", DurableState(origin, clock, seq=1), put)
    cluster.commit("other", DurableState(other, clock), put)
    state = DurableState(other, clock, start_over=mark)

    cluster.commit("other", state, Write(KEY, None, entry.version))
    cluster.judge.opened("other", cluster.disks["other"])

    assert bool(cluster.complaints("I1")) == (mark is None)


@pytest.mark.parametrize(
    "who", ["nobody", "a member", "an outsider being filled", "an outsider elsewhere"]
)
def test_replica_that_has_started_over_must_not_again(who: str) -> None:
    """G1, D10: whoever fills it lets it in, and nothing is forgotten without it."""
    cluster = Cluster()
    cluster.start_over("node", ReplicaId(7))
    if who.startswith("an outsider"):
        cluster.judge.may_start_over(cluster.replica("outsider"))
    if who == "a member":
        cluster.let_in("member", "node")
    elif who == "an outsider being filled":
        cluster.let_in("outsider", "node", filling=Filling())
    elif who == "an outsider elsewhere":
        cluster.let_in("outsider", "member")

    cluster.mark("node")

    assert cluster.complaints("member")


def test_replica_that_an_outsider_let_in_may_start_over_again() -> None:
    """Nobody waits for a member of which a removed node alone has heard."""
    cluster = Cluster()
    cluster.start_over("node", ReplicaId(7))
    cluster.judge.may_start_over(cluster.replica("outsider"))
    cluster.let_in("outsider", "node")
    cluster.let_in("member", "node")

    cluster.mark("node")

    assert not cluster.complaints("member")


@pytest.mark.parametrize("between", ["started over", "empty"])
def test_whom_an_outsider_let_in_makes_nobody_a_member(between: str) -> None:
    """What it was filled with is from before the floor, and so is what it fills."""
    cluster = Cluster()
    cluster.judge.may_start_over(cluster.replica("outsider"))
    if between == "empty":
        cluster.judge.is_empty(cluster.replica("between"))
    else:
        cluster.start_over("between", ReplicaId(7))
    cluster.start_over("node", ReplicaId(8))
    cluster.let_in("outsider", "between")
    cluster.let_in("member", "between")
    cluster.let_in("between", "node")

    cluster.mark("node")

    assert not cluster.complaints("member")


@pytest.mark.parametrize("removed", [False, True])
def test_empty_replica_that_a_member_let_in_is_one(*, removed: bool) -> None:
    """It lets others in, until it is removed; whether it was filled nobody can see."""
    cluster = Cluster()
    cluster.judge.is_empty(cluster.replica("new"))
    if removed:
        cluster.judge.may_start_over(cluster.replica("new"))
    cluster.start_over("node", ReplicaId(7))
    cluster.let_in("member", "new")
    cluster.let_in("new", "node")

    cluster.mark("new")
    assert not cluster.complaints("member")
    cluster.mark("node")

    assert bool(cluster.complaints("member")) == (not removed)


def test_removed_member_is_an_outsider_again() -> None:
    """Whom it lets in before it hears of it, nobody else has heard of."""
    cluster = Cluster()
    cluster.judge.is_empty(cluster.replica("new"))
    cluster.let_in("member", "new")
    cluster.judge.may_start_over(cluster.replica("new"))
    cluster.start_over("node", ReplicaId(7))
    cluster.let_in("new", "node")

    cluster.mark("node")

    assert not cluster.complaints("member")
