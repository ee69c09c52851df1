"""
One round of SWIM failure detection, as its prober and as its helpers see it.

    DIRECT --ack--> ANSWERED
    DIRECT --timeout passed--> INDIRECT      ask helpers to ping for us
    INDIRECT --ack--> ANSWERED
    end of the round, not answered           suspect the target

Any sign of life of the target ends the wait: it is asked whether it is there, and
a message of any other kind says so too.  What was on its way when the round began
is taken for an answer as well; a crash is then found a round later.

A helper forwards the ack when there is one.  If there is none by four fifths of
the time that the prober still has, it sends a nack: that itself and the way to it
are well (Lifeguard).  An ack that comes after that is forwarded all the same.

References:
    Das, Gupta & Motivala, 2002.  SWIM.  Section 3.1.
    Dadgar, Phillips & Currey, 2018.  Lifeguard: Local Health Aware Probe.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from kvnode.types import Millis, ReplicaId

RELAYS_MAX = 256
"""
Pings made for others and not answered yet; the oldest are given up.

A member is asked for three a second when all probes of all others fail.
"""


class Stage(Enum):
    """Where a round is."""

    DIRECT = "direct"
    INDIRECT = "indirect"
    ANSWERED = "answered"


@dataclass(slots=True)
class ProbeRound:
    """
    State of one round at its prober.

    Attributes:
        target: Who is probed.
        number: Of its pings, direct and indirect.
        sent_at: By our wall clock.
        began_at: In steady time, as the next two.
        helpers_at: When to ask helpers, > *began_at*.
        ends_at: When the round is over, > *helpers_at*.
        helpers: Who has been asked.
    """

    target: ReplicaId
    number: int
    sent_at: Millis
    began_at: Millis
    helpers_at: Millis
    ends_at: Millis
    stage: Stage = Stage.DIRECT
    helpers: tuple[ReplicaId, ...] = ()
    measured: bool = False
    _nacked: set[ReplicaId] = field(default_factory=set)

    def needs_helpers(self, time: Millis) -> bool:
        """Tell whether it is time to ask helpers, once."""
        return self.stage is Stage.DIRECT and time >= self.helpers_at

    def ask(self, helpers: tuple[ReplicaId, ...]) -> None:
        """Note that *helpers*, maybe nobody, have been asked."""
        assert self.stage is Stage.DIRECT, "helpers are asked once"
        self.stage, self.helpers = Stage.INDIRECT, helpers

    @property
    def answered(self) -> bool:
        """Tell whether there has been a sign of life."""
        return self.stage is Stage.ANSWERED

    def answer(self) -> None:
        """Note a sign of life."""
        self.stage = Stage.ANSWERED

    def acks(self, sender: ReplicaId, number: int) -> bool:
        """Tell whether an ack of *number* by *sender* speaks for the target."""
        return number == self.number and (
            sender == self.target or sender in self.helpers
        )

    def nack(self, sender: ReplicaId, number: int) -> None:
        """Note that a helper is there; a late or foreign nack means nothing."""
        if number == self.number and sender in self.helpers:
            self._nacked.add(sender)

    def is_over(self, time: Millis) -> bool:
        """Tell whether the round has come to its end."""
        return time >= self.ends_at

    @property
    def doubts(self) -> int:
        """Return the signs in a failed round that the prober is to blame."""
        return len(self.helpers) - len(self._nacked) if self.helpers else 1


class Relay(NamedTuple):
    """A ping made for *requester*, who calls it *number*."""

    requester: ReplicaId
    number: int
    target: ReplicaId
    nack_at: Millis


class Relays:
    """Pings that this node has made for others, by its own number for each."""

    def __init__(self) -> None:
        self._waiting: dict[int, Relay] = {}
        self._nacked: dict[int, Relay] = {}

    def add(self, number: int, relay: Relay) -> None:
        """Note a ping with *number* of ours; `nack_at` never decreases."""
        self._waiting[number] = relay
        _keep(self._waiting)

    def answered(self, number: int, sender: ReplicaId) -> Relay | None:
        """Return and forget the relay that *sender*'s ack of *number* is for."""
        for relays in (self._waiting, self._nacked):
            relay = relays.get(number)
            if relay is not None and relay.target == sender:
                return relays.pop(number)
        return None

    def overdue(self, time: Millis) -> list[Relay]:
        """Return those to send a nack for, each once."""
        due: list[Relay] = []
        while self._waiting:
            number, relay = next(iter(self._waiting.items()))
            if relay.nack_at > time:
                break
            del self._waiting[number]
            self._nacked[number] = relay
            _keep(self._nacked)
            due.append(relay)
        return due

    def keep_of(self, members: frozenset[ReplicaId]) -> None:
        """Forget the relays from or to anybody who is not of *members*."""
        for relays in (self._waiting, self._nacked):
            for number, relay in tuple(relays.items()):
                if not {relay.requester, relay.target} <= members:
                    del relays[number]


def _keep(relays: dict[int, Relay]) -> None:
    """Give up the oldest of *relays* if there are too many."""
    if len(relays) > RELAYS_MAX:
        del relays[next(iter(relays))]
