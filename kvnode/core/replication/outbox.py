"""
Outboxes: what has been pushed to one peer and not been acknowledged.

Pushing never blocks a client, and a slow peer costs a bounded amount of memory
(rule D5): past the bound nothing more is pushed, and the peer finds what it
lacks through a delta, whose source is the store itself.
"""

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication.messages import Push, PushAcknowledgement
from kvnode.types import Dot, ReplicaId


class Outbox:
    """Pushes in flight to one peer; `bytes_max` bounds them."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._in_flight: dict[tuple[ReplicaId, int], int] = {}
        self._received: VersionVector = EMPTY
        self.size_bytes = 0
        self.behind = False

    def offer(self, push: Push) -> bool:
        """
        Tell whether *push* may be sent now, and count it if so.

        False means that the peer is too slow: from then on nothing is pushed
        until half of the room is free again.
        """
        size = push.size_bytes
        if self.behind or (
            self.size_bytes and self.size_bytes + size > self._bytes_max
        ):
            self.behind = True
            return False
        place = push.origin, push.first
        self.size_bytes += size - self._in_flight.pop(place, 0)  # asked for again
        self._in_flight[place] = size
        return True

    def acknowledge(self, message: PushAcknowledgement, *, ours: bool = True) -> bool:
        """
        Count a push as received; tell whether pushing resumes after a stop.

        Of pushes that were passed on for others (not *ours*) it is not remembered.

        An acknowledgement of nothing in flight is normal: after a stop the
        counts start afresh.
        """
        if ours:
            self._received = self._received.with_range(
                message.origin, message.first, message.last
            )
        self.size_bytes -= self._in_flight.pop((message.origin, message.first), 0)
        return self._resumes()

    def covered(self, clock: VersionVector) -> bool:
        """
        Count as received what the peer's *clock* covers; tell as `acknowledge`.

        A push that a delta overtook at the peer is never acknowledged.
        """
        for (origin, first), size in list(self._in_flight.items()):
            if clock.covers(Dot(origin, first)):
                del self._in_flight[origin, first]
                self.size_bytes -= size
        return self._resumes()

    def _resumes(self) -> bool:
        if self.behind and self.size_bytes <= self._bytes_max // 2:
            self.behind = False
            return True
        return False

    def received(self, first: Dot, last: Dot) -> bool:
        """Tell whether the peer acknowledged all from *first* to *last*."""
        return any(
            a <= first.seq and last.seq <= b
            for a, b in self._received.spans(first.replica)
        )

    def forget(self) -> None:
        """Drop what is in flight: a turn failed, and its pushes were not sent."""
        self._in_flight.clear()
        self.size_bytes = 0
        self.behind = False
