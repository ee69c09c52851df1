"""A node that knows its clock to be off takes no writes (C1); others list (C2)."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.membership.clock_offset import InStep, Off, Undecided
from kvnode.core.membership.messages import Ack, Ping
from kvnode.core.node.commands import Applied, Put, Reason, Refused
from kvnode.core.node.events import (
    Effect,
    Event,
    PeerUp,
    Received,
    Reply,
    Send,
    Tell,
    Tick,
)
from kvnode.core.node.node import Node
from kvnode.core.replication.messages import (
    Digest,
    Push,
    PushAcknowledgement,
    Report,
    wire_entry,
)
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.store_view import DurableState
from kvnode.types import Dot, EntryKey, Millis, ReplicaId
from tests.core.node.bench import START, Bench, address
from tests.core.replication.entries import A, B, C, at, register

HOUR: Final = 3_600_000
LIMIT: Final = 500
ROUNDS = Millis(10_000)
"""A few probes of everybody, and a fence to be lifted."""
TICK = Millis(50)

KEY, OTHER = at(b"k"), at(b"other")
offs = st.integers(LIMIT + 100, 10**9) | st.integers(-(10**9), -LIMIT - 100)


class WrongClock(Bench):
    """Node A, whose wall clock is `off` ms ahead of true time; peers are right."""

    def __init__(self, *peers: ReplicaId, protocol: int = 2) -> None:
        super().__init__()
        self.off = 0
        self.told: list[str] = []
        for peer in peers:
            self.turn(PeerUp(address(peer), EMPTY, (), protocol=protocol))

    @property
    def at(self) -> ClockReading:
        """Return what the node's clocks say; `now` is true time."""
        return ClockReading(Millis(self.now + self.off), Millis(self.now - START))

    def turn(self, *events: Event) -> list[Effect]:
        """Make a turn; whoever is pinged answers within 10 ms."""
        effects = super().turn(*events)
        self.told += [each.message for each in effects if isinstance(each, Tell)]
        pings = [
            (each.peer, each.message.number)
            for each in effects
            if isinstance(each, Send) and isinstance(each.message, Ping)
        ]
        for peer, number in pings:
            received_at = Millis(self.now + 5)
            self.now = Millis(self.now + 10)
            self.turn(Received(peer, Ack(number, received_at)))
        return effects

    def pass_time(self, span: Millis = ROUNDS, tick: Millis = TICK) -> None:
        """Let time pass in ticks."""
        end = self.now + span
        while self.now < end:
            self.now = Millis(self.now + tick)
            self.turn(Tick())

    def put(self, key: EntryKey, session: Session = NEW_SESSION) -> Applied | Refused:
        """Write *key*; return what came of it."""
        [outcome] = self.write(Put(key, b"mine"), session=session)
        assert isinstance(outcome, Applied | Refused)
        return outcome


@settings(max_examples=25)  # each is half a minute of ticks
@given(off=offs)
def test_node_whose_clock_jumps_refuses_in_the_same_turn(off: int) -> None:
    """C1: before anything is stamped by it; it takes writes again once it is right."""
    bench = WrongClock(B, C)
    bench.pass_time()
    assert isinstance(bench.node.clock_verdict, InStep)
    assert isinstance(bench.put(KEY), Applied)

    bench.off = off
    refused = bench.put(KEY)

    assert isinstance(refused, Refused)
    assert refused.reason is Reason.UNAVAILABLE
    assert "the median of 3 clocks" in refused.message
    assert refused.message == bench.node.refusal()
    assert isinstance(bench.node.clock_verdict, Off)
    bench.pass_time()
    assert isinstance(bench.put(KEY), Refused)
    bench.off = 0
    bench.pass_time()
    assert isinstance(bench.put(KEY), Applied)
    assert bench.node.refusal() == ""
    assert len(bench.told) == 2
    assert bench.told[0] == f"client writes are refused: {refused.message}"


def test_node_that_is_off_replicates_all_the_same() -> None:
    """C1: reads and replication go on."""
    bench = WrongClock(B, C)
    bench.pass_time()
    bench.off = HOUR
    entry = register(Dot(B, 1), b"theirs", hlc=from_millis(bench.now))

    effects = bench.hear(B, Push(B, 1, 1, (wire_entry(KEY, entry),)))

    assert isinstance(bench.node.clock_verdict, Off)
    assert bench.entry(KEY) == entry
    assert bench.clock == VersionVector.of({B: 1})
    acknowledged = [
        each.message
        for each in effects
        if isinstance(each, Send) and isinstance(each.message, PushAcknowledgement)
    ]
    assert acknowledged == [PushAcknowledgement(B, 1, 1)]


def test_two_nodes_that_disagree_both_take_writes() -> None:
    """Neither can tell which is wrong."""
    bench = WrongClock(B)
    bench.pass_time()
    bench.off = HOUR

    bench.pass_time()

    assert bench.node.clock_verdict == Undecided(2)
    assert isinstance(bench.put(KEY), Applied)
    assert ["nobody can tell" in said for said in bench.told] == [True]


