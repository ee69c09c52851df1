"""
What a node believes of each member, and what it tells others about them.

This is SWIM's dissemination component: it takes in claims, whether its own probes
or other members make them, keeps the largest about each member (see `messages`),
passes on what was news, and turns a suspicion that nobody refuted into a verdict.

It believes something of exactly the members of the durable list
(kvnode.core.versions.roster).  A claim about anybody else changes nothing, so no
third party's rumor brings back who was removed (M2).  And nothing here reaches that
list: a dead member still counts for what may be forgotten (M3).

Health moves by claims alone.  A message heard from a suspect proves that it lives,
yet does not clear it here: others hold the same suspicion, and their rumors would
only suspect it again.  It clears itself for all, by refuting, and for that it has to
know: whoever hears from a suspect tells it so (`Swim`).

Reference:
    Das, Gupta & Motivala, 2002.  SWIM.  Sections 3.2, 4.1 and 4.2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from kvnode.core.membership.events import Effect, HealthChanged, IncarnationRaised
from kvnode.core.membership.messages import (
    INCARNATION_MAX,
    NOBODY,
    UPDATES_MAX,
    Health,
    Update,
)
from kvnode.core.membership.probe_order import ProbeOrder
from kvnode.core.membership.rumors import Rumors, retransmissions
from kvnode.core.membership.settings import SwimSettings
from kvnode.core.membership.suspicion import (
    CONFIRMATIONS_MAX,
    Suspicion,
    shortest_suspicion,
)
from kvnode.types import Millis, ReplicaId


class MemberHealth(NamedTuple):
    """
    One member as people want to see it.

    `heard_ago` and `rtt` are in ms; None if never heard, or never measured.
    """

    replica: ReplicaId
    health: Health
    incarnation: int
    heard_ago: Millis | None
    rtt: Millis | None


@dataclass(slots=True)
class Member:
    """
    One other member.

    Times are in steady time; `heard_at`, `told_at` and `rtt` are None if it was
    never heard, told of a claim against it, or measured.
    """

    replica: ReplicaId
    incarnation: int = 0
    health: Health = Health.ALIVE
    suspicion: Suspicion | None = None
    heard_at: Millis | None = None
    told_at: Millis | None = None
    rtt: Millis | None = None

    @property
    def claim(self) -> Update:
        """Return what is believed of it, to tell others or itself."""
        accuser = self.suspicion.first_accuser if self.suspicion else NOBODY
        return Update(self.replica, self.incarnation, self.health, accuser)

    def shown(self, time: Millis) -> MemberHealth:
        """Return it as people want to see it at *time*."""
        heard_ago = None if self.heard_at is None else Millis(time - self.heard_at)
        return MemberHealth(
            self.replica, self.health, self.incarnation, heard_ago, self.rtt
        )


class Beliefs:
    """The beliefs of node *own* about all other members, and its rumors."""

    def __init__(
        self, own: ReplicaId, incarnation: int, settings: SwimSettings
    ) -> None:
        """Know nobody yet, and spread that *own* is alive."""
        self.own = own
        self.incarnation = incarnation
        self.living = ProbeOrder()  # the suspects, too
        self.dead = ProbeOrder()
        self._settings = settings
        self._members: dict[ReplicaId, Member] = {}
        self._suspicions: dict[ReplicaId, Suspicion] = {}
        self._next_deadline: Millis | None = None  # never after the first of them
        self._rumors = Rumors()
        self._rumors.add(self.own_claim)

    @property
    def own_claim(self) -> Update:
        """Return what this node says of itself."""
        return Update(self.own, self.incarnation, Health.ALIVE)

    def get(self, replica: ReplicaId) -> Member | None:
        """Return another member; None for a stranger, and for this node."""
        return self._members.get(replica)

    def __iter__(self) -> Iterator[Member]:
        """Yield the other members, in the order in which they became known."""
        return iter(self._members.values())

    def know(self, replicas: frozenset[ReplicaId], order: Iterator[ReplicaId]) -> None:
        """Hold exactly *replicas*; newcomers begin alive, in the given order."""
        for replica in [known for known in self._members if known not in replicas]:
            member = self._members.pop(replica)
            self._order_of(member.health).remove(replica)
            self._suspicions.pop(replica, None)
            self._rumors.drop(replica)
        for replica in order:
            if replica not in self._members and replica != self.own:
                self._members[replica] = Member(replica)
                self.living.add(replica)

    # -- claims --------------------------------------------------------------

    def learn(self, update: Update, time: Millis) -> list[Effect]:
        """Take in a claim, of this node's own probing or of anybody else."""
        if update.incarnation > INCARNATION_MAX:
            return []  # no correct peer says so, and it could never be refuted
        if update.replica == self.own:
            return self._refute(update)
        member = self._members.get(update.replica)
        if member is None:
            return []
        claimed, held = update.rank, (member.incarnation, member.health)
        if claimed > held:
            return self._believe(member, update, time)
        if member.suspicion is not None and claimed == held:
            self._confirm(member.suspicion, update)
        return []

    def _refute(self, update: Update) -> list[Effect]:
        """Outdo a claim against this node itself, unless that is done already."""
        if update.rank <= self.own_claim.rank or update.incarnation == INCARNATION_MAX:
            return []
        self.incarnation = update.incarnation + 1
        self._rumors.add(self.own_claim)
        return [IncarnationRaised(self.incarnation)]

    def _believe(self, member: Member, update: Update, time: Millis) -> list[Effect]:
        before = member.health
        member.incarnation, member.health = update.incarnation, update.health
        member.told_at = None  # it has not been told of this
        self._suspicions.pop(member.replica, None)
        member.suspicion = None
        if self._order_of(before) is not self._order_of(update.health):
            self._order_of(before).remove(member.replica)
            self._order_of(update.health).add(member.replica)
        if update.health is Health.SUSPECT:
            member.suspicion = self._suspicion(update.accuser, time)
            self._suspicions[member.replica] = member.suspicion
            self._expect(member.suspicion.deadline)
        self._rumors.add(update)
        if update.health is before:
            return []
        return [HealthChanged(member.replica, member.health)]

    def _suspicion(self, accuser: ReplicaId, time: Millis) -> Suspicion:
        shortest = shortest_suspicion(
            members=len(self._members) + 1,
            multiplier=self._settings.suspicion_multiplier,
            probe_interval=self._settings.probe_interval,
        )
        if not self._settings.lifeguard:
            return Suspicion(time, accuser, 0, shortest, shortest)
        longest = Millis(shortest * self._settings.suspicion_max_multiplier)
        # The dead confirm nothing.  Of the living, this node put in for one of them,
        # the suspect and the first accuser do not; this node may be that accuser.
        able = max(0, len(self.living) - 1)
        return Suspicion(time, accuser, min(CONFIRMATIONS_MAX, able), shortest, longest)

    def _confirm(self, suspicion: Suspicion, update: Update) -> None:
        """Let another member's suspicion shorten the span; pass it on if news."""
        accuser = update.accuser
        if accuser != self.own and accuser not in self._members:
            return  # nobody, or somebody removed
        if suspicion.confirm(accuser):
            self._rumors.add(update)
            self._expect(suspicion.deadline)

    # -- verdicts ------------------------------------------------------------

    def expire(self, time: Millis) -> list[Effect]:
        """Take for dead who has not refuted in time."""
        if self._next_deadline is None or time < self._next_deadline:
            return []
        effects: list[Effect] = []
        for replica, suspicion in tuple(self._suspicions.items()):
            if suspicion.deadline <= time:
                incarnation = self._members[replica].incarnation
                verdict = Update(replica, incarnation, Health.DEAD, self.own)
                effects.extend(self.learn(verdict, time))
        left = (suspicion.deadline for suspicion in self._suspicions.values())
        self._next_deadline = min(left, default=None)
        return effects

    def _expect(self, deadline: Millis) -> None:
        soonest = self._next_deadline
        self._next_deadline = deadline if soonest is None else min(soonest, deadline)

    # -- telling -------------------------------------------------------------

    def updates(self, *first: Update) -> tuple[Update, ...]:
        """Return updates for one message: *first*, then rumors that are due."""
        if not self._rumors:
            return first
        times = retransmissions(
            len(self._members) + 1, self._settings.retransmit_multiplier
        )
        rumors = self._rumors.take(UPDATES_MAX - len(first), times)
        return first + tuple(update for update in rumors if update not in first)

    def _order_of(self, health: Health) -> ProbeOrder:
        return self.dead if health is Health.DEAD else self.living
