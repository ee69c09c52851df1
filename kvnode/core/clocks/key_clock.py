"""
Key clocks: the vector clock of one key, as sorted or recency-ordered dots.

A key clock names, for each replica that wrote the key, the newest of its writes
that the version builds on.  It classifies versions for the conflict log and
never chooses a winner (rule R3), so dropping an entry can at worst report a
conflict that was none.

A register's clock is kept in order of recency, the own dot last, and is bounded
by dropping the oldest.  The clock of a CRDT is the list of its contributors: it
is sorted by replica and never pruned, because the index has one row for each.

References:
    Fidge, 1988; Mattern, 1989: vector clocks.
    DeCandia et al., 2007.  Dynamo.  Section 4.4: clock truncation.
"""

from collections.abc import Iterable, Mapping

from kvnode.types import Dot, ReplicaId

KeyClock = tuple[Dot, ...]


def covers(clock: Iterable[Dot], dot: Dot) -> bool:
    """Tell whether *clock* has an entry of the dot's replica at or above it."""
    return any(r == dot.replica and seq >= dot.seq for r, seq in clock)


def extend(clock: KeyClock, dot: Dot, *, entries_max: int) -> KeyClock:
    """
    Return *clock* with the new *dot* last, at most *entries_max* entries.

    The oldest entries, which stand first, are dropped.
    """
    kept = [entry for entry in clock if entry.replica != dot.replica]
    kept.append(dot)
    return tuple(kept[-entries_max:])


def join_sorted(a: KeyClock, b: KeyClock) -> KeyClock:
    """Return the pointwise maximum, sorted by replica; in whatever order they are."""
    if not a and not b:
        return ()
    return tuple(Dot(r, seq) for r, seq in sorted(pointwise_maximum(a, b).items()))


def pointwise_maximum(a: KeyClock, b: KeyClock) -> Mapping[ReplicaId, int]:
    """Return the larger seq of each replica in either clock."""
    best = dict(a)
    for replica, seq in b:
        if best.get(replica, 0) < seq:
            best[replica] = seq
    return best