def test_hybrid_clock_comes_back_to_the_time_but_not_below_the_floor() -> None:
    """What is written must stay above all that is forgotten (G2)."""
    bench = WrongClock(B, C)
    bench.off = HOUR
    ahead = bench.put(KEY)
    assert isinstance(ahead, Applied)
    bench.off = 0
    floor = Floor(EMPTY, from_millis(Millis(bench.now + 60_000)))
    bench.turn(PeerUp(address(B), EMPTY, (), floor=floor, protocol=2))
    assert bench.node.state.floor == floor

    bench.pass_time()
    restrained = bench.put(OTHER)

    assert isinstance(restrained, Applied)
    assert floor.hlc < restrained.entry.version.hlc < ahead.entry.version.hlc
    bench.now = Millis(bench.now + HOUR // 2)
    bench.pass_time()
    later = bench.put(at(b"later"))
    assert isinstance(later, Applied)
    assert later.entry.version.hlc >> 16 <= bench.now + LIMIT


def test_restraining_costs_one_commit() -> None:
    """An idle node writes nothing, whatever its clock was."""
    bench = WrongClock(B, C)
    bench.off = HOUR
    bench.put(KEY)
    bench.off = 0
    bench.pass_time()
    before = bench.store.state()

    bench.pass_time()

    assert bench.store.state() is before


def test_entry_from_the_future_is_listed_once_it_is_durable() -> None:
    """C2: what finds no room was never there; what is overwritten in time goes."""
    bench = WrongClock(B, C)
    bench.pass_time()
    future = register(Dot(B, 1), b"f", hlc=from_millis(Millis(bench.now + HOUR)))
    push = Received(B, Push(B, 1, 1, (wire_entry(KEY, future),)))
    bench.failed_turn(push)
    assert len(bench.node.quarantine) == 0

    bench.turn(push)

    [listed] = bench.node.quarantine.entries()
    assert (listed.key, listed.dot) == (KEY, Dot(B, 1))
    bench.pass_time(Millis(HOUR - 1_000), tick=Millis(1_000))
    assert len(bench.node.quarantine) == 1
    bench.pass_time(Millis(11_000))
    assert len(bench.node.quarantine) == 0


def test_node_that_is_behind_lists_nothing_that_is_right() -> None:
    """Its peers' writes are ahead of its own clock, and not of the median."""
    bench = WrongClock(B, C)
    bench.pass_time()
    bench.off = -HOUR
    entry = register(Dot(B, 1), b"right", hlc=from_millis(bench.now))

    bench.hear(B, Push(B, 1, 1, (wire_entry(KEY, entry),)))

    assert isinstance(bench.node.clock_verdict, Off)
    assert len(bench.node.quarantine) == 0


def _behind(node: Node, peer: ReplicaId, bench: Bench) -> Millis | None:
    return node.staleness.behind(peer, bench.at.steady)


@pytest.mark.parametrize("off", [0, HOUR, -HOUR])
def test_staleness_rests_on_no_wall_clock(off: int) -> None:
    """S3: the report's age, give or take how well the peer's clock is known."""
    bench = WrongClock(B)
    bench.off = off
    bench.hear(B, Report(EMPTY, bench.now))
    assert _behind(bench.node, B, bench) is None  # its clock is not known yet
    bench.pass_time()

    sent_at = bench.now
    bench.now = Millis(bench.now + 30)
    bench.hear(B, Report(EMPTY, sent_at))
    bench.off = HOUR - off
    bench.now = Millis(bench.now + 1000)

    behind = _behind(bench.node, B, bench)
    assert behind is not None
    assert 1030 <= behind <= 1030 + 50


def test_staleness_of_a_peer_that_answers_no_probes_allows_for_its_clock() -> None:
    """It may be off by the limit; nobody has measured it (protocol 1)."""
    bench = WrongClock(B, protocol=1)
    bench.hear(B, Report(EMPTY, bench.now))

    assert _behind(bench.node, B, bench) == LIMIT
    bench.hear(B, Report(EMPTY, Millis(bench.now + 2 * LIMIT)))
    assert _behind(bench.node, B, bench) == LIMIT  # that clock cannot be right


def test_own_jump_is_noticed_at_a_tick_without_writes() -> None:
    """An idle node tells at once."""
    bench = WrongClock(B, C)
    bench.pass_time()
    bench.off = HOUR

    bench.turn(Tick())

    assert len(bench.told) == 1


def test_fresh_state_is_undecided() -> None:
    """A node that has heard nobody takes writes: it cannot know better."""
    bench = WrongClock()

    assert bench.node.state == DurableState(A)
    assert bench.node.clock_verdict == Undecided(1)
    effects = bench.turn(bench.request(Put(KEY, b"v")))
    [reply] = [each for each in effects if isinstance(each, Reply)]
    assert isinstance(reply.outcomes[0], Applied)
    assert not any(
        isinstance(each, Send) and isinstance(each.message, Digest) for each in effects
    )
