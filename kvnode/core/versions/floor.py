"""
The floor: up to where deletions and expired entries are forgotten (rule G2).

A floor is a version vector and a timestamp.  Adopting one drops exactly the
tombstones, and the entries that expired before its timestamp, that have all their
dots under its vector and stamps below its timestamp.  So nodes of equal clock and
equal floor hold equal entries, and their digests can be compared.

What is forgotten cannot be found again, so all that comes later is held against the
timestamp instead: whatever was forgotten is stamped below it.

    a register or tombstone stamped at or above the floor's timestamp wins over
    everything that was forgotten, and may be merged wherever it comes from;

    one stamped below, or a CRDT that was started before it, may be something that a
    forgotten deletion had ended.  Only a node that has seen that deletion can tell:
    one whose clock covers the floor.

A CRDT that is started upon nothing, at a node with a floor, says so in its base
(`origin_of`): it was started after all that was forgotten here.

Reference:
    docs/decisions/0012-forgetting.md
"""

from typing import NamedTuple

from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.versions.version import (
    CRDT_KINDS,
    NEVER,
    Entry,
    Kind,
    Stamp,
    Version,
    starts_on_nothing,
)
from kvnode.types import ZERO_HLC, HlcTimestamp, ReplicaId


class Floor(NamedTuple):
    """Everything deleted or expired is forgotten up to here."""

    vector: VersionVector = EMPTY
    hlc: HlcTimestamp = ZERO_HLC

    def join(self, other: "Floor") -> "Floor":
        """Return the pointwise maximum: what either forgets is forgotten."""
        return Floor(self.vector.join(other.vector), max(self.hlc, other.hlc))

    def includes(self, other: "Floor") -> bool:
        """Tell whether all that *other* forgets is forgotten here."""
        return self.hlc >= other.hlc and self.vector.includes(other.vector)

    def __bool__(self) -> bool:
        return bool(self.vector) or self.hlc > ZERO_HLC


_NEVER_DUE = HlcTimestamp((1 << 63) - 1)
"""No clock gets there, nor any floor; a deadline may be later."""

GROUND = Floor()
"""Below everything: nothing was ever forgotten."""


def mortal_from(version: Version) -> HlcTimestamp | None:
    """
    Return the timestamp above which a floor must be to forget *version*.

    Returns:
        None if it is neither a tombstone nor ever expires.
    """
    if version.kind is Kind.TOMBSTONE:
        return version.hlc
    if version.deadline == NEVER:
        return None
    return min(max(version.hlc, from_millis(version.deadline)), _NEVER_DUE)


def forgets(floor: Floor, version: Version) -> bool:
    """Tell whether an entry of *version* is dropped by adopting *floor*."""
    due = mortal_from(version)
    return (
        due is not None
        and due < floor.hlc
        and floor.vector.covers_all(version.index_dots)
    )


def begun(version: Version) -> HlcTimestamp:
    """Return when the entry, or the CRDT that it is a state of, was begun."""
    return version.base.hlc if version.kind in CRDT_KINDS else version.hlc


def origin_of(floor: Floor) -> Stamp:
    """Return the base of a CRDT that is started upon nothing at a node with *floor*."""
    return Stamp(floor.hlc, ReplicaId(0))


def may_merge(floor: Floor, stored: Entry | None, version: Version) -> bool:
    """
    Tell whether a fresh write may be merged by a node with *floor*.

    Args:
        floor: What the node has forgotten.
        stored: What it holds of the key.
        version: Of a write that it does not cover, from a node whose clock may not
            cover the floor.

    Returns:
        False: it may have been ended by something that is forgotten, or replace what
        must end something that is on its way still.  A delta brings it, or what has
        superseded it, from a node that can tell.
    """
    if version.kind not in CRDT_KINDS or stored is None:
        return begun(version) >= floor.hlc
    mine = stored.version
    if mine.kind in CRDT_KINDS and starts_on_nothing(mine):
        return _may_join(floor, mine, version)
    if mine.rank >= version.rank:
        return True  # it changes nothing
    if starts_on_nothing(version) and version.base.hlc > floor.hlc:
        # Where it was started, what is here was forgotten: when all that it ends had
        # come.  Here some may come yet, and would be taken for one CRDT with this.
        return False
    return begun(version) >= floor.hlc


def _may_join(floor: Floor, mine: Version, version: Version) -> bool:
    """Tell whether a CRDT may meet *mine*, which was started on nothing."""
    if mine.base == version.base and mine.kind is version.kind:
        return True
    if not starts_on_nothing(version) and mine.rank >= version.rank:
        return True  # it changes nothing
    # What was forgotten when this one was started may have ended it.
    return begun(version) >= max(floor.hlc, mine.base.hlc)
