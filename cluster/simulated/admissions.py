"""
Who counts: the replicas without which the others may forget nothing (G1, D10).

Those that were there when the cluster began count until they are removed, or lose their
store.  All others are let in by one that has them in its roster from some commit on.
What that one, its *host*, covers at that moment bounds what can be forgotten without
the newcomer: it has reported no more before, and what it reports afterwards goes with a
roster in which the newcomer stands.  So a newcomer counts as soon as it covers that, if
its host counts; that the host is what fills it does not matter.

It counts no more if the host is removed before others have heard of the newcomer, which
nobody can see from outside: a host that is gone is no host.  Nor does it if it has
writes of a replica that is gone which its host had not: all members may have given them
up for lost before (docs/decisions/0015).

A newcomer that has not come so far may have to start over if it has begun empty, or
from a backup: it may have taken writes before it met anybody, or have been filled by
one that does not count.  A replica that has just started over serves nobody before it
is filled by one that lets it in: it may have to again only if the first to let it in
does not count.
"""

from dataclasses import dataclass, field

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.roster import Roster
from kvnode.types import ReplicaId


@dataclass(slots=True)
class _Newcomer:
    """
    A replica that has begun after the cluster did.

    Attributes:
        excused: It may have to start over before it counts.
        hosts: What each that lets it in, and counted then, covered at that moment.
        others: Those that let it in and did not count.
    """

    excused: bool
    hosts: dict[ReplicaId, VersionVector] = field(default_factory=dict)
    others: set[ReplicaId] = field(default_factory=set)


class Admissions:
    """Who has let in whom, and who is gone."""

    def __init__(self) -> None:
        """Begin with a cluster all of whose replicas count."""
        self._newcomers: dict[ReplicaId, _Newcomer] = {}
        self._gone: set[ReplicaId] = set()

    def is_gone(self, replica: ReplicaId) -> None:
        """Note that the others may forget without *replica*, whoever knows of it."""
        self._gone.add(replica)

    def has_gone(self, replica: ReplicaId) -> bool:
        """Tell whether the others may forget without *replica*."""
        return replica in self._gone

    def is_new(self, replica: ReplicaId, *, excused: bool) -> None:
        """
        Note that *replica* has begun, and nobody has met it.

        Args:
            replica: Its identity.
            excused: Whether it may have to start over before it counts.
        """
        self._newcomers[replica] = _Newcomer(excused)

    def knows(self, host: ReplicaId, clock: VersionVector, roster: Roster) -> None:
        """
        Note that *host* takes the members of *roster* for such from now on.

        Args:
            host: It holds what it covers: it is not being filled.
            clock: What it covers.
            roster: As it is durable.
        """
        let_in = [
            newcomer
            for replica, newcomer in self._newcomers.items()
            if replica != host
            and host not in newcomer.hosts
            and host not in newcomer.others
            and roster.counts(replica)
        ]
        if not let_in:
            return
        counts = self.counts(host, clock)
        for newcomer in let_in:
            if counts:
                newcomer.hosts[host] = clock
            else:
                newcomer.excused = newcomer.excused or not newcomer.hosts
                newcomer.others.add(host)

    def counts(self, replica: ReplicaId, clock: VersionVector) -> bool:
        """Tell whether nothing may be forgotten without *replica*, of that *clock*."""
        if replica in self._gone:
            return False
        newcomer = self._newcomers.get(replica)
        return newcomer is None or any(
            host not in self._gone
            and clock.includes(covered)
            and self._gone.isdisjoint(one for one, _ in clock.minus(covered).items())
            for host, covered in newcomer.hosts.items()
        )

    def may_start_over(self, replica: ReplicaId, clock: VersionVector) -> bool:
        """Tell whether the others may have forgotten what *replica* has missed."""
        if self.counts(replica, clock):
            return False
        newcomer = self._newcomers.get(replica)
        return replica in self._gone or newcomer is None or newcomer.excused
