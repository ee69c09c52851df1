"""
A store in memory, for simulations and tests: the twin of LmdbStore.

It keeps what the node last put and what a power cut would leave, and can be told
to lose the difference (`crash`), to fail (`fail_next`) and to be full.

State is held in an *image* that is changed in place as long as nobody else needs
it; an image that a snapshot shows, or that is all a crash would leave, is copied
first.  So a simulation whose snapshots are closed between commits copies nothing
in `fsync` mode, and one image for each sync in `relaxed` mode.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from struct import Struct
from types import TracebackType
from typing import Self

from kvnode.core.versions.floor import mortal_from
from kvnode.core.versions.store_view import (
    Commit,
    ConflictRecord,
    DurableState,
    LostVersion,
    Mortal,
    Usage,
)
from kvnode.core.versions.version import Entry, Version
from kvnode.errors import StoreFullError
from kvnode.storage.durability import Durability
from kvnode.storage.sorted_map import SortedMap
from kvnode.types import Dot, EntryKey, HlcTimestamp, Namespace, ReplicaId

CAPACITY_BYTES = 1 << 40
ENTRY_OVERHEAD_BYTES = 150
"""What LMDB needs for an entry beside its key and value, about."""

_MORTAL = Struct(">QQQ")
_CLOSED = "the snapshot is closed"


class _Image:
    """One state of everything; as many snapshots as `holders` show it."""

    def __init__(self, state: DurableState) -> None:
        self.state = state
        self.entries: dict[Namespace, SortedMap[bytes, Entry]] = {}
        self.index: dict[ReplicaId, SortedMap[int, EntryKey]] = {}
        self.conflicts: dict[
            Namespace, SortedMap[bytes, tuple[ConflictRecord, ...]]
        ] = {}
        self.mortal: SortedMap[bytes, Mortal] = SortedMap()
        self.used_bytes = 0
        self.holders = 0

    def copy(self) -> "_Image":
        """Return an image of its own, held by nobody."""
        twin = _Image(self.state)
        twin.entries = {name: rows.copy() for name, rows in self.entries.items()}
        twin.index = {replica: rows.copy() for replica, rows in self.index.items()}
        twin.conflicts = {name: rows.copy() for name, rows in self.conflicts.items()}
        twin.mortal = self.mortal.copy()
        twin.used_bytes = self.used_bytes
        return twin

    def entry(self, key: EntryKey) -> Entry | None:
        """Return what is stored under *key*."""
        rows = self.entries.get(key.namespace)
        return None if rows is None else rows.get(key.key)

    def growth(self, last: dict[EntryKey, Entry | None]) -> int:
        """Return by how many bytes storing *last* makes the image larger."""
        growth = 0
        for key, entry in last.items():
            growth += _size(key, entry) - _size(key, self.entry(key))
        return growth

    def apply(self, commit: Commit, last: dict[EntryKey, Entry | None]) -> None:
        """Change the image by *commit*, of whose writes *last* are the last."""
        self.used_bytes += self.growth(last)
        for write in commit.writes:
            if write.replaced is not None:
                self._remove_rows(write.replaced)
        for key, entry in last.items():
            if entry is None:
                self.entries.setdefault(key.namespace, SortedMap()).discard(key.key)
            else:
                self._put(key, entry)
        for key, log in commit.conflicts.items():
            logs = self.conflicts.setdefault(key.namespace, SortedMap())
            if log:
                logs.put(key.key, log)
            else:
                logs.discard(key.key)
        self.state = commit.state

    def _remove_rows(self, version: Version | LostVersion) -> None:
        for replica, seq in version.index_dots:
            if replica in self.index:
                self.index[replica].discard(seq)
        due = mortal_from(version) if isinstance(version, Version) else None
        if due is not None and isinstance(version, Version):
            self.mortal.discard(_mortal_key(due, version.dot))

    def _put(self, key: EntryKey, entry: Entry) -> None:
        self.entries.setdefault(key.namespace, SortedMap()).put(key.key, entry)
        version = entry.version
        for replica, seq in version.index_dots:
            self.index.setdefault(replica, SortedMap()).put(seq, key)
        due = mortal_from(version)
        if due is not None:
            row = Mortal(due, version.dot, key)
            self.mortal.put(_mortal_key(due, version.dot), row)


class MemorySnapshot:
    """A consistent view; open from `__enter__` to `__exit__`."""

    def __init__(self, store: "MemoryStore") -> None:
        self._store = store
        self._held: _Image | None = None

    def __enter__(self) -> Self:
        assert self._held is None, "a snapshot is opened once"
        self._held = self._store._image
        self._held.holders += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._image.holders -= 1
        self._held = None

    @property
    def _image(self) -> _Image:
        assert self._held is not None, _CLOSED
        return self._held

    def state(self) -> DurableState:
        """Return the state committed with this snapshot."""
        return self._image.state

    def entry(self, key: EntryKey) -> Entry | None:
        """Return what is stored under *key*, tombstones and expired ones too."""
        return self._image.entry(key)

    def scan(
        self, namespace: Namespace, *, start: bytes = b"", prefix: bytes = b""
    ) -> Iterator[tuple[bytes, Entry]]:
        """Yield (key, entry) from *start* on that have *prefix*, in byte order."""
        rows = self._image.entries.get(namespace)
        if rows is None:
            return
        for key, entry in rows.items_from(max(start, prefix)):
            if not key.startswith(prefix):
                return
            yield key, entry

    def namespaces(self) -> Iterable[Namespace]:
        """Return the namespaces that ever held an entry."""
        return tuple(self._image.entries)

    def index(
        self, replica: ReplicaId, first: int, last: int | None
    ) -> Iterator[tuple[Dot, EntryKey]]:
        """Yield index rows of *replica* with first <= seq <= last, ascending."""
        rows = self._image.index.get(replica)
        if rows is None:
            return
        for seq, key in rows.items_from(first):
            if last is not None and seq > last:
                return
            yield Dot(replica, seq), key

    def indexed_replicas(self) -> Iterable[ReplicaId]:
        """Return every replica that may have index rows."""
        return tuple(self._image.index)

    def dots_of(self, key: EntryKey) -> tuple[Dot, ...]:
        """Return the dots of the index rows of *key*, ascending."""
        return tuple(
            Dot(replica, seq)
            for replica, rows in sorted(self._image.index.items())
            for seq, found in rows.items_from(0)
            if found == key
        )

    def mortals(
        self, until: HlcTimestamp, after: Mortal | None = None
    ) -> Iterator[Mortal]:
        """Yield tombstones and expiring entries that are due before *until*."""
        start = b"" if after is None else _mortal_key(after.due, after.dot) + b"\0"
        for _, mortal in self._image.mortal.items_from(start):
            if mortal.due >= until:
                return
            yield mortal

    def conflicts(self, key: EntryKey) -> tuple[ConflictRecord, ...]:
        """Return the conflict log of *key*, oldest first; empty if none."""
        logs = self._image.conflicts.get(key.namespace)
        return () if logs is None else logs.get(key.key) or ()

    def scan_conflicts(
        self, namespace: Namespace, *, start: bytes = b""
    ) -> Iterator[tuple[bytes, tuple[ConflictRecord, ...]]]:
        """Yield (key, conflict log) from *start* on, in byte order."""
        logs = self._image.conflicts.get(namespace)
        if logs is not None:
            yield from logs.items_from(start)


class MemoryStore:
    """
    A store without a disk; see kvnode.storage.port.Store.

    Attributes:
        durability: In `relaxed` mode a crash loses what was not synced.
        unclean: As of LmdbStore: the store crashed in relaxed mode, and the
            node must say with `reserve` that it has heard.
        rescued: What was put aside.
    """

    def __init__(
        self,
        replica: ReplicaId,
        *,
        durability: Durability = Durability.FSYNC,
        capacity_bytes: int = CAPACITY_BYTES,
        reserve_bytes: int = 0,
    ) -> None:
        assert replica != 0, "0 stands for nobody"
        self.durability = durability
        self.unclean = False
        self.capacity_bytes = capacity_bytes
        self.reserve_bytes = reserve_bytes
        self._image = _Image(DurableState(replica))
        self._synced: _Image | None = None  # None = the image itself
        self.rescued: list[tuple[EntryKey, Entry]] = []
        self._failure: Exception | None = None

    def state(self) -> DurableState:
        """Return the state as it was last committed."""
        return self._image.state

    def snapshot(self) -> MemorySnapshot:
        """Return a view, open while it is entered; see the port."""
        return MemorySnapshot(self)

    async def apply(self, commit: Commit) -> None:
        """Apply *commit* as one transaction; see the port."""
        self.commit(commit)

    async def reserve(self, state: DurableState) -> None:
        """Make *state* durable whatever the durability mode."""
        self.commit(Commit(state))
        self._synced = None
        self.unclean = False

    async def sync(self) -> None:
        """Make all that was applied survive `crash`."""
        self.settle()

    async def rescue(self, entries: list[tuple[EntryKey, Entry]]) -> str:
        """Put *entries* aside in `rescued`."""
        self.rescued.extend(entries)
        return "memory"

    def settle(self) -> None:
        """Make at once all that was applied survive `crash`."""
        self._synced = None

    def usage(self) -> Usage:
        """Return how full the store is."""
        used = self._image.used_bytes
        return Usage(
            entry_count=sum(map(len, self._image.entries.values())),
            used_bytes=used,
            free_bytes=max(0, self.capacity_bytes - used),
            reserve_bytes=self.reserve_bytes,
        )

    def close(self) -> None:
        """Make everything durable; the same object then stands for a reopened store."""
        self._synced = None

    def crash(self) -> None:
        """Go back to what a power cut would leave, as if opened again after it."""
        self._image, self._synced = self._synced or self._image, None
        self.unclean = self.unclean or self.durability is Durability.RELAXED

    def copied(self, replica: ReplicaId) -> "MemoryStore":
        """Return the store of a new *replica* with what this one has applied."""
        twin = MemoryStore(
            replica,
            durability=self.durability,
            capacity_bytes=self.capacity_bytes,
            reserve_bytes=self.reserve_bytes,
        )
        twin._image = self._image.copy()
        twin._image.state = replace(self._image.state, replica=replica, seq=0)
        return twin

    def fail_next(self, error: Exception) -> None:
        """Let the next commit raise *error*, leaving nothing behind."""
        self._failure = error

    def commit(self, commit: Commit) -> None:
        """Apply *commit* at once; see `apply`."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        last = {key: entry for key, entry, _ in commit.writes}
        growth = self._image.growth(last)
        if growth > 0 and self._image.used_bytes + growth > self.capacity_bytes:
            msg = (
                f"no room in memory: {self._image.used_bytes} of"
                f" {self.capacity_bytes} bytes are used and {growth} more are needed;"
                " nothing was written"
            )
            raise StoreFullError(msg)
        relaxed = self.durability is Durability.RELAXED
        if relaxed and self._synced is None:
            self._synced, self._image = self._image, self._image.copy()
        elif self._image.holders:
            self._image = self._image.copy()
        self._image.apply(commit, last)


def _mortal_key(due: HlcTimestamp, dot: Dot) -> bytes:
    return _MORTAL.pack(due, *dot)


def _size(key: EntryKey, entry: Entry | None) -> int:
    if entry is None:
        return 0
    return len(key.key) + len(entry.value) + len(entry.metadata) + ENTRY_OVERHEAD_BYTES
