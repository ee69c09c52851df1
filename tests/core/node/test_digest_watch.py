"""Nodes that cover the same must hold the same; two differences are an alarm (D9)."""

from dataclasses import replace
from random import Random

import pytest

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.commands import Put
from kvnode.core.node.digest_watch import PAUSE_MIN
from kvnode.core.node.events import (
    BeginRepair,
    Effect,
    PeerUp,
    Received,
    Scanned,
    Send,
    Tell,
    Tick,
)
from kvnode.core.node.node import Node, Settings
from kvnode.core.replication.messages import Digest
from kvnode.core.versions.rolling_digest import RollingDigest
from kvnode.core.versions.store_view import Commit, DurableState, PeerAddress, Write
from kvnode.transport.wire import encode_message
from kvnode.types import Dot, Millis, ReplicaId
from tests.core.node.bench import START, Bench, address
from tests.core.replication.entries import A, B, C, at, register
from tests.simulation.site import run

BELOW = ReplicaId(1)
"""A peer that repairs are left to."""


EMPTIED = DurableState(A, VersionVector.of({A: 1}), seq=1)
"""Of a node that has written, and forgotten all of it."""


class Watched(Bench):
    """Node A, which is compared with peers of protocol 2."""

    def connect_2(self, peer: ReplicaId) -> None:
        """Connect *peer*, which covers what A covers."""
        clock = self.node.state.clock
        who = address(peer) if peer != BELOW else PeerAddress("below", "", BELOW)
        self.turn(PeerUp(who, clock, (), protocol=2))
        self.settle()

    def settle(self) -> None:
        """Let A see that nothing of what it has forgotten is left."""
        for _ in range(3):
            self.turn(Tick())

    def told(self) -> Digest:
        """Return the digest that A tells its peers, some time later."""
        self.now = Millis(self.now + 1000)
        effects = self.turn(Tick())
        digests = [
            e.message
            for e in effects
            if isinstance(e, Send) and isinstance(e.message, Digest)
        ]
        return digests[0]

    def compared(self, peer: ReplicaId, store: int) -> list[Effect]:
        """Let *peer*, whose view is A's, tell its digest; return what A does."""
        self.settle()
        digest = Digest(self.told().view, store, self.now)
        effects = self.turn(Received(peer, digest))
        return [e for e in effects if isinstance(e, Tell | BeginRepair)]


@pytest.fixture
def bench() -> Watched:
    """Node A with one entry, connected to B."""
    bench = Watched()
    bench.write(Put(at(b"k"), b"v"))
    bench.connect_2(B)
    return bench


def test_node_tells_the_digest_of_what_it_holds(bench: Watched) -> None:
    """It is that which turns carry along."""
    assert bench.told().store == bench.node.state.digest.total != 0


def test_empty_store_has_a_digest_too() -> None:
    """0 says that there is none: a store that lost everything must be found."""
    bench = Watched()
    bench.node = Node(EMPTIED, Settings(PeerAddress("a", "")), Random(1))
    bench.connect_2(B)

    assert bench.told().store == 1


def test_turn_that_writes_tells_none(bench: Watched) -> None:
    """What it has staged is not covered before its end."""
    bench.now = Millis(bench.now + 1000)

    effects = bench.turn(bench.request(Put(at(b"k"), b"new")), Tick())

    digests = [e.message for e in effects if isinstance(e, Send)]
    assert [d.store for d in digests if isinstance(d, Digest)] == [0]


def test_node_that_holds_what_it_does_not_cover_tells_none(bench: Watched) -> None:
    """A write whose predecessors were lost with their origin stays behind."""
    left = register(Dot(C, 7))
    state = replace(bench.node.state, clock=VersionVector.of({A: 1, C: 5}))
    run(bench.store.apply(Commit(state, (Write(at(b"left"), left, None),))))
    bench.node = Node(state, Settings(PeerAddress("a", "")), Random(1))
    bench.connect_2(B)

    assert bench.told().store == 0
    assert bench.node.digests.incomparable == "it holds entries that it does not cover"


