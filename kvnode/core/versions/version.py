"""
Versions and entries: what is stored under a key, and its stamp.

A version says who wrote the entry (`dot`), when (`hlc`), what the write built
on (`others`, the key clock without the own dot) and what its session had seen
(`dependencies`).  Entries are values and never change: a merge chooses one, or
for CRDTs makes a new one.

The *rank* of an entry is what merging compares.  For a register or tombstone it
is its own stamp.  A CRDT's rank is its *base*: the stamp of the register,
tombstone or expired state that it was started upon, then the type.  Entries of
equal rank are contributions to the same CRDT and are joined; otherwise the
larger rank wins.  Ranks are totally ordered and joins are semilattices, so
their lexicographic product is one too (docs/decisions/0001).

References:
    Almeida, Baquero & Fonte, 2012.  Dotted version vectors: the dot.
    Baquero, Almeida, Cunha & Ferreira, 2017.  Composition in state-based
        replicated data types: lexicographic products over a chain.
"""

from enum import IntEnum
from typing import NamedTuple

from kvnode.core.clocks.key_clock import KeyClock
from kvnode.types import Dot, HlcTimestamp, Millis, ReplicaId

NEVER = Millis(0)
"""The deadline of an entry that does not expire."""


class Kind(IntEnum):
    """What an entry holds; the number is its code in records and in ranks."""

    TOMBSTONE = 0
    REGISTER = 1
    COUNTER = 2
    SET = 3
    DOCUMENT = 4


CRDT_KINDS = frozenset({Kind.COUNTER, Kind.SET, Kind.DOCUMENT})


class Stamp(NamedTuple):
    """The total order of writes (rule R2)."""

    hlc: HlcTimestamp
    replica: ReplicaId


ORIGIN = Stamp(HlcTimestamp(0), ReplicaId(0))
"""
Below every write: the base of a CRDT that was started on nothing.

Where something has been forgotten, that base has the timestamp below which all of it
was stamped, and replica 0 (docs/decisions/0012).
"""


class Version(NamedTuple):
    """
    The stamp of a stored entry.

    For a CRDT `dot`, `hlc` and `deadline` are those of its newest contribution
    and `others` the newest dots of its other contributors, by replica.
    """

    kind: Kind
    hlc: HlcTimestamp
    dot: Dot
    others: KeyClock = ()
    dependencies: tuple[Dot, ...] = ()
    deadline: Millis = NEVER
    base: Stamp = ORIGIN

    @property
    def stamp(self) -> Stamp:
        """Return what decides between two versions of a register (R2)."""
        return Stamp(self.hlc, self.dot.replica)

    @property
    def key_clock(self) -> KeyClock:
        """Return the newest dot of each replica the version builds on."""
        if self.kind in CRDT_KINDS:
            return tuple(sorted((*self.others, self.dot)))
        return (*self.others, self.dot)

    @property
    def index_dots(self) -> tuple[Dot, ...]:
        """Return the dots that find this entry: one row each in the index."""
        return self.key_clock if self.kind in CRDT_KINDS else (self.dot,)

    @property
    def rank(self) -> tuple[Stamp, int]:
        """Return what merging compares; equal ranks are joined."""
        if self.kind in CRDT_KINDS:
            return (self.base, int(self.kind))
        return (self.stamp, 0)


class Entry(NamedTuple):
    """A version with its value: bytes, or a CRDT's encoded state."""

    version: Version
    value: bytes = b""
    metadata: str = ""  # JSON text; empty = none

    def expired(self, now: Millis) -> bool:
        """Tell whether the entry's deadline has passed (R6)."""
        return self.version.deadline != NEVER and self.version.deadline <= now

    def live(self, now: Millis) -> bool:
        """Tell whether a reader at *now* sees the entry."""
        return self.version.kind is not Kind.TOMBSTONE and not self.expired(now)


def starts_on_nothing(version: Version) -> bool:
    """Tell whether a CRDT was started where nothing was stored."""
    return version.base.replica == 0


def is_one_crdt(a: Version, b: Version) -> bool:
    """
    Tell whether two CRDT versions are contributions to one CRDT, and are joined.

    Those that were started on nothing are one whatever was forgotten before: that
    tells what may have been ended in between (kvnode.core.versions.floor).
    """
    if a.kind is not b.kind or a.kind not in CRDT_KINDS:
        return False
    return a.base == b.base or (starts_on_nothing(a) and starts_on_nothing(b))


def outranks(a: Version, b: Version) -> bool:
    """
    Tell whether *a* supersedes *b*, if they are not one register or one CRDT.

    Of two types that were started on nothing the larger one, wherever that was.
    """
    if starts_on_nothing(a) and starts_on_nothing(b) and {a.kind, b.kind} <= CRDT_KINDS:
        return a.kind > b.kind
    return a.rank > b.rank
