"""What is left of a dead replica's writes is covered once all have been asked."""

import pytest

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.commands import Put
from kvnode.core.node.events import (
    Effect,
    PeersConfigured,
    PeerUp,
    RemoveMember,
    ServeDelta,
    StartOver,
    Tell,
    Tick,
)
from kvnode.core.replication.messages import (
    DeltaPage,
    DeltaRequest,
    Push,
    Report,
    wire_entry,
)
from kvnode.core.versions.roster import NOT_CLOSED, Member, Roster, Standing
from kvnode.core.versions.store_view import DurableState, Filling
from kvnode.core.versions.version import Entry
from kvnode.types import Dot, Millis, ReplicaId
from tests.core.node.bench import Bench, address, member, sent
from tests.core.replication.entries import A, B, C, at, register

D = ReplicaId(0xD)
KEY, OTHER = at(b"k"), at(b"other")
INTERVAL = 1000


class Cluster(Bench):
    """Node A, connected to B and C; then C is removed."""

    def __init__(self) -> None:
        super().__init__()
        self.turn(PeersConfigured(()))
        for peer in (B, C):
            self.turn(PeerUp(address(peer), EMPTY, (), protocol=2))

    def told(self, entry: Entry) -> None:
        """Let C push one write, with a gap before it."""
        seq = entry.version.dot.seq
        self.hear(C, Push(C, seq, seq, (wire_entry(KEY, entry),)))

    def remove(self) -> None:
        """Declare C gone."""
        self.turn(RemoveMember(C))

    def b_says(
        self, clock: VersionVector = EMPTY, held: VersionVector = EMPTY
    ) -> list[Effect]:
        """Let B report, with the roster of A; then let a second pass."""
        roster = self.store.state().roster
        report = Report(clock, self.now, held=held, roster=roster.digest())
        self.hear(B, report)
        self.now = Millis(self.now + INTERVAL)
        return self.turn(Tick())

    def record(self, replica: ReplicaId) -> Member:
        """Return the roster's record of *replica*."""
        record = self.store.state().roster.get(replica)
        assert record is not None
        return record

    def closed_above(self, replica: ReplicaId) -> int:
        """Return what the roster says of the claims about *replica*."""
        return self.record(replica).closed_above


def test_last_write_of_a_removed_replica_is_covered_when_nobody_has_more() -> None:
    """The one before it is lost with the replica: to claim it harms nobody."""
    cluster = Cluster()
    cluster.told(register(Dot(C, 2)))
    cluster.remove()

    effects = cluster.b_says()

    assert cluster.clock == VersionVector.of({C: 2})
    assert cluster.closed_above(C) == 0
    assert any(isinstance(e, Tell) and "is gone" in e.message for e in effects)


def test_write_of_a_replica_that_counts_is_never_covered_with_a_gap() -> None:
    """It may be slow, and what is missing may come."""
    cluster = Cluster()
    cluster.told(register(Dot(C, 2)))

    cluster.b_says()

    assert not cluster.clock


def test_nothing_is_closed_before_every_member_knows_of_the_removal() -> None:
    """One that does not may still take in what the replica sends it."""
    cluster = Cluster()
    cluster.told(register(Dot(C, 2)))
    roster = cluster.store.state().roster
    cluster.remove()

    cluster.hear(B, Report(EMPTY, cluster.now, roster=roster.digest()))
    cluster.now = Millis(cluster.now + INTERVAL)
    cluster.turn(Tick())

    assert not cluster.clock


def test_what_another_member_holds_is_taken_first() -> None:
    """B has a later write of the dead, with a gap of its own."""
    cluster = Cluster()
    cluster.told(register(Dot(C, 2)))
    cluster.remove()
    held = EMPTY.with_range(C, 4, 4)

    asked = sent(cluster.b_says(held=held), DeltaRequest)

    assert not cluster.clock
    [(peer, request)] = asked
    assert peer == B
    assert isinstance(request, DeltaRequest)
    page = DeltaPage(
        request.session, 0, EMPTY, (wire_entry(OTHER, register(Dot(C, 4))),), last=True
    )
    cluster.hear(B, page)
    assert not cluster.clock
    cluster.b_says(held=held)

    assert cluster.clock == VersionVector.of({C: 4})
    assert cluster.entry(OTHER) is not None


