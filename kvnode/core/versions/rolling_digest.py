"""
A digest of a whole store that is carried along with every change.

The digest of a set is the sum of its items' fingerprints modulo 2^64 (Bellare &
Micciancio's incremental hashing), so a commit changes it by what it stores less
what it replaces, whatever the number of keys.

Sometimes that difference is not known: a damaged record says nothing of what it
was when it is replaced.  Then the total is *broken*: off by a constant nobody
knows, until a scan of all entries has *settled* it.  Changes are added all the
while, so a scan may take its time, in a snapshot of its own:

    true total now  =  total now + (scanned - total in the snapshot)

as long as nothing broke the total in between.

Reference:
    Bellare & Micciancio, 1997.  A new paradigm for collision-free hashing:
        incrementality at reduced cost.
"""

from typing import NamedTuple

TOTAL_END = 1 << 64
"""Totals are below: 8 bytes tell two stores apart."""


class RollingDigest(NamedTuple):
    """
    The digest of what a store holds; the default is that of nothing.

    Attributes:
        total: The sum of all fingerprints, 64 bits; if not `known`, less a
            constant.
        breaks: How often an unknown fingerprint was taken away, ever.
        known: Whether `total` is the digest of what is stored.
    """

    total: int = 0
    breaks: int = 0
    known: bool = True

    def changed(self, difference: int) -> "RollingDigest":
        """Return the digest after fingerprints worth *difference* were added."""
        return self._replace(total=(self.total + difference) % TOTAL_END)

    def broken(self) -> "RollingDigest":
        """Return the digest after an unknown fingerprint was taken away."""
        return RollingDigest(self.total, self.breaks + 1, known=False)

    def settled(self, scanned: int, then: "RollingDigest") -> "RollingDigest":
        """
        Return the digest as a scan tells it; itself if the scan came too late.

        Args:
            scanned: The sum of all fingerprints in a snapshot.
            then: The digest in the state of that snapshot.
        """
        if then.breaks != self.breaks:
            return self  # what was taken away since is in the sum: scan again
        known = RollingDigest(self.total, self.breaks, known=True)
        return known.changed(scanned - then.total)


NOTHING = RollingDigest()
"""Of a store without entries."""

UNKNOWN = NOTHING.broken()
"""Of a store that kept no digest so far."""
