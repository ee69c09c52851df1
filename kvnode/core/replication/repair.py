"""
Taking in what a repair brings: merging that also settles what merging cannot.

By rule R2 two registers of one stamp are one write, and merging keeps the stored
one.  Where two nodes hold different bytes under one stamp, which is what a bug or
a flipped bit in memory leaves, that would keep them apart for ever, and the alarm
of D9 on.  Nobody can say which of the two is right.  So both nodes merge the two
in one and the same order, that of their contents, and come to hold the same.

A scan may have told one of the two that its store is not what was written to it.  Then
there is one to trust, and of a write that both hold its contents count.

All else is merged as always: of what is lost here and held there, the copy comes
back; and CRDT states are joined.
"""

from enum import Enum

from kvnode.core.versions.merge import Join, merge
from kvnode.core.versions.version import Entry


class Trust(Enum):
    """Whose contents of one write count."""

    EQUAL = "equal"  # nothing is known of either
    OURS = "ours"  # the peer has found its store to be wrong
    THEIRS = "theirs"  # this node has


def repaired(
    stored: Entry | None, incoming: Entry, join: Join, trust: Trust = Trust.EQUAL
) -> Entry:
    """
    Return what to hold once *incoming*, which a peer holds, has been seen.

    The same for both sides, if each says whom to trust; where entries differ by more
    than their contents, it is what merging makes of them.
    """
    if stored is None:
        return incoming
    if trust is not Trust.EQUAL and is_same_write(stored, incoming):
        return stored if trust is Trust.OURS else incoming
    first, second = sorted((stored, incoming), key=_order)
    return merge(second, first, join).entry


def is_same_write(one: Entry, other: Entry) -> bool:
    """Tell whether two entries are of the same write, or of the same ones."""
    return (
        one.version.stamp == other.version.stamp
        and one.version.kind is other.version.kind
        and one.version.index_dots == other.version.index_dots
    )


def _order(entry: Entry) -> tuple[object, ...]:
    version, value, metadata = entry
    return (version.stamp, version.kind, version.dot, version.deadline, metadata, value)