def test_writes_that_only_a_recovery_file_has_are_covered_too() -> None:
    """Sessions that have seen them would be refused for ever."""
    cluster = Cluster()
    cluster.told(register(Dot(C, 1)))
    record = cluster.store.state().roster.get(C)
    assert record is not None
    over = record._replace(standing=Standing.REMOVED, given_up=3)
    cluster.hear(B, Report(EMPTY, cluster.now, roster=1, members=(over,)))
    assert cluster.clock == VersionVector.of({C: 1})

    cluster.b_says()

    assert cluster.clock == VersionVector.of({C: 3})
    assert cluster.closed_above(C) == 1, "the rest is nowhere among members"


def test_what_a_member_covers_is_waited_for() -> None:
    """It comes with a delta, as ever, and nothing is lost that somebody has."""
    cluster = Cluster()
    cluster.told(register(Dot(C, 3)))
    cluster.remove()

    cluster.b_says(clock=VersionVector.of({C: 1}))

    assert not cluster.clock
    assert cluster.closed_above(C) == NOT_CLOSED


def test_write_that_depends_on_what_may_come_waits_for_it() -> None:
    """I2: B is there, and will tell its first write."""
    cluster = Cluster()
    dependent = register(Dot(C, 2))
    version = dependent.version._replace(dependencies=(Dot(B, 1),))
    cluster.told(dependent._replace(version=version))
    cluster.remove()

    cluster.b_says()
    assert not cluster.clock

    first = Push(B, 1, 1, (wire_entry(OTHER, register(Dot(B, 1))),))
    cluster.hear(B, first)
    cluster.b_says(clock=VersionVector.of({B: 1}))

    assert cluster.clock == VersionVector.of({B: 1, C: 2})


def test_what_a_write_of_the_dead_needs_of_another_one_is_told_as_closed_too() -> None:
    """It may not be dead, and would take the claim for knowledge of what it wrote."""
    cluster = Cluster()
    dependent = register(Dot(C, 1))
    version = dependent.version._replace(dependencies=(Dot(D, 1),))
    cluster.told(dependent._replace(version=version))
    gone = Member(D, "d-site", standing=Standing.REMOVED)
    cluster.hear(B, Report(EMPTY, cluster.now, roster=1, members=(gone,)))
    cluster.remove()

    cluster.b_says()

    assert cluster.clock == VersionVector.of({C: 1, D: 1})
    assert cluster.closed_above(D) == 0


def test_removed_replica_is_let_go_and_not_met_again() -> None:
    """M2: nobody's hearsay makes it a member again."""
    cluster = Cluster()
    cluster.remove()
    roster = cluster.store.state().roster
    record = roster.get(C)
    assert record is not None

    cluster.turn(PeerUp(address(C), EMPTY, (), protocol=2))
    back = record._replace(standing=type(record.standing)(0), incarnation=99)
    cluster.hear(B, Report(EMPTY, cluster.now, roster=1, members=(back,)))

    assert C not in cluster.node.peers
    assert cluster.store.state().roster.gone(C)


def _hears_of_a_closing(*, covered: int, knew: bool = False) -> list[Effect]:
    """Let a node that covers so many writes of C hear that B gave up all but one."""
    bench = Bench()
    bench.turn(PeersConfigured(()))
    bench.meet(B)
    bench.meet(C)
    for seq in range(1, covered + 1):
        entry = register(Dot(C, seq))
        bench.hear(C, Push(C, seq, seq, (wire_entry(KEY, entry),)))
    removed = member(C)._replace(standing=Standing.REMOVED)
    if knew:
        bench.hear(B, Report(EMPTY, bench.now, members=(removed,)))
    closed = removed._replace(closed_above=1)
    return bench.hear(B, Report(EMPTY, bench.now, members=(closed,)))


