"""
What failure detectors say to each other, and how what they say is ordered.

An update is a claim about one member.  Claims about the same member are totally
ordered by (incarnation, health), and a node believes the largest it has heard:

    alive i  <  suspect i  <  dead i  <  alive i + 1

So beliefs are a join semilattice, and nodes that have heard the same updates, in
whatever order, believe the same.  Only a member itself raises its incarnation,
which is how it refutes: nobody else can argue a suspicion away.

It departs from the SWIM paper in one point.  There "confirm" beats every
incarnation, since a member that was confirmed as failed has left the group for
good.  Here the durable member list alone says who has left (rules G1, M2, M3), and
a member that was dead to others comes back by refuting, as after a partition.

References:
    Das, Gupta & Motivala, 2002.  SWIM.  Sections 3 and 4.
    Dadgar, Phillips & Currey, 2018.  Lifeguard: the nack, and the accuser that a
        suspicion must carry for confirmations to be independent.
"""

from enum import IntEnum
from typing import NamedTuple

from kvnode.types import Millis, ReplicaId

UPDATES_MAX = 32
"""
Updates a message carries at most: at some 25 bytes each it fits into one packet.

With 16, a thousand members of whom a hundred come and go have more to tell than goes
along, and news of a crash takes five seconds longer to reach all but a few.
"""

INCARNATION_MAX = 2**48
"""At a refutation each millisecond it lasts for 9,000 years."""

NOBODY = ReplicaId(0)


class Health(IntEnum):
    """What one node believes of another; volatile, for routing and relays (M3)."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2


class Update(NamedTuple):
    """
    A claim: *replica* in its *incarnation* is of that health.

    `accuser` is whose own probing failed, of a suspicion; else NOBODY.
    """

    replica: ReplicaId
    incarnation: int
    health: Health
    accuser: ReplicaId = NOBODY

    @property
    def rank(self) -> tuple[int, Health]:
        """Return what decides between two claims about the same member."""
        return self.incarnation, self.health


class Ping(NamedTuple):
    """Is *target* there?  Somebody else's identity at its address says nothing."""

    number: int
    target: ReplicaId
    updates: tuple[Update, ...] = ()


class PingRequest(NamedTuple):
    """Ping *target* for me, and answer with *number* what came of it."""

    number: int
    target: ReplicaId
    updates: tuple[Update, ...] = ()


class Ack(NamedTuple):
    """
    The target of ping *number* is there; sent by itself or by a helper.

    `received_at` is the target's wall clock when it took in the ping.  The first
    update is always the target's own, that it is alive.
    """

    number: int
    received_at: Millis
    updates: tuple[Update, ...] = ()


class Nack(NamedTuple):
    """A helper is there but has not heard from the target of *number* so far."""

    number: int


Message = Ping | PingRequest | Ack | Nack
