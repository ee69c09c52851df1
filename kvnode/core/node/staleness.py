"""
How far behind each origin a node is (rule S3).

A report says what its sender had written at its time t.  Once that is covered
here, the node has seen everything the sender wrote up to t; the age of the
newest such t is how far behind it may be.

All times here are of one clock.  A bound that rests on the sender's is no bound if
that clock is wrong, nor is one that rests on a clock that is set meanwhile: so t is
to be given, at the earliest that it can have been, by our own steady clock
(kvnode.core.membership.clock_offset.ClockOffset.sent_at).
"""

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.types import Dot, Millis, ReplicaId

UNCONFIRMED_MAX = 64
"""Reports kept per origin until covered: a minute of them."""


class Staleness:
    """For each origin, up to which of its times everything is here."""

    def __init__(self) -> None:
        self._complete_until: dict[ReplicaId, Millis] = {}
        self._unconfirmed: dict[ReplicaId, list[tuple[int, Millis]]] = {}

    def heard(self, origin: ReplicaId, newest: int, sent_at: Millis) -> None:
        """Note that *origin* had written up to seq *newest* by *sent_at*."""
        reports = self._unconfirmed.setdefault(origin, [])
        if len(reports) == UNCONFIRMED_MAX:
            reports.pop()  # what was heard early is confirmed first
        reports.append((newest, sent_at))

    def advance(self, clock: VersionVector) -> None:
        """Confirm reports that *clock* covers by now."""
        for origin, reports in self._unconfirmed.items():
            # Not the first one alone: what it waits for may be lost for good, and
            # then nobody covers it (docs/decisions/0011).
            for place in reversed(range(len(reports))):
                newest, sent_at = reports[place]
                if not newest or clock.covers(Dot(origin, newest)):
                    self._complete_until[origin] = sent_at
                    del reports[: place + 1]
                    break

    def behind(self, origin: ReplicaId, now: Millis) -> Millis | None:
        """Return how far behind *origin* we may be in ms; None = unknown."""
        until = self._complete_until.get(origin)
        return None if until is None else Millis(max(0, now - until))