def test_who_has_what_all_others_have_given_up_starts_over() -> None:
    """They claim to have it, would never ask for it, and hold something else for it."""
    [effect] = [e for e in _hears_of_a_closing(covered=3) if isinstance(e, StartOver)]

    assert "given up" in effect.reason


@pytest.mark.parametrize(("covered", "knew"), [(1, False), (0, False), (3, True)])
def test_closing_is_no_news_to_who_has_no_more_or_has_agreed_to_it(
    *, covered: int, knew: bool
) -> None:
    """A delta may bring the claim before a report brings the closing."""
    effects = _hears_of_a_closing(covered=covered, knew=knew)

    assert not any(isinstance(effect, StartOver) for effect in effects)


@pytest.mark.parametrize(("kept", "starts_over"), [(1, False), (3, True)])
def test_who_is_being_filled_has_not_agreed_to_a_closing(
    *, kept: int, starts_over: bool
) -> None:
    """It knew of the removal, and was no member yet, or could not be asked."""
    removed = member(C)._replace(standing=Standing.REMOVED)
    clock = EMPTY.with_range(C, 1, kept)
    roster = Roster((member(A), removed))
    bench = Bench(
        state=DurableState(A, clock, roster=roster, filling=Filling(after=None))
    )
    bench.meet(B, EMPTY.with_range(B, 1, 1))
    closed = removed._replace(closed_above=1)

    effects = bench.hear(B, Report(EMPTY, bench.now, members=(closed,)))

    assert any(isinstance(effect, StartOver) for effect in effects) == starts_over


def test_who_is_filled_hears_of_closings_before_the_first_page() -> None:
    """
    The hello of its donor may be from before them, far away or on a slow link.

    Filled without knowing, it would serve what others claim to have and have not, until
    a report came.
    """
    removed = member(C)._replace(standing=Standing.REMOVED)
    closed = removed._replace(closed_above=1)
    clock = EMPTY.with_range(B, 1, 1).with_range(C, 1, 3)
    donor = Bench(state=DurableState(A, clock, roster=Roster((member(A), closed))))
    kept = EMPTY.with_range(C, 3, 3)
    roster = Roster((member(A), removed))
    newcomer = Bench(state=DurableState(A, kept, roster=roster, filling=Filling()))
    [(_, request)] = sent(
        newcomer.meet(B, EMPTY.with_range(B, 1, 1), members=(member(B), removed)),
        DeltaRequest,
    )
    donor.meet(B, filling=True)

    effects = donor.hear(B, request)
    before = effects[: effects.index(ServeDelta(B, request))]  # type: ignore[arg-type]  # it is one
    effects = newcomer.hear(B, *(report for _, report in sent(before, Report)))

    assert any(isinstance(effect, StartOver) for effect in effects)


@pytest.mark.parametrize("knew", [False, True])
@pytest.mark.parametrize("gap", [False, True])
def test_who_has_more_than_the_end_of_a_replica_starts_over(
    *, knew: bool, gap: bool
) -> None:
    """Sessions have been told that nobody has it: a copy of the store, say, may."""
    bench = Bench()
    bench.turn(PeersConfigured(()))
    bench.meet(B)
    bench.meet(C)
    seq = 2 if gap else 1
    bench.hear(C, Push(C, seq, seq, (wire_entry(KEY, register(Dot(C, seq))),)))
    if not gap:
        bench.write(Put(KEY, b"later"))  # then it is covered, and not stored
    removed = member(C)._replace(standing=Standing.REMOVED)
    if knew:
        bench.hear(B, Report(EMPTY, bench.now, members=(removed,)))

    ended = removed._replace(fenced_from=1, lost_above=0)
    effects = bench.hear(B, Report(EMPTY, bench.now, members=(ended,)))

    assert [type(e) for e in effects if isinstance(e, StartOver)] == [StartOver]
