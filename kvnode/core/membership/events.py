"""What happens to a failure detector, and what it wants done about it."""

from typing import NamedTuple, Protocol

from kvnode.core.membership.messages import Health, Message
from kvnode.types import Millis, ReplicaId


class MembersKnown(NamedTuple):
    """
    The durable member list is now this; the own identity may be among them.

    Newcomers begin alive.  Those who are gone are forgotten, and no rumor brings
    them back (M2).
    """

    replicas: tuple[ReplicaId, ...]


class Heard(NamedTuple):
    """A message of any other kind came from *peer* itself."""

    peer: ReplicaId


class Received(NamedTuple):
    """A message of *peer*'s failure detector came; counts as Heard, too."""

    peer: ReplicaId
    message: Message


class Tick(NamedTuple):
    """Time has passed; to come every 50 ms or so while the process runs."""


Event = MembersKnown | Heard | Received | Tick


class SendTo(NamedTuple):
    """Send *message* to *peer*; dropped if it is not connected."""

    peer: ReplicaId
    message: Message


class HealthChanged(NamedTuple):
    """From now on *replica* is believed to be of that health."""

    replica: ReplicaId
    health: Health


class Measured(NamedTuple):
    """
    A direct ping to *peer* was answered.

    Attributes:
        peer: Who answered.
        rtt: From sending to taking in the answer, >= 0 ms, the waits in both
            nodes' inboxes and for their disks included.
        offset: Its wall clock minus ours, in ms, taking both ways to be equally
            long; it is off by rtt / 2 at most.
    """

    peer: ReplicaId
    rtt: Millis
    offset: Millis


class IncarnationRaised(NamedTuple):
    """This node has refuted: its incarnation is this now, until it is restarted."""

    incarnation: int


Effect = SendTo | HealthChanged | Measured | IncarnationRaised


class Rng(Protocol):
    """Where chance comes from; `random.Random` is one."""

    def randrange(self, stop: int, /) -> int:
        """Return one of 0 to *stop* - 1; *stop* is > 0."""
        ...
