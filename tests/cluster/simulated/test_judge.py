"""What the judge of every commit takes for a broken rule, and what not."""

from dataclasses import replace

import pytest

from cluster.simulated.chance import Chance
from cluster.simulated.disk import Disk
from cluster.simulated.judge import Judge
from cluster.simulated.loop import VirtualLoop
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.roster import NOBODY, Member, Roster, Standing
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
    judge.is_gone(replica)

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
        self.now = 0.0
        self.judge = Judge(lambda: self.now)
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

    def mark(self, name: str, roster: Roster = NOBODY) -> None:
        """Have *name*, of that *roster*, be told to start over."""
        state = self.disks[name].state()
        self.commit(name, replace(state, start_over=MARK, roster=roster))

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


@pytest.mark.parametrize("lacks", [False, True])
@pytest.mark.parametrize("replaced", [False, True])
def test_claims_are_judged_again_when_the_mark_goes(
    *, lacks: bool, replaced: bool
) -> None:
    """I1: what was dropped under it must not be claimed, by whatever name."""
    cluster = Cluster()
    origin, other = cluster.replica("origin"), cluster.replica("other")
    entry = register(Dot(origin, 1))
    put, clock = Write(KEY, entry, None), VersionVector.of({origin: 1})
    cluster.commit("origin", DurableState(origin, clock, seq=1), put)
    cluster.commit("other", DurableState(other, clock), put)
    drop = [Write(KEY, None, entry.version)] if lacks else []
    cluster.commit("other", DurableState(other, clock, start_over=MARK), *drop)

    after = ReplicaId(7) if replaced else other
    cluster.commit("other", DurableState(after, clock))

    assert bool(cluster.complaints("I1")) == lacks


# -- what is given up (docs/decisions/0015) ---------------------------------------


def given_up(*, gone: bool = True, closed: bool = True) -> Cluster:
    """
    Return a cluster in which a member claims what only another one has.

    Args:
        gone: Whether the other one was removed.
        closed: Whether the member's roster says that it claims what it lacks.
    """
    cluster = Cluster()
    held(cluster, "origin")
    origin, other = cluster.replica("origin"), cluster.replica("other")
    if gone:
        cluster.judge.is_gone(origin)
    record = Member(origin, "origin", standing=Standing.REMOVED)
    roster = Roster((record._replace(closed_above=0) if closed else record,))
    claims = DurableState(other, VersionVector.of({origin: 1}), roster=roster)
    cluster.commit("other", claims)
    return cluster


def test_write_is_given_up_that_only_a_removed_node_has() -> None:
    """Nobody can ask that one, which runs on and covers as much as the others."""
    cluster = given_up()
    cluster.commit("origin", cluster.disks["origin"].state())

    assert cluster.judge.violations() == ()


@pytest.mark.parametrize(("gone", "closed"), [(False, True), (True, False)])
def test_nothing_else_is_claimed_that_somebody_has(*, gone: bool, closed: bool) -> None:
    """I1: not if a member has it, nor if members have not agreed on it."""
    assert given_up(gone=gone, closed=closed).complaints("I1")


@pytest.mark.parametrize("gone", [False, True])
def test_what_was_lost_with_a_removed_node_stays_so(*, gone: bool) -> None:
    """
    What replaces it only seems to hold it: who has not got that yet may claim it, too.

    Found by cas-register under mixed,member-churn, seed 750000439.
    """
    cluster = Cluster()
    held(cluster, "origin")
    origin, other = cluster.replica("origin"), cluster.replica("other")
    late = cluster.replica("late")
    cluster.judge.is_gone(origin)
    drop = Write(KEY, None, register(Dot(origin, 1)).version)
    cluster.commit("origin", DurableState(ReplicaId(7), filling=Filling()), drop)
    roster = Roster((Member(origin, "origin", standing=Standing.REMOVED),))
    clock = VersionVector.of({origin: 1})
    cluster.commit("other", DurableState(other, clock, roster=roster))
    newer = register(Dot(other, 1))
    newer = newer._replace(version=newer.version._replace(hlc=HlcTimestamp(2**40)))
    cluster.commit(
        "other",
        DurableState(
            other, VersionVector.of({origin: 1, other: 1}), seq=1, roster=roster
        ),
        Write(KEY, newer, None),
    )
    assert cluster.complaints("I1") == []

    claims = DurableState(late, clock, roster=roster if gone else Roster())
    cluster.commit("late", claims)

    assert bool(cluster.complaints("I1")) is not gone


