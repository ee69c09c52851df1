"""
The failure detector: SWIM with Lifeguard, as a function of (state, event, now).

Each probe interval the node probes one member, in shuffled turns (`probe_order`,
`probe`), and answers those who probe it.  Who does not answer is suspected, and
dead if it does not refute in time (`beliefs`, `suspicion`); what is believed rides
on these very messages (`rumors`).  So a member's load does not depend on how many
there are, and neither does the time until a crash is first noticed.

It doubts itself first (`awareness`): a node that is slow waits longer, and a round
in which it did not run proves nothing and is void.

Who is accused is told so, that it can refute (Lifeguard's Buddy System): by each
ping and ack to it, and, when any message of it is heard, by a ping of its own.  Dead
members are told as well, one each interval in turn: so both sides of a partition
find each other again, whatever rumors have died out.

All of it is volatile.  It decides who is asked and who relays,
never what may be forgotten (M1, M2, M3).

References:
    Das, Gupta & Motivala, 2002.  SWIM: scalable weakly-consistent infection-style
        process group membership protocol.
    Dadgar, Phillips & Currey, 2018.  Lifeguard: local health awareness for more
        accurate failure detection.
"""

from typing import assert_never

from kvnode.core.membership.awareness import SCORE_MAX, Awareness, SteadyTime
from kvnode.core.membership.beliefs import Beliefs, Member, MemberHealth
from kvnode.core.membership.events import (
    Effect,
    Event,
    Heard,
    IncarnationRaised,
    Measured,
    MembersKnown,
    Received,
    Rng,
    SendTo,
    Tick,
)
from kvnode.core.membership.messages import (
    UPDATES_MAX,
    Ack,
    Health,
    Message,
    Nack,
    Ping,
    PingRequest,
    Update,
)
from kvnode.core.membership.probe import ProbeRound, Relay, Relays
from kvnode.core.membership.settings import SwimSettings
from kvnode.types import Millis, ReplicaId

CANDIDATES_PER_HELPER = 4
"""Members looked at for each helper wanted: suspects are passed over."""


