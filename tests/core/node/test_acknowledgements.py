"""Waiting for replicas: enough of them, in every region, or patience ends (S4)."""

from collections.abc import Sequence

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.acknowledgements import Acknowledgements, Waiting
from kvnode.core.node.commands import Put, Refused, Replicas, WriteRequest
from kvnode.core.node.events import Effect, PeerDown, Reply, Tick
from kvnode.core.node.peer import Peer
from kvnode.core.replication.messages import PushAcknowledgement, Report
from kvnode.core.replication.outbox import Outbox
from kvnode.core.versions.store_view import PeerAddress
from kvnode.types import Dot, Millis
from tests.core.node.bench import START, Bench
from tests.core.replication.entries import A, B, C, at

PUT = Put(at(b"k"), b"value")
PATIENCE = Millis(300)
ACKNOWLEDGED = PushAcknowledgement(A, 1, 1)


def connected() -> Bench:
    """Return a node with a peer in its own region and one in another."""
    bench = Bench()
    bench.connect(B)
    bench.connect(C)
    return bench


def replies(effects: Sequence[Effect]) -> list[tuple[int, int]]:
    """Return how many replicas have it, and how many were asked for."""
    return [(e.acknowledged, e.needed) for e in effects if isinstance(e, Reply)]


def test_reply_waits_until_enough_replicas_have_the_write() -> None:
    """This node counts as one."""
    bench = connected()
    request = bench.request(PUT, replicas=Replicas(3, patience=PATIENCE))

    assert replies(bench.turn(request)) == []
    assert replies(bench.hear(B, ACKNOWLEDGED)) == []
    assert replies(bench.hear(B, ACKNOWLEDGED)) == [], "the same replica, once more"
    assert replies(bench.hear(C, ACKNOWLEDGED)) == [(3, 3)]


def test_report_counts_as_acknowledgement() -> None:
    """A peer that got the write with a delta never acknowledges its push."""
    bench = connected()
    bench.turn(bench.request(PUT, replicas=Replicas(2, patience=PATIENCE)))

    effects = bench.hear(B, Report(VersionVector.of({A: 1}), START))

    assert replies(effects) == [(2, 2)]


def test_one_in_each_region_is_not_two_in_one() -> None:
    """B shares our region, so only C counts."""
    bench = connected()
    bench.turn(
        bench.request(PUT, replicas=Replicas(1, each_region=True, patience=PATIENCE))
    )

    assert replies(bench.hear(B, ACKNOWLEDGED)) == []
    assert replies(bench.hear(C, ACKNOWLEDGED)) == [(2, 2)]


def test_end_of_patience_says_how_many_have_it() -> None:
    """It is never told as failed: the write will still spread."""
    bench = connected()
    bench.turn(bench.request(PUT, replicas=Replicas(3, patience=PATIENCE)))
    bench.hear(B, ACKNOWLEDGED)

    bench.now = Millis(START + PATIENCE - 1)
    assert replies(bench.turn(Tick())) == []
    bench.now = Millis(START + PATIENCE)
    assert replies(bench.turn(Tick())) == [(2, 3)]

    assert replies(bench.hear(C, ACKNOWLEDGED)) == [], "a request is answered once"


def test_replica_that_went_away_still_has_the_write() -> None:
    """What it acknowledged is durable there."""
    bench = connected()
    bench.turn(bench.request(PUT, replicas=Replicas(3, patience=PATIENCE)))
    bench.hear(B, ACKNOWLEDGED)
    bench.turn(PeerDown(B))

    assert replies(bench.hear(C, ACKNOWLEDGED)) == [(3, 3)]


def test_more_replicas_than_there_are_is_refused_before_writing() -> None:
    """It could only time out."""
    bench = connected()
    effects = bench.turn(bench.request(PUT, replicas=Replicas(4, patience=PATIENCE)))

    [reply] = [e for e in effects if isinstance(e, Reply)]
    assert isinstance(reply.outcomes[0], Refused)
    assert bench.entry(PUT.key) is None


def test_write_that_did_not_happen_is_answered_at_once() -> None:
    """There is nothing for replicas to have."""
    bench = connected()
    failing = Put(PUT.key, b"", if_dot=Dot(B, 1))

    effects = bench.turn(
        bench.request(failing, replicas=Replicas(2, patience=PATIENCE))
    )

    assert replies(effects) == [(1, 1)]


def test_request_of_a_failed_turn_is_forgotten() -> None:
    """Its seq goes to another write, whose acknowledgement is not its own."""
    bench = connected()
    bench.failed_turn(bench.request(PUT, replicas=Replicas(2, patience=PATIENCE)))
    bench.write(PUT)

    assert replies(bench.hear(B, ACKNOWLEDGED)) == []


def test_region_of_a_holder_that_went_away_is_reached() -> None:
    """Its disk has the write, whether it is connected now or not."""
    request = WriteRequest(1, (PUT,), replicas=Replicas(1, each_region=True))
    dots = (Dot(A, 1), Dot(A, 1))
    regions = frozenset({"west", "south"})
    acknowledgements = Acknowledgements()
    waiting = Waiting(request, (), dots, regions, Millis(START + PATIENCE))

    assert not list(acknowledgements.admit(waiting, {C: holder("west")}))

    assert replies(list(acknowledgements.heard({B: holder("south")}))) == [(3, 3)]


def holder(region: str) -> Peer:
    """Return a peer in *region* that has acknowledged A's first write."""
    outbox = Outbox(1000)
    outbox.acknowledge(ACKNOWLEDGED)
    return Peer(PeerAddress("peer", "", B, region), VersionVector(), outbox)


def test_clock_set_back_does_not_lengthen_patience() -> None:
    """What is left of it when the clock goes back is left of it after that."""
    bench = connected()
    bench.turn(Tick())
    bench.turn(bench.request(PUT, replicas=Replicas(3, patience=PATIENCE)))

    bench.now = Millis(START - 60_000)
    assert replies(bench.turn(Tick())) == []
    bench.now = Millis(bench.now + PATIENCE)

    assert replies(bench.turn(Tick())) == [(1, 3)]
