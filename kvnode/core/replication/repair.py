"""
Taking in what a repair brings: merging that also settles what merging cannot.

By rule R2 two registers of one stamp are one write, and merging keeps the stored
one.  Where two nodes hold different bytes under one stamp, which is what a bug or
a flipped bit in memory leaves, that would keep them apart for ever, and the alarm
of D9 on.  Nobody can say which of the two is right.  So both nodes merge the two
in one and the same order, that of their contents, and come to hold the same.

All else is merged as always: of what is lost here and held there, the copy comes
back; and CRDT states are joined.
"""

from kvnode.core.versions.merge import Join, merge
from kvnode.core.versions.version import Entry


def repaired(stored: Entry | None, incoming: Entry, join: Join) -> Entry:
    """
    Return what to hold once *incoming*, which a peer holds, has been seen.

    The same for both sides; where entries differ by more than their contents, it
    is what merging makes of them.
    """
    if stored is None:
        return incoming
    first, second = sorted((stored, incoming), key=_order)
    return merge(second, first, join).entry


def _order(entry: Entry) -> tuple[object, ...]:
    version, value, metadata = entry
    return (version.stamp, version.kind, version.dot, version.deadline, metadata, value)