def test_unknown_digest_is_told_once_a_scan_has_settled_it(bench: Watched) -> None:
    """What was written since is added."""
    then = RollingDigest(5, breaks=1, known=False)
    state = replace(bench.node.state, digest=then)
    bench.node = Node(state, Settings(PeerAddress("a", "")), Random(1))
    bench.connect_2(B)
    assert bench.told().store == 0
    right = bench.store.state().digest.total

    bench.write(Put(at(b"other"), b"v"))
    bench.turn(Scanned(right, then))

    assert bench.told().store == bench.node.state.digest.total != right


def test_second_difference_is_an_alarm_that_begins_a_repair(bench: Watched) -> None:
    """One alone may be an accident of timing."""
    assert bench.compared(B, 99) == []

    told, begun = bench.compared(B, 99)

    assert isinstance(told, Tell)
    assert "b-site and this node have seen the same writes and hold different" in (
        told.message
    )
    assert "looking for what differs" in told.message
    assert begun == BeginRepair(B)
    assert bench.node.digests.alarms == (B,)


def test_side_of_the_larger_identity_leaves_repairing_to_the_other(
    bench: Watched,
) -> None:
    """Both would begin at the same time."""
    bench.connect_2(BELOW)
    bench.compared(BELOW, 99)

    (told,) = bench.compared(BELOW, 99)

    assert isinstance(told, Tell)
    assert "below looks for what differs" in told.message


def test_node_that_is_told_not_to_repair_says_how() -> None:
    """`repair_automatically = false`."""
    bench = Watched()
    settings = Settings(PeerAddress("a", ""), repair_automatically=False)
    bench.node = Node(EMPTIED, settings, Random(1))
    bench.connect_2(B)
    bench.compared(B, 99)

    (told,) = bench.compared(B, 99)

    assert isinstance(told, Tell)
    assert "run `kvnode repair`" in told.message


def test_agreement_between_two_differences_is_no_alarm(bench: Watched) -> None:
    """They must follow each other."""
    own = bench.told().store

    assert bench.compared(B, 99) == []
    assert bench.compared(B, own) == []
    assert bench.compared(B, 99) == []


def test_peer_that_tells_no_digest_changes_nothing(bench: Watched) -> None:
    """Neither a difference nor an agreement."""
    bench.compared(B, 99)
    assert bench.compared(B, 0) == []
    assert len(bench.compared(B, 99)) == 2
    assert bench.compared(B, 0) == []
    assert bench.node.digests.alarms == (B,)


def test_alarm_ends_when_the_two_agree(bench: Watched) -> None:
    """And says so."""
    own = bench.told().store
    bench.compared(B, 99)
    bench.compared(B, 99)

    (told,) = bench.compared(B, own)

    assert told == Tell("b-site and this node hold the same again")
    assert bench.node.digests.alarms == ()


def test_repairs_that_do_not_help_begin_less_and_less_often(bench: Watched) -> None:
    """After 10 s, 20 s, 40 s and so on: finding out costs a scan of the store."""
    bench.compared(B, 99)
    begun = []
    for second in range(160):
        bench.now = Millis(START + 10_000 + second * 1000 - 1000)
        if BeginRepair(B) in bench.compared(B, 99):
            begun.append(second)

    assert begun == [0, 10, 30, 70, 150]
    assert PAUSE_MIN == 10_000


def test_clock_that_is_set_back_holds_up_no_repair(bench: Watched) -> None:
    """What is due is due by the clock of now."""
    bench.compared(B, 99)
    bench.compared(B, 99)
    bench.now = Millis(bench.now - 3_600_000)

    assert BeginRepair(B) in bench.compared(B, 99)


def test_digest_of_a_node_of_a_thousand_members_fits_into_64_bytes() -> None:
    """Rule D8: at most 64 bytes each way whatever the number of keys."""
    clock = VersionVector.of({ReplicaId((n + 1) << 50): 2**40 for n in range(1000)})
    bench = Watched()
    state = DurableState(A, clock, digest=RollingDigest(2**64 - 1))
    run(bench.store.apply(Commit(state)))
    bench.node = Node(state, Settings(PeerAddress("a", "")), Random(1))
    bench.connect_2(B)

    digest = bench.told()

    assert digest.store == 2**64 - 1
    assert len(encode_message(digest).SerializeToString()) <= 64
    assert clock != EMPTY