@pytest.mark.parametrize("kept", [False, True])
def test_what_is_given_up_is_put_aside_by_whoever_has_it(*, kept: bool) -> None:
    """Dropped, it would be lost in silence; kept, it would never reach the others."""
    cluster = given_up()
    state = cluster.disks["origin"].state()
    mark = MARK._replace(covered=state.clock)
    marked = replace(state, start_over=mark)
    drop = Write(KEY, None, register(Dot(state.replica, 1)).version)
    cluster.commit("origin", marked, *([] if kept else [drop]))
    cluster.commit("origin", DurableState(ReplicaId(7), filling=Filling()))

    assert cluster.complaints("rescued")


def test_members_of_equal_clock_hold_the_same_whatever_is_given_up() -> None:
    """Only the store of who is gone is another matter."""
    cluster = given_up()
    claims = cluster.disks["other"].state()
    claims = replace(claims, clock=claims.clock.with_range(B, 1, 1))
    third = cluster.replica("third")
    put = Write(at(b"more"), register(Dot(B, 1)), None)
    cluster.commit("third", replace(claims, replica=third), put)

    cluster.commit("other", claims)

    assert cluster.complaints("equal")


# -- what is lost for good (docs/decisions/0034) ----------------------------------


def ended(cluster: Cluster, *members: str, end: int = 1) -> Roster:
    """Return a roster of *members* that says C has written *end* things and no more."""
    living = [Member(cluster.replica(name), name) for name in members]
    gone = Member(C, "c", standing=Standing.REMOVED, fenced_from=end + 1)
    return Roster((*living, gone._replace(lost_above=end)))


@pytest.mark.parametrize("seq", [1, 2])
@pytest.mark.parametrize("covered", [False, True])
def test_what_is_told_to_be_lost_comes_to_no_member(*, seq: int, covered: bool) -> None:
    """Be it that one has heard of the end by then or not, and covers it or not."""
    cluster = Cluster()
    here, there = cluster.replica("here"), cluster.replica("there")
    roster = ended(cluster, "here", "there")
    cluster.commit("here", DurableState(here, roster=roster))

    clock = EMPTY.with_range(C, seq, seq) if covered else EMPTY
    put = Write(KEY, register(Dot(C, seq)), None)
    cluster.commit("there", DurableState(there, clock), put)

    assert bool(cluster.complaints("lost")) == (seq == 2)


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("covered", [False, True])
def test_nothing_is_told_to_be_lost_that_a_member_has(
    *, counts: bool, covered: bool
) -> None:
    """One that nobody had met by then is none; it starts over when it hears of it."""
    cluster = Cluster()
    here, there = cluster.replica("here"), cluster.replica("there")
    if covered:
        cluster.commit("there", DurableState(there, EMPTY.with_range(C, 2, 2)))
    else:
        put = Write(KEY, register(Dot(C, 2)), None)
        cluster.commit("there", DurableState(there), put)

    members = ("here", "there") if counts else ("here",)
    cluster.commit("here", DurableState(here, roster=ended(cluster, *members)))

    assert bool(cluster.complaints("lost")) == counts


@pytest.mark.parametrize("in_both", [False, True])
def test_earlier_end_binds_those_who_agreed_to_it(*, in_both: bool) -> None:
    """Those cut off have declared the others gone, which had agreed to a later one."""
    cluster = Cluster()
    here, there = cluster.replica("here"), cluster.replica("there")
    roster = ended(cluster, "here", end=2)
    cluster.commit("here", DurableState(here, EMPTY.with_range(C, 1, 2), roster=roster))

    members = ("there", "here") if in_both else ("there",)
    roster = ended(cluster, *members, end=1)
    cluster.commit("there", DurableState(there, roster=roster))
    assert bool(cluster.complaints("lost")) == in_both


