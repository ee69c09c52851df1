"""
Version vectors with gaps: which writes a node or a session has covered.

For each replica a vector holds the longest unbroken prefix of its sequence
numbers and, above it, a few separate intervals:

    {A: 1..9}            all of A's first nine writes
    {A: 1..9, 12..20}    and 12 to 20, but neither 10 nor 11

Gaps come from sequence numbers reserved ahead of use and never used, after an
unclean stop in a weaker durability mode; they are rare, so the intervals are
few.  Vectors are values: every method returns a new one.

References:
    Parker et al., 1983.  Detection of mutual inconsistency in distributed
        systems.
    Malkhi & Terry, 2005.  Concise version vectors in WinFS: the gaps.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Self

from kvnode.types import Dot, ReplicaId

Interval = tuple[int, int]
"""A closed interval of sequence numbers."""
Spans = tuple[Interval, ...]
"""Ascending closed intervals of sequence numbers that do not touch."""


def _with_interval(spans: Spans, first: int, last: int) -> Spans:
    """Return *spans* with first..last added, neighbours fused."""
    if not spans:
        return ((first, last),)
    head, tail = spans[-1]
    if len(spans) == 1 and head <= first <= tail + 1:  # the hot path: append
        return spans if last <= tail else ((head, last),)
    before = [s for s in spans if s[1] + 1 < first]
    after = [s for s in spans if s[0] > last + 1]
    touching = spans[len(before) : len(spans) - len(after)]
    if touching:
        first, last = min(first, touching[0][0]), max(last, touching[-1][1])
    return (*before, (first, last), *after)


def _gaps(spans: Spans) -> Iterator[Interval]:
    """Yield what *spans* lacks from 1 up to its end, then nothing."""
    expected = 1
    for first, last in spans:
        if first > expected:
            yield (expected, first - 1)
        expected = last + 1


def _common(a: Spans, b: Spans) -> Iterator[Interval]:
    """Yield the intervals that are in both *a* and *b*, ascending."""
    at, to = 0, 0
    while at < len(a) and to < len(b):
        first, last = max(a[at][0], b[to][0]), min(a[at][1], b[to][1])
        if first <= last:
            yield (first, last)
        if a[at][1] < b[to][1]:
            at += 1
        else:
            to += 1


class VersionVector:
    """An immutable map from replica to the sequence numbers covered."""

    __slots__ = ("_spans",)

    _spans: dict[ReplicaId, Spans]

    def __init__(self, spans: Mapping[ReplicaId, Spans] | None = None) -> None:
        self._spans = dict(spans) if spans else {}

    @classmethod
    def of(cls, prefixes: Mapping[ReplicaId, int]) -> Self:
        """Return a vector without gaps: 1..n for each replica, n >= 1."""
        return cls({r: ((1, n),) for r, n in prefixes.items() if n})

    def spans(self, replica: ReplicaId) -> Spans:
        """Return what is covered of *replica*, ascending."""
        return self._spans.get(replica, ())

    def replicas(self) -> Iterable[ReplicaId]:
        """Return the replicas of which anything is covered, in no order."""
        return self._spans.keys()

    def covers(self, dot: Dot) -> bool:
        """Tell whether *dot* itself is covered."""
        replica, seq = dot
        # A loop, where `any` would take twice as long: each entry that comes asks.
        for first, last in self._spans.get(replica, ()):  # noqa: SIM110
            if first <= seq <= last:
                return True
        return False

    def covers_all(self, dots: Iterable[Dot]) -> bool:
        """Tell whether each of *dots* is covered."""
        for dot in dots:  # noqa: SIM110 -- as above
            if not self.covers(dot):
                return False
        return True

    def newest(self, replica: ReplicaId) -> int:
        """Return the largest covered seq of *replica*, 0 if none."""
        spans = self._spans.get(replica)
        return spans[-1][1] if spans else 0

    def prefix(self, replica: ReplicaId) -> int:
        """Return the largest n such that all of 1..n is covered, 0 if none."""
        spans = self._spans.get(replica)
        return spans[0][1] if spans and spans[0][0] == 1 else 0

    def with_range(self, replica: ReplicaId, first: int, last: int) -> "VersionVector":
        """Return the vector that covers first..last of *replica* as well."""
        assert 1 <= first <= last, "a range starts at 1 and is not empty"
        spans = dict(self._spans)
        spans[replica] = _with_interval(spans.get(replica, ()), first, last)
        return VersionVector(spans)

    def join(self, other: "VersionVector") -> "VersionVector":
        """Return the union: the least vector that covers both."""
        spans = dict(self._spans)
        for replica, theirs in other._spans.items():
            mine = spans.get(replica, ())
            for first, last in theirs:
                mine = _with_interval(mine, first, last)
            spans[replica] = mine
        return VersionVector(spans)

    def meet(self, other: "VersionVector") -> "VersionVector":
        """Return the intersection: the largest vector that both cover."""
        if self._spans == other._spans:
            return self
        spans: dict[ReplicaId, Spans] = {}
        for replica, mine in self._spans.items():
            theirs = other._spans.get(replica, ())
            common = mine if mine == theirs else tuple(_common(mine, theirs))
            if common:
                spans[replica] = common
        return VersionVector(spans)

    def minus(self, other: "VersionVector") -> "VersionVector":
        """Return the vector of what is covered here and not by *other*."""
        spans: dict[ReplicaId, Spans] = {}
        for replica, first, last in self.missing_from(other):
            spans[replica] = (*spans.get(replica, ()), (first, last))
        return VersionVector(spans)

    def without(self, replica: ReplicaId, first: int, last: int) -> "VersionVector":
        """Return the vector that covers nothing of first..last of *replica*."""
        assert 1 <= first <= last, "a range starts at 1 and is not empty"
        left = []
        for a, b in self.spans(replica):
            if a < first:
                left.append((a, min(b, first - 1)))
            if b > last:
                left.append((max(a, last + 1), b))
        spans = dict(self._spans)
        if left:
            spans[replica] = tuple(left)
        else:
            spans.pop(replica, None)
        return VersionVector(spans)

    def includes(self, other: "VersionVector") -> bool:
        """Tell whether everything that *other* covers is covered here."""
        return all(
            any(a <= first and last <= b for a, b in self._spans.get(replica, ()))
            for replica, theirs in other._spans.items()
            for first, last in theirs
        )

    def lacking(self, replica: ReplicaId) -> Iterator[tuple[int, int | None]]:
        """
        Yield the intervals of *replica* not covered, ascending.

        The last one is open: (n, None) means n and all above.
        """
        yield from _gaps(self.spans(replica))
        yield (self.newest(replica) + 1, None)

    def missing_from(
        self, other: "VersionVector"
    ) -> Iterator[tuple[ReplicaId, int, int]]:
        """Yield what is covered here and not by *other*: (replica, first, last)."""
        for replica, mine in self.items():
            for first, last in mine:
                start = first
                for a, b in other.spans(replica):
                    if start > last or a > last:
                        break
                    if a > start:
                        yield replica, start, a - 1
                    start = max(start, b + 1)
                if start <= last:
                    yield replica, start, last

    def count_missing_from(self, other: "VersionVector") -> int:
        """Return how many dots covered here are not covered by *other*."""
        missing = 0
        for replica, mine in self._spans.items():
            if mine == other._spans.get(replica):
                continue
            theirs = other.spans(replica)
            for first, last in mine:
                missing += last - first + 1
                for a, b in theirs:
                    missing -= max(0, min(b, last) - max(a, first) + 1)
        return missing

    def items(self) -> list[tuple[ReplicaId, Spans]]:
        """Return (replica, spans) pairs, ascending by replica."""
        return sorted(self._spans.items())

    def __eq__(self, other: object) -> bool:
        """Equal vectors cover equal dots."""
        return isinstance(other, VersionVector) and self._spans == other._spans

    def __hash__(self) -> int:
        return hash(tuple(self.items()))

    def __bool__(self) -> bool:
        return bool(self._spans)

    def __repr__(self) -> str:
        inside = ", ".join(
            f"{replica:x}: " + ",".join(f"{a}..{b}" for a, b in spans)
            for replica, spans in self.items()
        )
        return f"VersionVector({{{inside}}})"


EMPTY = VersionVector()
