"""A node leaves when the others have all it has, and takes no write after that."""

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.commands import Put, Reason, Refused
from kvnode.core.node.events import (
    Disconnect,
    LeaveCluster,
    PeerUp,
    RemoveMember,
    Reply,
    StartOver,
)
from kvnode.core.replication.messages import Report
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.roster import Member, Standing
from kvnode.types import EntryKey, HlcTimestamp, Millis, Namespace
from tests.core.node.bench import NAMES, START, Bench, address, sent
from tests.core.replication.entries import A, B, C

KEY = EntryKey(Namespace("default"), b"k")


def _standing(bench: Bench) -> Standing | None:
    record = bench.store.state().roster.get(A)
    return record.standing if record else None


def _member(replica: int, standing: Standing = Standing.MEMBER) -> Member:
    name = NAMES[replica]  # type: ignore[index]  # a ReplicaId at run time
    return Member(replica, name, standing=standing)  # type: ignore[arg-type]


def _joined(bench: Bench, clock: VersionVector = EMPTY) -> None:
    """Connect B, which speaks the protocol of now and covers *clock*."""
    bench.turn(PeerUp(address(B), clock, (), (_member(B),), protocol=2))


def _report(
    clock: VersionVector, held: VersionVector = EMPTY, roster: int = 0
) -> Report:
    return Report(clock, START, held=held, roster=roster)


def test_node_leaves_once_a_member_has_all_it_has() -> None:
    """Then, and not before; those connected are told."""
    bench = Bench()
    _joined(bench)
    bench.write(Put(KEY, b"v"))

    assert sent(bench.turn(LeaveCluster()), Report) == []
    assert _standing(bench) is Standing.MEMBER

    bench.hear(B, _report(VersionVector.of({A: 1})))
    effects = bench.turn(LeaveCluster())

    assert _standing(bench) is Standing.LEFT
    [(peer, report)] = sent(effects, Report)
    assert peer == B
    assert isinstance(report, Report)
    assert _member(A)._replace(standing=Standing.LEFT, region="east") in report.members


def test_what_a_member_holds_uncovered_is_not_only_here() -> None:
    """Nobody may ever cover it: that must not keep a node for ever."""
    bench = Bench()
    _joined(bench)
    bench.write(Put(KEY, b"v"))
    bench.hear(B, _report(EMPTY, held=VersionVector.of({A: 1})))

    bench.turn(LeaveCluster())

    assert _standing(bench) is Standing.LEFT


def test_two_members_may_have_it_together() -> None:
    """Each has a part; they bring each other the rest."""
    bench = Bench()
    _joined(bench)
    bench.turn(PeerUp(address(C), EMPTY, (), (_member(C),), protocol=2))
    bench.write(Put(KEY, b"v"))
    bench.write(Put(KEY, b"w"))
    bench.hear(B, _report(VersionVector.of({A: 1})))
    bench.turn(LeaveCluster())
    assert _standing(bench) is Standing.MEMBER

    bench.hear(C, _report(VersionVector({A: ((2, 2),)})))
    bench.turn(LeaveCluster())

    assert _standing(bench) is Standing.LEFT


def test_write_of_the_same_turn_keeps_the_node() -> None:
    """No peer can have heard of it."""
    bench = Bench()
    _joined(bench)

    bench.turn(bench.request(Put(KEY, b"v")), LeaveCluster())

    assert _standing(bench) is Standing.MEMBER


def test_node_that_has_left_takes_no_write() -> None:
    """Nobody would hear of it; the caller may go elsewhere."""
    bench = Bench()
    _joined(bench)
    bench.turn(LeaveCluster())

    effects = bench.turn(bench.request(Put(KEY, b"v")))

    [reply] = [e for e in effects if isinstance(e, Reply)]
    [outcome] = reply.outcomes
    assert isinstance(outcome, Refused)
    assert outcome.reason is Reason.UNAVAILABLE
    assert bench.entry(KEY) is None


def test_others_turn_away_from_who_has_left() -> None:
    """They say why, and take it for a member no more."""
    bench = Bench()
    _joined(bench)
    left = _member(B, Standing.LEFT)

    effects = bench.hear(B, Report(EMPTY, START, roster=7, members=(left,)))

    [goodbye] = [e for e in effects if isinstance(e, Disconnect)]
    assert goodbye.reason == "b-site (000000000000000b) has left the cluster"
    assert not bench.store.state().roster.counts(B)
    again = bench.turn(PeerUp(address(B), EMPTY, (), (left,), protocol=2))
    assert [e.peer for e in again if isinstance(e, Disconnect)] == [B]


def test_node_that_has_left_does_not_start_over() -> None:
    """Others forget without it from then on; it stops, and is not to come back."""
    bench = Bench()
    _joined(bench)
    bench.turn(LeaveCluster())
    ahead = VersionVector.of({B: 9})
    floor = Floor(ahead, HlcTimestamp((START + 5) << 16))

    effects = bench.turn(
        PeerUp(address(C), ahead, (), (_member(C),), floor=floor, protocol=2)
    )

    assert not any(isinstance(e, StartOver) for e in effects)
    assert bench.store.state().start_over is None


def test_removed_node_is_told_by_hello_up_to_where_all_is_forgotten() -> None:
    """G2b: by a floor that is too low it would keep what others have deleted."""
    bench = Bench()
    _joined(bench)
    bench.write(Put(KEY, b"v"))
    ahead = VersionVector.of({B: 9})
    floor = Floor(ahead, HlcTimestamp((START + 5) << 16))
    gone = bench.store.state().roster.get(A)
    assert gone is not None
    removed = gone._replace(standing=Standing.REMOVED)

    bench.turn(PeerUp(address(B), ahead, (), (removed,), floor=floor, protocol=2))

    mark = bench.store.state().start_over
    assert mark is not None
    assert mark.floor == floor


def test_removed_node_is_told_by_report_up_to_where_all_is_forgotten() -> None:
    """G2b: the report that tells it may be the first that tells of the floor."""
    bench = Bench()
    _joined(bench)
    bench.write(Put(KEY, b"v"))
    gone = bench.store.state().roster.get(A)
    assert gone is not None
    removed = gone._replace(standing=Standing.REMOVED)
    floor = Floor(VersionVector.of({B: 9}), HlcTimestamp((START + 5) << 16))

    bench.hear(
        B,
        Report(floor.vector, Millis(START), roster=7, members=(removed,), floor=floor),
    )

    mark = bench.store.state().start_over
    assert mark is not None
    assert mark.floor == floor


def test_removal_says_that_it_was_one() -> None:
    """G3: the log of who is turned away must not say that it left."""
    bench = Bench()
    _joined(bench)

    effects = bench.turn(RemoveMember(B))

    [goodbye] = [e for e in effects if isinstance(e, Disconnect)]
    assert goodbye.reason == "b-site (000000000000000b) was removed"