class Swim:
    """The failure detector of one node."""

    def __init__(
        self, own: ReplicaId, incarnation: int, settings: SwimSettings
    ) -> None:
        """
        Start as *own*, knowing nobody.

        Args:
            own: This node's identity.
            incarnation: >= 0, and above those of earlier lives if that can be had:
                then those who held it dead take it back at once.  Else it refutes
                as soon as it is told so.
            settings: The same at all members.
        """
        self._settings = settings
        self._beliefs = Beliefs(own, incarnation, settings)
        self._awareness = Awareness(SCORE_MAX if settings.lifeguard else 0)
        self._steady = SteadyTime(settings.stall_after)
        self._round: ProbeRound | None = None
        self._relays = Relays()
        self._number = 0
        self._next_round_at: Millis | None = None

    # -- what others ask -----------------------------------------------------

    @property
    def incarnation(self) -> int:
        """Return the node's own incarnation."""
        return self._beliefs.incarnation

    @property
    def multiplier(self) -> int:
        """Return how much more patient than a healthy node this one is, 1 to 9."""
        return self._awareness.multiplier

    def health(self, replica: ReplicaId) -> Health:
        """
        Return what this node believes of *replica*; of itself, ALIVE.

        Raises:
            KeyError: It is not a member.
        """
        if replica == self._beliefs.own:
            return Health.ALIVE
        member = self._beliefs.get(replica)
        if member is None:
            raise KeyError(replica)
        return member.health

    def members(self) -> tuple[MemberHealth, ...]:
        """Return all other members, in the order in which they became known."""
        time = self._steady.passed
        return tuple(member.shown(time) for member in self._beliefs)

    # -- steps ---------------------------------------------------------------

    def step(self, event: Event, now: Millis, rng: Rng) -> list[Effect]:
        """
        Take in *event* and return what to do, in order.

        Args:
            event: What has happened.
            now: The wall clock in ms; may jump, and then no verdict is hasty and
                no wait is for ever.
            rng: Where chance comes from.

        Cost: does not depend on the number of members, but for MembersKnown and
        for a tick at which some suspicion ends, which looks at all suspects.
        """
        if self._steady.advance(now, self._awareness.multiplier):
            self._stalled()
        match event:
            case Tick():
                return self._tick(now, rng)
            case Received(peer, message):
                effects = self._received(peer, message, now)
                return [*effects, *self._heard(peer)]
            case Heard(peer):
                return self._heard(peer)
            case MembersKnown(replicas):
                self._members_known(replicas)
                return []
            case _:
                assert_never(event)

    def _stalled(self) -> None:
        """This node was not there: it is to blame, and its round proves nothing."""
        self._awareness.worsen()
        self._round = None

    def _members_known(self, replicas: tuple[ReplicaId, ...]) -> None:
        members = frozenset(replicas)
        self._beliefs.know(members, iter(replicas))
        self._relays.keep_of(members)
        if self._round is not None and self._round.target not in members:
            self._round = None

    def _tick(self, now: Millis, rng: Rng) -> list[Effect]:
        time = self._steady.passed
        if self._next_round_at is None:
            # Nodes that started together need not probe together.
            offset = rng.randrange(self._settings.probe_interval)
            self._next_round_at = Millis(time + offset)
        effects = self._beliefs.expire(time)
        if self._settings.lifeguard:
            for relay in self._relays.overdue(time):
                effects.append(SendTo(relay.requester, Nack(relay.number)))
        if self._round is not None:
            if self._round.needs_helpers(time):
                effects.extend(self._ask_helpers(self._round, rng))
            if self._round.is_over(time):
                effects.extend(self._conclude(self._round, time))
        if time >= self._next_round_at:
            effects.extend(self._begin_round(now, rng))
        return effects

    # -- probing -------------------------------------------------------------

    def _begin_round(self, now: Millis, rng: Rng) -> list[Effect]:
        """Probe the next member, and tell one of the dead that it is so."""
        time, settings = self._steady.passed, self._settings
        patience = self._awareness.multiplier
        ends_at = Millis(time + settings.probe_interval * patience)
        self._next_round_at = ends_at
        effects: list[Effect] = []
        dead = self._beliefs.dead.next(rng)
        if dead is not None:
            effects.append(self._ping(dead, self._next_number()))
        target = self._beliefs.living.next(rng)
        if target is not None:
            self._round = ProbeRound(
                target=target,
                number=self._next_number(),
                sent_at=now,
                began_at=time,
                helpers_at=Millis(time + settings.probe_timeout * patience),
                ends_at=ends_at,
            )
            effects.append(self._ping(target, self._round.number))
        return effects

    def _ask_helpers(self, probe: ProbeRound, rng: Rng) -> list[Effect]:
        wanted = self._settings.indirect_count
        helpers: list[ReplicaId] = []
        for helper in self._beliefs.living.some(CANDIDATES_PER_HELPER * wanted, rng):
            if len(helpers) == wanted:
                break
            if helper != probe.target and self.health(helper) is Health.ALIVE:
                helpers.append(helper)
        probe.ask(tuple(helpers))
        return [
            SendTo(
                helper,
                PingRequest(probe.number, probe.target, self._beliefs.updates()),
            )
            for helper in helpers
        ]

    def _conclude(self, probe: ProbeRound, time: Millis) -> list[Effect]:
        """End the round; accuse its target if there was no sign of life."""
        self._round = None
        if probe.answered:
            return []
        self._awareness.worsen(probe.doubts)
        target = self._beliefs.get(probe.target)
        assert target is not None, "a round ends with its target's membership"
        own = self._beliefs.own
        accusation = Update(target.replica, target.incarnation, Health.SUSPECT, own)
        return self._beliefs.learn(accusation, time)

    def _ping(self, target: ReplicaId, number: int) -> SendTo:
        claim = self._claim_against(target)
        return SendTo(target, Ping(number, target, self._beliefs.updates(*claim)))

    def _claim_against(self, replica: ReplicaId) -> tuple[Update, ...]:
        """Return what *replica* should be told to refute, if anything."""
        member = self._beliefs.get(replica)
        if member is None or member.health is Health.ALIVE:
            return ()
        if member.health is Health.SUSPECT and not self._settings.lifeguard:
            return ()  # the SWIM of 2002 leaves that to chance
        member.told_at = self._steady.passed
        return (member.claim,)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    # -- messages ------------------------------------------------------------

    def _heard(self, peer: ReplicaId) -> list[Effect]:
        """Note that *peer* lives; tell it if that is not what is believed."""
        member = self._beliefs.get(peer)
        if member is None:
            return []
        member.heard_at = self._steady.passed
        if self._round is not None and self._round.target == peer:
            self._answered(self._round)
        if member.health is Health.ALIVE or self._told_lately(member):
            return []
        if not self._claim_against(peer):
            return []
        return [self._ping(peer, self._next_number())]

    def _told_lately(self, member: Member) -> bool:
        if member.told_at is None:
            return False
        return self._steady.passed - member.told_at < self._settings.probe_interval

    def _answered(self, probe: ProbeRound) -> None:
        if not probe.answered:
            probe.answer()
            self._awareness.improve()

    def _received(self, peer: ReplicaId, message: Message, now: Millis) -> list[Effect]:
        if self._beliefs.get(peer) is None:
            return self._received_of_stranger(peer, message, now)
        match message:
            case Ping(number, target, updates):
                if target != self._beliefs.own:
                    return []  # for another identity that had this address
                effects = self._learn(updates)
                return [*effects, SendTo(peer, self._ack(peer, number, now))]
            case PingRequest(number, target, updates):
                effects = self._learn(updates)
                return [*effects, *self._relay(peer, number, target, now)]
            case Ack(number, received_at, updates):
                effects = self._learn(updates)
                return [*effects, *self._acked(peer, number, received_at, now)]
            case Nack(number):
                if self._round is not None:
                    self._round.nack(peer, number)
                return []
            case _:
                assert_never(message)

    def _received_of_stranger(
        self, peer: ReplicaId, message: Message, now: Millis
    ) -> list[Effect]:
        """
        Answer a ping, and take in nothing.

        A newcomer that is not in our list yet must not take us for dead; one who
        was removed has no say about others (M2).
        """
        if not isinstance(message, Ping) or message.target != self._beliefs.own:
            return []
        return [SendTo(peer, Ack(message.number, now, (self._beliefs.own_claim,)))]

    def _learn(self, updates: tuple[Update, ...]) -> list[Effect]:
        effects: list[Effect] = []
        for update in updates[:UPDATES_MAX]:  # no correct peer sends more
            effects.extend(self._beliefs.learn(update, self._steady.passed))
        for effect in effects:
            if isinstance(effect, IncarnationRaised):
                self._awareness.worsen()  # others had reason to suspect this node
        return effects

    def _ack(self, peer: ReplicaId, number: int, now: Millis) -> Ack:
        first = (self._beliefs.own_claim, *self._claim_against(peer))
        return Ack(number, now, self._beliefs.updates(*first))

    def _relay(
        self, peer: ReplicaId, number: int, target: ReplicaId, now: Millis
    ) -> list[Effect]:
        """Ping *target* for *peer*."""
        if target == self._beliefs.own:
            return [SendTo(peer, self._ack(peer, number, now))]
        if self._beliefs.get(target) is None:
            # A newcomer, unknown here so far: that is no fault of the prober's.
            lifeguard = self._settings.lifeguard
            return [SendTo(peer, Nack(number))] if lifeguard else []
        ours = self._next_number()
        left = self._settings.probe_interval - self._settings.probe_timeout
        nack_at = Millis(self._steady.passed + left * 4 // 5)
        self._relays.add(ours, Relay(peer, number, target, nack_at))
        return [self._ping(target, ours)]

    def _acked(
        self, peer: ReplicaId, number: int, received_at: Millis, now: Millis
    ) -> list[Effect]:
        relay = self._relays.answered(number, peer)
        if relay is not None:
            ack = Ack(relay.number, received_at, self._beliefs.updates())
            return [SendTo(relay.requester, ack)]
        probe = self._round
        if probe is None or not probe.acks(peer, number):
            return []  # late, or of a ping that was only to tell
        self._answered(probe)
        if peer != probe.target or probe.measured:
            return []
        probe.measured = True
        rtt = Millis(now - probe.sent_at)
        if rtt != self._steady.passed - probe.began_at:
            return []  # the wall clock jumped meanwhile
        member = self._beliefs.get(peer)
        assert member is not None, "strangers have been turned away"
        member.rtt = rtt
        offset = Millis(received_at - (probe.sent_at + now) // 2)
        return [Measured(peer, rtt, offset)]
