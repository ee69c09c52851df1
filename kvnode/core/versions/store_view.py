"""
What the core may read of a store, and what it asks to have written.

A view is a consistent snapshot.  The core never writes: it returns a `Commit`,
which a store applies as one transaction or not at all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.rolling_digest import NOTHING, RollingDigest
from kvnode.core.versions.roster import NOBODY, Roster
from kvnode.core.versions.version import Entry, Version
from kvnode.types import (
    ZERO_HLC,
    Dot,
    EntryKey,
    HlcTimestamp,
    Millis,
    Namespace,
    ReplicaId,
)


class ConflictRecord(NamedTuple):
    """A concurrent write that lost (rule R4): local to the node that noticed."""

    loser: Entry
    winner: Dot
    noticed_at: Millis


class PeerAddress(NamedTuple):
    """Where a peer can be reached; `replica` is 0 until it has said hello."""

    name: str
    address: str  # host:port; empty = it only dials
    replica: ReplicaId = ReplicaId(0)
    region: str = ""


class Filling(NamedTuple):
    """
    How far a bootstrap has come (rule D10); goes on from here after any crash.

    Attributes:
        after: The last key that is here, in scan order; None = not begun.
        covers: What every page so far was covered by at its sender: what the
            store may claim when all pages are here.  None = not begun.
        floor: Join of the floors of the senders.
        done: Entries taken so far.
        expected: Entries that the sender holds, about.
    """

    after: EntryKey | None = None
    covers: VersionVector | None = None
    floor: Floor = GROUND
    done: int = 0
    expected: int = 0


class StartOver(NamedTuple):
    """
    A peer has forgotten what this store has not heard of (rule G2b).

    Attributes:
        covered: What the peer covered: entries under it are the peer's to tell.
        floor: The peer's floor, which this store does not cover.
    """

    covered: VersionVector
    floor: Floor


@dataclass(frozen=True, slots=True)
class DurableState:
    """
    What a node must find again after any crash, beside entries and index.

    Attributes:
        replica: The node's identity.
        clock: What the node covers (invariants I1 and I2).
        pending: Join of the snapshot clocks of deltas begun and not finished;
            a read of an uncovered entry joins it into its token (D3).
        seq: The last sequence number given to a write of `replica`.
        hlc: The node's clock: above all stamps it gave, save those that had to
            be above a version from the future.
        conflicts_ever: Conflicts noticed here so far.
        peers: Peers known, by configuration or by hearsay; sorted by name.
        roster: Who ever joined, this replica too, and what became of them.
        floor: What is forgotten here (rule G2).
        filling: A bootstrap under way: the store is not to be served (D10).
        start_over: What this store must be replaced for before it is used (G2b).
        digest: Of all entries (D9).
    """

    replica: ReplicaId
    clock: VersionVector = EMPTY
    pending: VersionVector = EMPTY
    seq: int = 0
    hlc: HlcTimestamp = ZERO_HLC
    conflicts_ever: int = 0
    peers: tuple[PeerAddress, ...] = ()
    roster: Roster = NOBODY
    floor: Floor = GROUND
    filling: Filling | None = None
    start_over: StartOver | None = None
    digest: RollingDigest = NOTHING


class LostVersion(NamedTuple):
    """What is left of a damaged record: the dots of its rows in the index."""

    index_dots: tuple[Dot, ...]


class Write(NamedTuple):
    """
    Store *entry*; the index rows of *replaced* go in the same transaction.

    Without an entry the key is dropped: nothing of it is left (rule G2).
    """

    key: EntryKey
    entry: Entry | None
    replaced: Version | LostVersion | None


class Mortal(NamedTuple):
    """A stored tombstone or expiring entry, and what a floor must be above for it."""

    due: HlcTimestamp
    dot: Dot
    key: EntryKey


@dataclass(frozen=True, slots=True)
class Commit:
    """
    One transaction: entries, index, conflict logs and state move together.

    Of several writes to a key the last one counts, and its `replaced` is what
    the store held before the transaction.  An empty conflict log removes it.
    """

    state: DurableState
    writes: tuple[Write, ...] = ()
    conflicts: dict[EntryKey, tuple[ConflictRecord, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """How full a store is."""

    entry_count: int  # live, deleted and expired ones together
    used_bytes: int
    free_bytes: int  # that can still be written, the reserve included
    reserve_bytes: int  # kept from client writes so that merging goes on (W3)

    @property
    def accepts_client_writes(self) -> bool:
        """Tell whether there is room beyond the reserve."""
        return self.free_bytes > self.reserve_bytes


class TurnView(Protocol):
    """What a turn reads of the store."""

    def entry(self, key: EntryKey) -> Entry | None:
        """
        Return what is stored under *key*, tombstones and expired ones too.

        Raises:
            DamagedRecordError: The stored record is damaged.
            CorruptRecordError: More than the record is.
        """

    def conflicts(self, key: EntryKey) -> tuple[ConflictRecord, ...]:
        """
        Return the conflict log of *key*, oldest first; empty if none.

        Raises:
            DamagedRecordError: The stored log is damaged.
            CorruptRecordError: More than the log is.
        """

    def index(
        self, replica: ReplicaId, first: int, last: int | None
    ) -> Iterator[tuple[Dot, EntryKey]]:
        """Yield index rows of *replica* with first <= seq <= last, ascending."""

    def dots_of(self, key: EntryKey) -> tuple[Dot, ...]:
        """
        Return the dots of the index rows of *key*, ascending.

        Looks at the whole index: for a key whose record cannot tell them.
        """

    def mortals(
        self, until: HlcTimestamp, after: Mortal | None = None
    ) -> Iterator[Mortal]:
        """
        Yield tombstones and expiring entries that are due before *until*.

        In the store's order, by due and then dot, from behind *after* on.  A row may
        be of an entry that is damaged or superseded: look at the entry.
        """


class StoreView(TurnView, Protocol):
    """One consistent snapshot; valid until closed."""

    def state(self) -> DurableState:
        """Return the state committed with this snapshot."""

    def scan(
        self, namespace: Namespace, *, start: bytes = b"", prefix: bytes = b""
    ) -> Iterator[tuple[bytes, Entry]]:
        """Yield (key, entry) from *start* on that have *prefix*, in byte order."""

    def namespaces(self) -> Iterable[Namespace]:
        """Return the namespaces that ever held an entry."""

    def indexed_replicas(self) -> Iterable[ReplicaId]:
        """Return every replica that may have index rows."""

    def scan_conflicts(
        self, namespace: Namespace, *, start: bytes = b""
    ) -> Iterator[tuple[bytes, tuple[ConflictRecord, ...]]]:
        """Yield (key, conflict log) from *start* on, in byte order."""


def staged_rows(
    rows: Iterable[tuple[Dot, EntryKey]],
    writes: Iterable[Write],
    replica: ReplicaId,
    first: int,
    last: int | None,
) -> Iterator[tuple[Dot, EntryKey]]:
    """Yield index *rows* of that range as they will be after *writes*."""
    by_dot = dict(rows)
    kept: dict[EntryKey, Entry | None] = {}
    for key, entry, replaced in writes:
        for dot in replaced.index_dots if replaced else ():
            by_dot.pop(dot, None)
        kept[key] = entry
    for key, entry in kept.items():
        for dot in () if entry is None else entry.version.index_dots:
            if dot.replica == replica and first <= dot.seq <= (last or dot.seq):
                by_dot[dot] = key
    yield from sorted(by_dot.items())
