"""
What is lost for good: what members have agreed that none of them has, or takes in.

Sessions that have seen it are told so from then on (docs/decisions/0034), and whoever
is told must be able to count on it.  So from the moment at which the first disk says
where the writes of a replica end, no disk of a member has one from behind that, or gets
one, and no disk that says it itself.

A replica that no member had met then may have such writes, as may the one that is gone:
until it hears of the end, and then it starts over.
"""

from collections.abc import Collection, Iterable, Iterator

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.roster import NOT_CLOSED, Roster
from kvnode.types import Dot, ReplicaId


class Endings:
    """Where the writes of replicas that are gone end, and who has agreed to it."""

    def __init__(self) -> None:
        """Begin with nothing agreed on."""
        self._ends: dict[ReplicaId, int] = {}
        self._agreed: dict[ReplicaId, frozenset[ReplicaId]] = {}

    def learn(self, roster: Roster) -> Iterator[ReplicaId]:
        """Take in what a durable roster says; yield of whom that is news."""
        for record in roster.gone_for_good:
            replica, end = record.replica, record.lost_above
            if end < self._ends.get(replica, NOT_CLOSED):
                self._ends[replica] = end
                members = frozenset(m.replica for m in roster.members())
                self._agreed.setdefault(replica, members)
                yield replica

    def lost(
        self, holder: ReplicaId, roster: Roster, dots: Iterable[Dot]
    ) -> tuple[Dot, ...]:
        """Return which of *dots* the store of *holder*, of that *roster*, must lack."""
        return tuple(
            dot
            for dot in dots
            if dot.seq > self._ends.get(dot.replica, NOT_CLOSED)
            and (holder in self._agreed[dot.replica] or _knows(roster, dot.replica))
        )

    def agreed_without(
        self, replica: ReplicaId, roster: Roster, clock: VersionVector
    ) -> bool:
        """Tell whether *replica* has what it has heard others agree to do without."""
        return any(
            clock.newest(gone) > end
            and replica not in self._agreed[gone]
            and _knows(roster, gone)
            for gone, end in self._ends.items()
        )

    def end_of(self, replica: ReplicaId) -> int:
        """Return the last write of *replica* that is not lost."""
        return self._ends[replica]

    def agreed(self, replica: ReplicaId) -> Collection[ReplicaId]:
        """Return who were members when the end of *replica* was agreed on."""
        return self._agreed[replica]


def _knows(roster: Roster, replica: ReplicaId) -> bool:
    record = roster.get(replica)
    return record is not None and record.lost_above != NOT_CLOSED
