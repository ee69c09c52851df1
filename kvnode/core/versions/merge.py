"""
The one merge function.

Every entry that reaches a node, from a client or from a peer, goes through
`merge`, and what people see is its result alone.  It is idempotent, commutative
and associative for any set of versions that nodes can make, which is why
replicas that have seen the same writes hold the same entries.

The relation between the two key clocks is reported for the conflict log and
decides nothing (rule R3).
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from kvnode.core.clocks.key_clock import covers, join_sorted
from kvnode.core.versions.version import (
    CRDT_KINDS,
    Entry,
    Kind,
    Version,
    is_one_crdt,
    outranks,
)

Join = Callable[[Kind, bytes, bytes], bytes]
"""Joins two encoded states of one CRDT kind; see kvnode.core.crdt."""


class Relation(Enum):
    """How the incoming entry relates to the stored one."""

    NEWER = "newer"
    OLDER = "older"
    SAME = "same"
    CONCURRENT = "concurrent"


class Merged(NamedTuple):
    """
    What to store, and how it came about.

    `loser` is set only when a concurrent write lost: it goes to the conflict
    log (rule R4).  `changed` tells whether `entry` differs from the stored one.
    """

    entry: Entry
    relation: Relation
    changed: bool
    loser: Entry | None = None


def merge(stored: Entry | None, incoming: Entry, join: Join) -> Merged:
    """
    Merge *incoming* into what is *stored* under the same key.

    Args:
        stored: The entry held now, or None for a key never seen.
        incoming: Another entry for the key.
        join: How CRDT states are joined.

    Returns:
        The entry to hold from now on, never None: deletions are entries too.

    Source:
        Rules R2 to R5; docs/decisions/0001 for values of different types.
    """
    if stored is None:
        return Merged(incoming, Relation.NEWER, changed=True)
    mine, theirs = stored.version, incoming.version
    if is_one_crdt(mine, theirs):
        return _joined(stored, incoming, join)
    if mine.rank == theirs.rank:
        return Merged(stored, Relation.SAME, changed=False)
    if outranks(theirs, mine):
        if _builds_on(theirs, mine):  # by R1 the common case
            return Merged(incoming, Relation.NEWER, changed=True)
        relation = relate(mine, theirs)
        loser = stored if relation is Relation.CONCURRENT else None
        return Merged(incoming, relation, changed=True, loser=loser)
    relation = relate(mine, theirs)
    loser = incoming if relation is Relation.CONCURRENT else None
    return Merged(stored, relation, changed=False, loser=loser)


def includes(stored: Entry | None, version: Version) -> bool:
    """
    Tell whether *stored* is of *version*, or supersedes or contains it.

    The full state of a CRDT always travels: one that has a replica's dot has all
    that this replica had contributed by then.
    """
    if stored is None:
        return False
    mine = stored.version
    if is_one_crdt(mine, version):
        return _builds_on(mine, version)
    return mine.rank == version.rank or outranks(mine, version)


def relate(stored: Version, incoming: Version) -> Relation:
    """Classify *incoming* against *stored* by their key clocks (R3)."""
    newer = _builds_on(incoming, stored)
    older = _builds_on(stored, incoming)
    if newer and older:
        return Relation.SAME
    if newer:
        return Relation.NEWER
    return Relation.OLDER if older else Relation.CONCURRENT


def _builds_on(later: Version, earlier: Version) -> bool:
    if earlier.kind not in CRDT_KINDS:
        return covers((later.dot,), earlier.dot) or covers(later.others, earlier.dot)
    clock = later.key_clock
    return all(covers(clock, dot) for dot in earlier.index_dots)


def _joined(stored: Entry, incoming: Entry, join: Join) -> Merged:
    mine, theirs = stored.version, incoming.version
    newest = incoming if theirs.stamp > mine.stamp else stored
    contributors = join_sorted(mine.key_clock, theirs.key_clock)
    version = newest.version._replace(
        others=tuple(
            d for d in contributors if d.replica != newest.version.dot.replica
        ),
        dependencies=join_sorted(mine.dependencies, theirs.dependencies),
        base=max(mine.base, theirs.base),
    )
    value = join(mine.kind, stored.value, incoming.value)
    entry = Entry(version, value, newest.metadata)
    return Merged(entry, relate(mine, theirs), changed=entry != stored)
