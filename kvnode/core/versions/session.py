"""
Sessions: what a client has seen, carried from node to node.

A token names for each replica the newest of its writes that the session has
read or written, and the largest timestamp among them.  A node that covers the
token shows the session nothing older; a write made with the token carries it as
its dependencies, so that no replica covers effect before cause.  Together that
is causal consistency for those who use sessions (rule S1).

References:
    Terry et al., 1994.  Session guarantees for weakly consistent replicated data.
    Lloyd et al., 2011.  Don't settle for eventual: explicit dependencies.
"""

from collections.abc import Iterable
from typing import NamedTuple

from kvnode.core.clocks.key_clock import join_sorted
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.roster import Roster
from kvnode.core.versions.version import Entry
from kvnode.types import ZERO_HLC, Dot, HlcTimestamp, LostWrites, ReplicaId


class Session(NamedTuple):
    """
    What a session has seen: sorted by replica, one dot each.

    What is below a floor is left out, since every member covers it (rule S1); then
    `floor` is that floor's timestamp.  A node that may not be a member of then, such
    as one restored from a backup, must not take the rest for all.
    """

    seen: tuple[Dot, ...] = ()
    hlc: HlcTimestamp = ZERO_HLC
    floor: HlcTimestamp = ZERO_HLC

    def join(self, other: "Session") -> "Session":
        """Return the session that has seen what either has."""
        return Session(
            join_sorted(self.seen, other.seen),
            max(self.hlc, other.hlc),
            max(self.floor, other.floor),
        )

    def above(self, floor: Floor) -> "Session":
        """Return the session without what is below *floor*."""
        seen = tuple(dot for dot in self.seen if not floor.vector.covers(dot))
        if len(seen) == len(self.seen):
            return self
        return Session(seen, self.hlc, max(self.floor, floor.hlc))

    def lost(self, roster: Roster) -> tuple[LostWrites, ...]:
        """
        Return which writes that the session has seen no node will ever have.

        Of a replica the session names only the newest that it has seen: so many it may
        have seen at most.
        """
        lost = []
        for replica, seq in self.seen:
            record = roster.get(replica)
            if record is not None and seq > record.lost_above:
                first = record.lost_above + 1
                lost.append(LostWrites(replica, record.name, first, seq))
        return tuple(lost)

    def without(self, lost: Iterable[LostWrites]) -> "Session":
        """Return the session that has seen nothing of *lost*, and all else."""
        before = {writes.replica: writes.first - 1 for writes in lost}
        kept = (
            Dot(replica, min(seq, before.get(replica, seq)))
            for replica, seq in self.seen
        )
        return self._replace(seen=tuple(dot for dot in kept if dot.seq))

    def saw(self, dots: Iterable[Dot], hlc: HlcTimestamp) -> "Session":
        """Return the session after reading or writing *dots*."""
        return self.join(Session(tuple(sorted(dots)), hlc))

    def saw_all_of(self, clock: VersionVector) -> "Session":
        """Return the session after reading everything that *clock* covers."""
        return self.saw(newest_dots(clock), ZERO_HLC)

    def saw_entry(
        self, entry: Entry, *, covered: VersionVector, pending: VersionVector
    ) -> "Session":
        """
        Return the session after reading *entry* at a node.

        Args:
            entry: What was read, a tombstone too.
            covered: The node's clock.
            pending: Join of the snapshot clocks of its unfinished deltas.

        Source:
            Rules D3 and D4: a read of what the node does not cover yet joins
            all that it may depend on, so that no effect is seen without cause.
        """
        version = entry.version
        dots = version.index_dots
        session = self.saw(dots, version.hlc)
        if covered.covers_all(dots):
            return session
        return session.saw(version.dependencies, version.hlc).saw_all_of(pending)


NEW_SESSION = Session()


def newest_dots(clock: VersionVector) -> tuple[Dot, ...]:
    """Return the newest covered dot of each replica, by replica."""
    return tuple(
        Dot(ReplicaId(replica), spans[-1][1]) for replica, spans in clock.items()
    )
