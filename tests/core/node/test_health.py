"""Failure detection in a node: who is probed, and what waits for no disk (M1-M3)."""

from collections import deque

from kvnode.core.clocks.version_vector import EMPTY
from kvnode.core.membership.messages import Ack, Health, Nack, Ping, PingRequest, Update
from kvnode.core.membership.messages import Message as ProbeMessage
from kvnode.core.membership.settings import PROBE_INTERVAL
from kvnode.core.node.commands import Put
from kvnode.core.node.events import (
    TICK_MILLIS,
    Effect,
    Event,
    PeerDown,
    PeerUp,
    Received,
    Send,
    Tell,
    Tick,
)
from kvnode.core.node.health import CHANGES_MAX
from kvnode.core.versions.roster import Member, Standing
from kvnode.types import Millis, ReplicaId
from tests.core.node.bench import NAMES, START, Bench, address
from tests.core.replication.entries import A, B, C, at

WAY = Millis(20)
"""One way to any peer, in ms."""

SUSPICION = Millis(30_000)
"""More than the longest suspicion in a cluster of three, and a few rounds."""


def up(peer: ReplicaId, protocol: int = 2) -> PeerUp:
    """Return the hello of *peer*."""
    return PeerUp(address(peer), EMPTY, (), protocol=protocol)


class Surroundings:
    """Node A, and peers that answer as long as they are there; clocks of theirs."""

    def __init__(self, *peers: ReplicaId, ahead: int = 0) -> None:
        self.bench = Bench()
        self.there = set(peers)
        self.ahead = ahead
        self.told: list[str] = []
        self.probes: list[tuple[ReplicaId, ProbeMessage]] = []
        self._arriving: deque[tuple[Millis, Event]] = deque()
        for peer in peers:
            self.turn(up(peer))

    def turn(self, *events: Event) -> list[Effect]:
        """Let *events* happen; peers answer the probes."""
        effects = self.bench.turn(*events)
        for effect in effects:
            if isinstance(effect, Tell):
                self.told.append(effect.message)
            elif isinstance(effect, Send):
                if isinstance(effect.message, Ping | PingRequest | Ack | Nack):
                    self.probes.append((effect.peer, effect.message))
                self._answer(effect)
        return effects

    def _answer(self, sent: Send) -> None:
        now, message = self.bench.now, sent.message
        if sent.peer not in self.there or not isinstance(message, Ping | PingRequest):
            return
        if isinstance(message, PingRequest) and message.target not in self.there:
            answer: ProbeMessage = Nack(message.number)
        else:
            answer = Ack(message.number, Millis(now + WAY + self.ahead))
        self._arriving.append((Millis(now + 2 * WAY), Received(sent.peer, answer)))

    def pass_time(self, span: int) -> None:
        """Let time pass, in ticks and answers."""
        end = self.bench.now + span
        tick_at = Millis(self.bench.now + TICK_MILLIS)
        while min(tick_at, end) < end or self.bench.now < end:
            arrives_at = self._arriving[0][0] if self._arriving else Millis(end)
            self.bench.now = Millis(min(tick_at, arrives_at, end))
            if self.bench.now == arrives_at and self._arriving:
                self.turn(self._arriving.popleft()[1])
            if self.bench.now == tick_at:
                tick_at = Millis(tick_at + TICK_MILLIS)
                self.turn(Tick())

    def pinged(self) -> set[ReplicaId]:
        """Return who was pinged directly, and forget all probes so far."""
        found = {peer for peer, probe in self.probes if isinstance(probe, Ping)}
        self.probes.clear()
        return found


def test_members_are_probed_in_turns_and_measured() -> None:
    """Round trip and clock are known after a round each."""
    around = Surroundings(B, C, ahead=70)

    around.pass_time(3 * PROBE_INTERVAL)

    assert around.pinged() == {B, C}
    own, *others = around.bench.node.members(around.bench.at.steady)
    assert (own.replica, own.health, own.connected) == (A, Health.ALIVE, True)
    for other in others:
        assert (other.health, other.connected) == (Health.ALIVE, True)
        assert other.standing is Standing.MEMBER
        assert other.name == NAMES[other.replica]
        assert other.rtt_ms == 2 * WAY
        assert other.heard_ms_ago is not None
        assert other.heard_ms_ago < 3 * PROBE_INTERVAL
        assert other.clock_offset_ms is not None
        assert other.clock_error_ms is not None
        assert abs(other.clock_offset_ms - 70) <= other.clock_error_ms <= 2 * WAY
    assert around.told == []


def test_silent_member_is_suspected_then_dead_and_alive_once_it_refutes() -> None:
    """Each change is told once, and kept for those who ask."""
    around = Surroundings(B, C)
    around.pass_time(2 * PROBE_INTERVAL)
    around.there.remove(C)
    around.turn(PeerDown(C))

    around.pass_time(SUSPICION)

    assert around.bench.node.health(C) is Health.DEAD
    assert around.bench.node.health(B) is Health.ALIVE
    assert len(around.told) == 2
    assert around.told[0].startswith("c-site does not answer")
    assert around.told[1].startswith("c-site is taken for dead")
    around.there.add(C)
    around.probes.clear()
    around.turn(up(C))
    around.pass_time(2 * PROBE_INTERVAL)
    claim, *_ = [
        claim
        for peer, probe in around.probes
        if peer == C and isinstance(probe, Ping)
        for claim in probe.updates
        if claim.replica == C
    ]
    assert claim.health is Health.DEAD  # it is told, so that it can refute
    refuting = claim._replace(incarnation=claim.incarnation + 1, health=Health.ALIVE)
    around.turn(Received(C, Ack(1, around.bench.now, (refuting,))))
    assert around.told[2:] == ["c-site is alive again"]
    changes = around.bench.node.member_changes()
    assert [change.health for change in changes] == [
        Health.SUSPECT,
        Health.DEAD,
        Health.ALIVE,
    ]
    assert all(change.name == "c-site" for change in changes)
    assert START < changes[0].at < changes[1].at < changes[2].at