@pytest.mark.parametrize(("seq", "lost"), [(1, False), (2, False), (3, True)])
def test_later_end_goes_on_binding_those_who_agreed_to_it(
    *, seq: int, lost: bool
) -> None:
    """Others agree on an earlier one: to that these have not agreed."""
    cluster = Cluster()
    here, there = cluster.replica("here"), cluster.replica("there")
    roster = ended(cluster, "here", end=2)
    cluster.commit("here", DurableState(here, roster=roster))
    roster = ended(cluster, "there", end=1)
    cluster.commit("there", DurableState(there, roster=roster))

    put = Write(KEY, register(Dot(C, seq)), None)
    cluster.commit("here", DurableState(here), put)

    assert bool(cluster.complaints("lost")) == lost


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize(("seq", "lost"), [(2, False), (3, True)])
def test_later_end_that_is_agreed_on_afterwards_binds_as_well(
    *, seq: int, lost: bool, heard: bool
) -> None:
    """Its members know nothing of the earlier one, and it is what they are told."""
    cluster = Cluster()
    here, there = cluster.replica("here"), cluster.replica("there")
    other = cluster.replica("other")
    roster = ended(cluster, "there", end=1)
    cluster.commit("there", DurableState(there, roster=roster))
    roster = ended(cluster, "here", "other", end=2)
    cluster.commit("here", DurableState(here, roster=roster))

    put = Write(KEY, register(Dot(C, seq)), None)
    state = DurableState(other, roster=roster) if heard else DurableState(other)
    cluster.commit("other", state, put)

    assert bool(cluster.complaints("lost")) == lost


def test_newcomer_that_has_heard_of_the_end_takes_in_nothing_behind_it() -> None:
    """It may have had that before, and starts over; it must not get it afterwards."""
    cluster = Cluster()
    here, late = cluster.replica("here"), cluster.replica("late")
    roster = ended(cluster, "here")
    cluster.commit("here", DurableState(here, roster=roster))

    put = Write(KEY, register(Dot(C, 2)), None)
    cluster.commit("late", DurableState(late, roster=roster), put)

    assert cluster.complaints("lost")


# -- who must start over (G1, G2b, D10) -------------------------------------------


def held(cluster: Cluster, name: str) -> None:
    """Have *name* hold a write of its own."""
    replica = cluster.replica(name)
    put = Write(KEY, register(Dot(replica, 1)), None)
    state = DurableState(replica, VersionVector.of({replica: 1}), seq=1)
    cluster.commit(name, state, put)


@pytest.mark.parametrize("gone", [False, True])
def test_member_must_not_start_over_unless_it_was_removed(*, gone: bool) -> None:
    """G1: nothing is forgotten without it."""
    cluster = Cluster()
    held(cluster, "node")
    if gone:
        cluster.judge.is_gone(cluster.replica("node"))

    cluster.mark("node")

    assert bool(cluster.complaints("member")) == (not gone)


def test_replica_that_has_started_over_must_not_again() -> None:
    """D10: whoever filled it has let it in."""
    cluster = Cluster()
    held(cluster, "node")
    cluster.judge.is_gone(cluster.replica("node"))
    cluster.mark("node")
    fresh = ReplicaId(7)
    cluster.commit("node", DurableState(fresh, filling=Filling()))
    covered = VersionVector.of({B: 1})
    cluster.commit("node", DurableState(fresh, covered))

    cluster.mark("node")

    assert cluster.complaints("member")


def let_in(cluster: Cluster, host: str, who: str, state: DurableState) -> None:
    """Have *host* be in *state*, and take *who* for a member."""
    roster = Roster((Member(cluster.replica(who), who),))
    cluster.commit(host, replace(state, roster=roster))


