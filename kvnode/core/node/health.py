"""
Who is there, how far, and whose clock is right: the failure detector at work.

SWIM (kvnode.core.membership.swim) is fed with what happens to the node, and its
effects become effects of the turn.  Every message of a peer is a sign of life, and
probes measure roads and clocks on the way (kvnode.core.node.clock_fence).

All here is volatile and says nothing of what is stored, so its messages need not wait
for the turn's commit: they go at once.  A commit that is slow, or that fails because
the disk is full, makes nobody look dead.  Nor is the incarnation durable.  A node
starts with the time in ms, which is above all that its earlier lives have had, unless
its clock was set back meanwhile; then it is told what is believed of it, and refutes.

Probed are the members that count.  Those who speak protocol 1 answer no probes and
are alive as long as they are connected.  Whoever is not connected, be it that neither
side can be dialed, is probed through others.

What comes of it serves routing and relays only (rule M3): nothing here reaches the
roster or the floor.

References:
    Das, Gupta & Motivala, 2002.  SWIM.
    Dadgar, Phillips & Currey, 2018.  Lifeguard.
    docs/decisions/0020-health-does-not-wait-for-disks.md
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, assert_never

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.membership.beliefs import MemberHealth
from kvnode.core.membership.events import (
    Effect,
    Event,
    HealthChanged,
    Heard,
    IncarnationRaised,
    Measured,
    MembersKnown,
    Received,
    Rng,
    SendTo,
    Tick,
)
from kvnode.core.membership.messages import Health, Message
from kvnode.core.membership.settings import SwimSettings
from kvnode.core.membership.swim import Swim
from kvnode.core.node.clock_fence import ClockFence
from kvnode.core.node.events import TICK_MILLIS, Send, Tell
from kvnode.core.node.peer import Peer
from kvnode.core.node.turn import Turn
from kvnode.core.versions.roster import NOBODY, Roster, Standing
from kvnode.types import Millis, ReplicaId

CHANGES_MAX = 256
"""Changes of health kept for those who ask: one for each member of a large cluster."""

_SAID = {
    Health.ALIVE: "is alive again",
    Health.SUSPECT: (
        "does not answer, neither this node nor those who asked for it: it is"
        " suspected to be down"
    ),
    Health.DEAD: (
        "is taken for dead: it has answered nobody. Deletions are not forgotten"
        " without it: if it is gone for good, remove it from the cluster"
    ),
}


class MemberStatus(NamedTuple):
    """
    One replica that ever joined, as people want to see it.

    Attributes:
        replica: Its identity.
        name: Its label, as the next two.
        address: host:port; empty if it only dials.
        region: Where it is.
        standing: What it is to the cluster.
        health: What is believed of it; None if it is no member any more.
        connected: Whether there is a connection to it.
        heard_ms_ago: When anything came from it last; None = never.
        rtt_ms: The last round trip to it; None = never measured.
        clock_offset_ms: How far its clock is ahead of ours; None = not known.
        clock_error_ms: By how much that may be wrong; None = not known.
    """

    replica: ReplicaId
    name: str
    address: str
    region: str
    standing: Standing
    health: Health | None
    connected: bool
    heard_ms_ago: Millis | None = None
    rtt_ms: Millis | None = None
    clock_offset_ms: int | None = None
    clock_error_ms: int | None = None


class HealthChange(NamedTuple):
    """From *at* on, by our wall clock, *replica* was believed to be of that health."""

    replica: ReplicaId
    name: str
    health: Health
    at: Millis


class HealthWatch:
    """
    The failure detector of one node, and the fence of its clock.

    Attributes:
        fence: What is thought of clocks.
        changes: The last few changes of health, the newest last.
    """

    def __init__(  # noqa: PLR0913 -- each named at the call
        self,
        own: ReplicaId,
        peers: Mapping[ReplicaId, Peer],
        *,
        incarnation: int,
        clock_offset_max: Millis,
        rng: Rng,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Begin, knowing nobody.

        Args:
            own: This node's identity.
            peers: Those connected, kept current by the caller.
            incarnation: Above those of earlier lives, if that can be had; >= 0.
            clock_offset_max: Clocks may differ by so much (C1), in ms.
            rng: Where chance comes from.
            on_change: Called when something else is believed of a member.
        """
        self._on_change = on_change
        self.fence = ClockFence(clock_offset_max, self._name_of)
        self.changes: deque[HealthChange] = deque(maxlen=CHANGES_MAX)
        self._own = own
        self._peers = peers
        self._rng = rng
        self._swim = Swim(own, incarnation, SwimSettings())
        self._at = ClockReading(Millis(0), Millis(0))
        self._roster = NOBODY
        self._probed: dict[ReplicaId, None] = {}
        self._peers_changed = False
        self._heard_at: dict[ReplicaId, Millis] = {}  # by the steady clock

    def begin(self, turn: Turn, at: ClockReading) -> None:
        """Begin a turn at *at*; to be called before anything is stamped."""
        self._at = at
        self.fence.judge(at)
        self.fence.restrain(turn)

    # -- what happens ----------------------------------------------------------

    def peer_up(self, peer: ReplicaId, turn: Turn) -> None:
        """Take in that *peer* is connected from now on."""
        self._peers_changed = True
        self.heard(peer, turn)

    def peer_down(self) -> None:
        """Take in that a connection has ended."""
        self._peers_changed = True

    def heard(self, peer: ReplicaId, turn: Turn) -> None:
        """Take in a sign of life: one in each tick is enough."""
        steady = self._at.steady
        last = self._heard_at.get(peer)
        if last is None or steady - last >= TICK_MILLIS:
            self._heard_at[peer] = steady
            self._step(Heard(peer), turn)

    def received(self, peer: ReplicaId, message: Message, turn: Turn) -> None:
        """Take in what the failure detector of *peer* says."""
        self._heard_at[peer] = self._at.steady
        self._step(Received(peer, message), turn)

    def tick(self, turn: Turn) -> None:
        """Go on probing, and tell of clocks what is to be told."""
        self._step(Tick(), turn)
        turn.at_once.extend(map(Tell, self.fence.tick(self._probed)))

    # -- what others ask -------------------------------------------------------

    def health(self, replica: ReplicaId) -> Health | None:
        """Return what is believed of *replica*; None if it is no member."""
        if replica in self._probed or replica == self._own:
            return self._swim.health(replica)
        return Health.ALIVE if self._roster.counts(replica) else None

    def heard_ms_ago(self, replica: ReplicaId, steady: Millis) -> Millis | None:
        """Return when anything came from *replica* last; None = never."""
        heard_at = self._heard_at.get(replica)
        return None if heard_at is None else Millis(max(0, steady - heard_at))

    def members(self, roster: Roster, steady: Millis) -> tuple[MemberStatus, ...]:
        """Return all replicas of *roster*, ascending, at *steady* by that clock."""
        probed = {each.replica: each for each in self._swim.members()}
        return tuple(
            MemberStatus(
                record.replica,
                record.name,
                record.address,
                record.region,
                record.standing,
                self.health(record.replica),
                record.replica == self._own or record.replica in self._peers,
                self.heard_ms_ago(record.replica, steady),
                *self._measured(probed.get(record.replica)),
            )
            for record in roster
        )

    def _measured(
        self, probed: MemberHealth | None
    ) -> tuple[Millis | None, int | None, int | None]:
        """Return round trip, offset and error of the clock, as a status has them."""
        if probed is None:
            return None, None, None
        clock = self.fence.of_peer(probed.replica)
        if clock is None:
            return probed.rtt, None, None
        return probed.rtt, clock.offset, clock.error

    def sent_at(self, peer: ReplicaId, shown: Millis) -> Millis | None:
        """Return when *peer* sent what it dated *shown*; see ClockFence.sent_at."""
        probed = self._peers[peer].speaks_digests
        return self.fence.sent_at(peer, shown, probed=probed)

    def _name_of(self, replica: ReplicaId) -> str:
        if replica == self._own:
            return "this node"
        record = self._roster.get(replica)
        return record.name if record is not None else f"replica {replica:016x}"

    # -- the failure detector --------------------------------------------------

    def _step(self, event: Event, turn: Turn) -> None:
        if self._peers_changed or turn.roster is not self._roster:
            self._know(turn)
        if effects := self._swim.step(event, self._at.wall, self._rng):
            self._perform(effects, turn)

    def _know(self, turn: Turn) -> None:
        """Take in whom to probe, as it is in this turn."""
        self._peers_changed, self._roster = False, turn.roster
        before, self._probed = self._probed, {}
        for member in turn.roster.members():
            replica = member.replica
            peer = self._peers.get(replica)
            if replica == self._own:
                continue
            if peer is None or peer.speaks_digests:
                self._probed[replica] = None
            elif replica in before and self._swim.health(replica) is not Health.ALIVE:
                self._note(replica, Health.ALIVE, turn)  # connected, and of protocol 1
        for replica in before:
            if replica not in self._probed:
                self.fence.forget(replica)
        for replica in [r for r in self._heard_at if turn.roster.get(r) is None]:
            del self._heard_at[replica]
        known = MembersKnown((self._own, *self._probed))
        self._perform(self._swim.step(known, self._at.wall, self._rng), turn)

    def _perform(self, effects: list[Effect], turn: Turn) -> None:
        for effect in effects:
            match effect:
                case SendTo(peer, message):
                    known = self._peers.get(peer)
                    if known is not None and known.speaks_digests:
                        turn.at_once.append(Send(peer, message))
                case HealthChanged(replica, health):
                    self._note(replica, health, turn)
                case Measured():
                    self.fence.measured(effect)
                case IncarnationRaised():
                    pass  # a later life begins above it
                case _:
                    assert_never(effect)

    def _note(self, replica: ReplicaId, health: Health, turn: Turn) -> None:
        name = self._name_of(replica)
        self.changes.append(HealthChange(replica, name, health, self._at.wall))
        self._on_change()
        turn.at_once.append(Tell(f"{name} {_SAID[health]}"))