def test_health_decides_nothing_about_who_counts() -> None:
    """M3: a dead member stays a member, and nothing of its death is durable."""
    around = Surroundings(B, C)
    roster = around.bench.node.state.roster
    around.there.remove(C)
    around.turn(PeerDown(C))

    around.pass_time(SUSPICION)

    assert around.bench.node.health(C) is Health.DEAD
    assert around.bench.node.state.roster is roster
    assert [member.replica for member in roster.members()] == sorted((A, B, C))


def test_idle_nodes_that_probe_write_nothing_to_disk() -> None:
    """Ten minutes of probes, a death among them."""
    around = Surroundings(B, C)
    around.pass_time(2 * PROBE_INTERVAL)
    before = around.bench.store.state()
    around.there.remove(C)
    around.turn(PeerDown(C))

    around.pass_time(600_000)

    assert around.bench.store.state() is before


def test_member_of_protocol_1_is_not_probed_and_lives_while_connected() -> None:
    """It would not know what a ping is."""
    around = Surroundings(B)
    around.turn(up(C, protocol=1))

    around.pass_time(SUSPICION)

    assert {peer for peer, _ in around.probes} == {B}
    assert around.bench.node.health(C) is Health.ALIVE
    around.turn(PeerDown(C))
    around.pass_time(SUSPICION)
    assert around.bench.node.health(C) is Health.DEAD
    around.turn(up(C, protocol=1))
    assert around.bench.node.health(C) is Health.ALIVE
    assert around.told[-1] == "c-site is alive again"


def test_member_without_a_connection_is_probed_through_others() -> None:
    """Neither of two that only dial can reach the other."""
    around = Surroundings(B, C)
    around.turn(PeerDown(C))

    around.pass_time(SUSPICION)

    asked = [p for _, p in around.probes if isinstance(p, PingRequest)]
    assert {request.target for request in asked} == {C}
    assert around.bench.node.health(C) is Health.ALIVE
    assert around.told == []


def test_removed_member_is_of_no_health_and_no_rumor_brings_it_back() -> None:
    """M2: what the roster says counts."""
    around = Surroundings(B, C)
    around.there.remove(C)
    gone = Member(C, NAMES[C], "", "", 0, Standing.REMOVED)
    around.turn(PeerUp(address(B), EMPTY, (), (gone,), protocol=2))

    around.pass_time(SUSPICION)

    assert around.bench.node.health(C) is None
    assert around.told == []
    statuses = around.bench.node.members(around.bench.at.steady)
    [status] = [each for each in statuses if each.replica == C]
    assert (status.standing, status.health) == (Standing.REMOVED, None)
    assert not status.connected


def test_probe_is_answered_even_if_its_turn_finds_no_room() -> None:
    """A full disk does not make a node look dead."""
    bench = Bench()
    bench.turn(up(B))
    with bench.store.snapshot() as view:
        result = bench.node.step(
            (bench.request(Put(at(b"k"), b"v")), Received(B, Ping(7, A))),
            bench.at,
            view,
        )
    bench.node.abort()

    [answer] = result.at_once
    assert isinstance(answer, Send)
    assert isinstance(answer.message, Ack)
    assert (answer.peer, answer.message.number) == (B, 7)
    assert answer.message.received_at == bench.now


def test_nothing_that_rests_on_the_turn_is_done_at_once() -> None:
    """W2: probes apart, everything waits for the commit."""
    bench = Bench()
    bench.turn(up(B))
    with bench.store.snapshot() as view:
        write = bench.request(Put(at(b"k"), b"v"))
        result = bench.node.step((write, Tick()), bench.at, view)

    probes = Ping | PingRequest | Ack | Nack
    assert result.effects
    assert all(
        isinstance(each, Tell)
        or (isinstance(each, Send) and isinstance(each.message, probes))
        for each in result.at_once
    )
    assert not any(
        isinstance(each, Send) and isinstance(each.message, probes)
        for each in result.effects
    )


def test_changes_kept_have_a_bound() -> None:
    """The newest of them, one for each time that C refutes in vain."""
    around = Surroundings(B, C)
    rounds = CHANGES_MAX // 2 + 1
    for n in range(rounds):
        suspected = Update(C, n, Health.SUSPECT, B)
        around.turn(Received(B, Ack(1, START, (suspected,))))
        around.turn(Received(B, Ack(1, START, (Update(C, n + 1, Health.ALIVE),))))
    assert len(around.told) == 2 * rounds

    around.turn(Received(B, Ack(1, START, (Update(C, rounds, Health.DEAD),))))

    changes = around.bench.node.member_changes()
    assert len(changes) == CHANGES_MAX
    assert changes[-1].health is Health.DEAD