@pytest.mark.parametrize("held_back", ["", "not let in", "by one being filled"])
def test_newcomer_must_not_start_over_once_it_covers_what_its_host_did(
    held_back: str,
) -> None:
    """G1: from then on nothing is forgotten without it."""
    cluster = Cluster()
    host, new = cluster.replica("host"), cluster.replica("new")
    cluster.judge.is_new(new)
    covered = VersionVector.of({B: 1})
    filling = Filling() if held_back == "by one being filled" else None
    if held_back != "not let in":
        let_in(cluster, "host", "new", DurableState(host, covered, filling=filling))
    cluster.commit("new", DurableState(new, covered))

    cluster.mark("new")

    assert bool(cluster.complaints("member")) == (not held_back)


def started_over(cluster: Cluster, host: str) -> DurableState:
    """
    Have *node* start over, and keep the second write of C, who is gone.

    Returns:
        Its state: *host* has filled it, and let it in.
    """
    held(cluster, "node")
    cluster.judge.is_gone(cluster.replica("node"))
    cluster.judge.is_gone(C)
    cluster.mark("node")
    kept = EMPTY.with_range(C, 2, 2)
    cluster.commit("node", DurableState(ReplicaId(7), kept, filling=Filling()))
    let_in(cluster, host, "node", DurableState(cluster.replica(host), COVERED))
    return DurableState(ReplicaId(7), kept.join(COVERED))


@pytest.mark.parametrize("agreed", [False, True])
@pytest.mark.parametrize("knows", [False, True])
@pytest.mark.parametrize("has_it", [False, True])
def test_who_has_what_is_lost_starts_over_if_it_has_not_agreed_to_that(
    *, agreed: bool, knows: bool, has_it: bool
) -> None:
    """
    Though it has started over before, and was let in (decision 34).

    Found by deletes under mixed,member-churn, seed 20010571.
    """
    cluster = Cluster()
    host = cluster.replica("host")
    state = started_over(cluster, "host")
    if not has_it:
        state = replace(state, clock=COVERED)
    cluster.commit("node", state)
    members = ("host", "node") if agreed else ("host",)
    roster = ended(cluster, *members)
    cluster.commit("host", DurableState(host, COVERED, roster=roster))

    cluster.mark("node", roster if knows else NOBODY)

    assert bool(cluster.complaints("member")) == (agreed or not knows or not has_it)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("brought", [False, True])
def test_newcomer_may_start_over_for_what_the_rest_of_the_turn_has_brought(
    *, before: bool, brought: bool
) -> None:
    """
    It lacked the floor when it heard of it: it has become a member since (G2b).

    Not if it was one already, nor if it lacks the floor still: then that was made
    without it (G1).  Found by deletes under mixed,restore-backup, seed 20010546.
    """
    cluster = Cluster()
    host, new = cluster.replica("host"), cluster.replica("new")
    cluster.judge.is_new(new)
    let_in(cluster, "host", "new", DurableState(host, COVERED))
    if before:
        cluster.commit("new", DurableState(new, COVERED))
    vector = COVERED if brought else COVERED.with_range(C, 1, 1)
    mark = StartOver(vector, Floor(vector, HlcTimestamp(50)))

    cluster.commit("new", DurableState(new, COVERED, start_over=mark))

    assert bool(cluster.complaints("member")) == (before or not brought)


@pytest.mark.parametrize("standing", list(Standing))
def test_store_with_nothing_in_it_starts_over_only_if_it_was_removed(
    standing: Standing,
) -> None:
    """D10: it is filled, and nothing of it has to be judged."""
    cluster = Cluster()
    new = cluster.replica("new")
    cluster.judge.is_new(new)

    cluster.mark("new", Roster((Member(new, "new", standing=standing),)))

    assert bool(cluster.complaints("member")) == (standing is Standing.MEMBER)


def marked_with(*, pushed: int, marked: int) -> list[str]:
    """
    Return what is said of a new store that has a push and a mark, and no more.

    Args:
        pushed: In which commit it takes the push in.
        marked: In which commit it is told to start over.
    """
    cluster = Cluster()
    new = cluster.replica("new")
    cluster.judge.is_new(new)
    for number in sorted({pushed, marked}):
        mark = MARK if number >= marked else None
        writes = [Write(KEY, register(DOT), None)] if number == pushed else []
        cluster.commit("new", DurableState(new, start_over=mark), *writes)
    return cluster.complaints("member")


