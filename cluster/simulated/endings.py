"""
What is lost for good: what members have agreed that none of them has, or takes in.

Sessions that have seen it are told so from then on (docs/decisions/0034), and whoever
is told must be able to count on it.  So from the moment at which the first disk says
where the writes of a replica end, no disk of a member has one from behind that, or gets
one, and no disk that says it itself.

A replica that no member had met then may have such writes, as may the one that is gone:
until it hears of the end, and then it starts over.  Who was cut off, and has declared
those gone that had agreed to an end, may agree on another one: to that the others
have not agreed, be it the earlier or the later one, until they hear of an earlier one.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.roster import NOT_CLOSED, Roster
from kvnode.types import Dot, ReplicaId


class Ending(NamedTuple):
    """The last write of a replica, and the members that have agreed to it."""

    replica: ReplicaId
    seq: int
    members: frozenset[ReplicaId]


class Endings:
    """Where the writes of replicas that are gone end, and who has agreed to it."""

    def __init__(self) -> None:
        """Begin with nothing agreed on."""
        self._endings: dict[ReplicaId, dict[int, Ending]] = {}

    def learn(self, roster: Roster) -> Iterator[Ending]:
        """Take in what a durable roster says; yield what of that is news."""
        for record in roster.gone_for_good:
            replica, end = record.replica, record.lost_above
            known = self._endings.setdefault(replica, {})
            if end != NOT_CLOSED and end not in known:
                members = frozenset(m.replica for m in roster.members())
                known[end] = Ending(replica, end, members)
                yield known[end]

    def lost(
        self, holder: ReplicaId, roster: Roster, dots: Iterable[Dot]
    ) -> tuple[Dot, ...]:
        """Return which of *dots* the store of *holder*, of that *roster*, must lack."""
        return tuple(
            dot
            for dot in dots
            if self._has_agreed(holder, dot.replica, dot.seq)
            or dot.seq > _told(roster, dot.replica)
        )

    def agreed_without(
        self, replica: ReplicaId, roster: Roster, clock: VersionVector
    ) -> bool:
        """Tell whether *replica* has what it has heard others agree to do without."""
        return any(
            clock.newest(gone) > _told(roster, gone)
            and not self._has_agreed(replica, gone, clock.newest(gone))
            for gone in self._endings
        )

    def _has_agreed(self, holder: ReplicaId, gone: ReplicaId, seq: int) -> bool:
        """Tell whether *holder* has agreed to an end of *gone* before *seq*."""
        return any(
            holder in ending.members and seq > ending.seq
            for ending in self._endings.get(gone, {}).values()
        )


def _told(roster: Roster, replica: ReplicaId) -> int:
    """Return the last write of *replica* by *roster*; NOT_CLOSED = it says nothing."""
    record = roster.get(replica)
    return NOT_CLOSED if record is None else record.lost_above
