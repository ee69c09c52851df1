"""
What a node may claim to cover when records of some keys are damaged.

A clock promises of every dot that it covers: the entry of the dot's key is that
write, or includes it (invariant I1).  A record that is damaged, or is replaced by
one that may be older, breaks the promise for the dots of its key.  Those that it
has in the index can be found there; those that it had superseded have no row any
more, and nothing tells whose they were.  So what is left is

    what somebody covers whose record of the key takes the place of ours,
    and every other dot that the index gives to a key with a sound record.

Dots taken out come back with the next delta from whoever covers them.
"""

from collections.abc import Collection, Iterator
from typing import Final, Protocol

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.types import Dot, EntryKey, ReplicaId

LOOKED_AT_MAX: Final = 4096
"""
Dots beyond what the other covers that are looked at one by one.

One that is that far behind is filling itself, and each of the rows that are gone
would leave a gap in its clock: then only dots that the index gives to the damaged
keys are taken out.
"""


class Indexed(Protocol):
    """What is asked of a store here."""

    def index(
        self, replica: ReplicaId, first: int, last: int | None
    ) -> Iterator[tuple[Dot, EntryKey]]:
        """Yield index rows of *replica* with first <= seq <= last, ascending."""


def claimable(
    view: Indexed,
    clock: VersionVector,
    theirs: VersionVector,
    damaged: Collection[EntryKey],
) -> VersionVector:
    """
    Return what of *clock* holds without the records of *damaged* keys.

    Args:
        view: Where *clock* is what is covered.
        clock: What to take dots out of.
        theirs: What somebody covers who has, or is the source of, a record of
            these keys: that much of *clock* holds.
        damaged: The keys whose records are gone.
    """
    few = clock.count_missing_from(theirs) <= LOOKED_AT_MAX
    holds = clock
    for replica, first, last in clock.missing_from(theirs):
        gone = _gone if few else _damaged
        for a, b in gone(view, replica, first, last, damaged):
            holds = holds.without(replica, a, b)
    return holds


def _gone(
    view: Indexed,
    replica: ReplicaId,
    first: int,
    last: int,
    damaged: Collection[EntryKey],
) -> Iterator[tuple[int, int]]:
    """Yield the ranges in which no dot belongs to a sound record."""
    start = first
    for dot, key in view.index(replica, first, last):
        if key in damaged:
            continue
        if dot.seq > start:
            yield start, dot.seq - 1
        start = dot.seq + 1
    if start <= last:
        yield start, last


def _damaged(
    view: Indexed,
    replica: ReplicaId,
    first: int,
    last: int,
    damaged: Collection[EntryKey],
) -> Iterator[tuple[int, int]]:
    """Yield the dots of damaged records, each as a range."""
    for dot, key in view.index(replica, first, last):
        if key in damaged:
            yield dot.seq, dot.seq