@pytest.mark.parametrize("marked", [1, 2])
def test_store_that_holds_what_was_pushed_may_start_over(marked: int) -> None:
    """
    G2b: that may be older than what is forgotten, be it of the same turn or not.

    Found by counter under mixed,wipe, seed 8100461: a push and the floor came in one
    turn, and the judge looked at what had been there before it.
    """
    assert marked_with(pushed=1, marked=marked) == []


def test_what_is_pushed_after_the_mark_is_no_reason_for_it() -> None:
    """D10: there was nothing when it was told to start over."""
    assert marked_with(pushed=2, marked=1)


def test_what_leaves_a_store_with_nothing_is_no_reason_to_start_over() -> None:
    """D10: a commit of drops alone brings nothing that would have to be judged."""
    cluster = Cluster()
    new = cluster.replica("new")
    cluster.judge.is_new(new)
    drop = Write(KEY, None, register(DOT).version)

    cluster.commit("new", DurableState(new, start_over=MARK), drop)

    assert cluster.complaints("member")


# -- who must not answer (D10) ----------------------------------------------------

COVERED = VersionVector.of({B: 1})


def answered(
    state_of_peer: DurableState | None,
    *,
    met: bool = True,
    new_at: float = 2.0,
    seq: int = 0,
    somebody_has_something: bool = True,
) -> bool:
    """
    Tell whether an empty node must not have answered.

    Args:
        state_of_peer: Of a peer, at one second; None = it stays as it was.
        met: Whether it has met that one.
        new_at: When it started.
        seq: How much was written here.
        somebody_has_something: Whether a third node has.
    """
    cluster = Cluster()
    peer, third = cluster.replica("peer"), cluster.replica("third")
    if somebody_has_something:
        cluster.commit("third", DurableState(third, COVERED))
    cluster.now = 1.0
    if state_of_peer is not None:
        cluster.commit("peer", replace(state_of_peer, replica=peer))
    cluster.now = new_at
    new = cluster.replica("new")
    roster = Roster((Member(peer, "peer"),)) if met else NOBODY
    state = DurableState(new, roster=roster, seq=seq)
    cluster.commit("new", state)
    cluster.now = 3.0

    cluster.judge.answered("new", state, {peer} if met else ())

    return bool(cluster.complaints("served"))


@pytest.mark.parametrize(
    "peer", [DurableState(B, COVERED), DurableState(B, filling=Filling())]
)
def test_node_with_nothing_answers_nobody_when_it_has_met_one_that_has_more(
    peer: DurableState,
) -> None:
    """D10: or that has less than it should, which its hello says."""
    assert answered(peer)
    assert not answered(peer, met=False)
    assert not answered(peer, seq=1)
    assert not answered(peer, new_at=0.5), "they may have met before"


def test_new_nodes_answer() -> None:
    """A cluster must begin somewhere."""
    assert not answered(None)
    assert not answered(
        DurableState(B, filling=Filling()), somebody_has_something=False
    )


@pytest.mark.parametrize("dropped", [False, True])
def test_store_that_is_replaced_answers_nobody(*, dropped: bool) -> None:
    """Half of its entries may be gone; before that, it is as it was."""
    cluster = Cluster()
    held(cluster, "node")
    state = cluster.disks["node"].state()
    drop = Write(KEY, None, register(Dot(state.replica, 1)).version)
    marked = replace(state, start_over=MARK)
    cluster.commit("node", marked, *([drop] if dropped else []))

    cluster.judge.answered("node", marked, ())

    assert bool(cluster.complaints("served")) == dropped


def test_store_that_is_filled_answers_nobody() -> None:
    """What it holds is no state that ever was."""
    cluster = Cluster()
    state = DurableState(cluster.replica("node"), filling=Filling())
    cluster.commit("node", state)

    cluster.judge.answered("node", state, ())

    assert cluster.complaints("served")
