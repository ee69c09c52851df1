"""
Damaged records: what a flipped bit on a disk makes of an entry.

A damaged entry is held as the bytes of its record with one bit changed, and read
through the codec that reads every record on a real disk.  Writing the key again
mends it.
"""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from cluster.simulated.chance import Stream
from kvnode.core.versions.record import NumberedDots
from kvnode.core.versions.store_view import ConflictRecord, DurableState, Mortal
from kvnode.core.versions.version import Entry
from kvnode.errors import CorruptRecordError, DamagedRecordError
from kvnode.storage import record_codec
from kvnode.storage.memory_store import MemorySnapshot
from kvnode.types import Dot, EntryKey, HlcTimestamp, Namespace, ReplicaId


class _Damaged:
    """One record that is not what was written."""

    def __init__(self, entry: Entry, bit: int) -> None:
        self.entry = entry
        self._dots = NumberedDots()
        raw = bytearray(record_codec.encode(entry, self._dots))
        bit %= 8 * len(raw)
        raw[bit // 8] ^= 1 << bit % 8
        self._raw = bytes(raw)

    def read(self) -> Entry:
        """Return what the bytes say; CorruptRecordError if nothing."""
        return record_codec.decode(self._raw, self._dots)


class Damages:
    """The damaged records of one disk."""

    def __init__(self) -> None:
        self._damaged: dict[EntryKey, _Damaged] = {}

    def __bool__(self) -> bool:
        return bool(self._damaged)

    def __contains__(self, key: EntryKey) -> bool:
        return key in self._damaged

    def flip(self, snapshot: MemorySnapshot, stream: Stream) -> EntryKey | None:
        """Flip one bit of some record in *snapshot*; return whose, if any."""
        keys = [
            EntryKey(namespace, key)
            for namespace in snapshot.namespaces()
            for key, _ in snapshot.scan(namespace)
        ]
        if not keys:
            return None
        key = stream.pick(keys)
        entry = snapshot.entry(key)
        assert entry is not None, "it has just been seen"
        self._damaged[key] = _Damaged(entry, stream.word(32))
        return key

    def mended(self, keys: Iterable[EntryKey]) -> frozenset[EntryKey]:
        """Note that *keys* have been written again; return which were damaged."""
        return frozenset(key for key in keys if self._damaged.pop(key, None))

    def copy(self) -> "Damages":
        """Return damages of their own: a copy of the disk has them, too."""
        twin = Damages()
        twin._damaged = dict(self._damaged)
        return twin

    def read(self, key: EntryKey, entry: Entry) -> Entry:
        """
        Return what reading *entry* of *key* gives.

        Raises:
            DamagedRecordError: Its record is damaged.
        """
        damaged = self._damaged.get(key)
        if damaged is None or damaged.entry is not entry:
            return entry
        try:
            return damaged.read()
        except CorruptRecordError as error:
            msg = f"entry {key.key!r} in namespace {key.namespace}: {error}"
            raise DamagedRecordError(msg, key) from error


class DamagedSnapshot:
    """A view of a disk that has damages; see StoreView."""

    def __init__(self, snapshot: MemorySnapshot, damages: Damages) -> None:
        self._snapshot = snapshot
        self._damages = damages

    def __enter__(self) -> Self:
        self._snapshot.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._snapshot.__exit__(kind, error, trace)

    def state(self) -> DurableState:
        """Return the state committed with this snapshot."""
        return self._snapshot.state()

    def entry(self, key: EntryKey) -> Entry | None:
        """Return what is stored under *key*; DamagedRecordError if damaged."""
        entry = self._snapshot.entry(key)
        return None if entry is None else self._damages.read(key, entry)

    def scan(
        self, namespace: Namespace, *, start: bytes = b"", prefix: bytes = b""
    ) -> Iterator[tuple[bytes, Entry]]:
        """Yield (key, entry); DamagedRecordError at one that is damaged."""
        for key, entry in self._snapshot.scan(namespace, start=start, prefix=prefix):
            yield key, self._damages.read(EntryKey(namespace, key), entry)

    def namespaces(self) -> Iterable[Namespace]:
        """Return the namespaces that ever held an entry."""
        return self._snapshot.namespaces()

    def index(
        self, replica: ReplicaId, first: int, last: int | None
    ) -> Iterator[tuple[Dot, EntryKey]]:
        """Yield index rows of *replica* with first <= seq <= last, ascending."""
        return self._snapshot.index(replica, first, last)

    def indexed_replicas(self) -> Iterable[ReplicaId]:
        """Return every replica that may have index rows."""
        return self._snapshot.indexed_replicas()

    def dots_of(self, key: EntryKey) -> tuple[Dot, ...]:
        """Return the dots of the index rows of *key*, ascending."""
        return self._snapshot.dots_of(key)

    def mortals(
        self, until: HlcTimestamp, after: Mortal | None = None
    ) -> Iterator[Mortal]:
        """Yield tombstones and expiring entries that are due before *until*."""
        return self._snapshot.mortals(until, after)

    def conflicts(self, key: EntryKey) -> tuple[ConflictRecord, ...]:
        """Return the conflict log of *key*, oldest first; empty if none."""
        return self._snapshot.conflicts(key)

    def scan_conflicts(
        self, namespace: Namespace, *, start: bytes = b""
    ) -> Iterator[tuple[bytes, tuple[ConflictRecord, ...]]]:
        """Yield (key, conflict log) from *start* on, in byte order."""
        return self._snapshot.scan_conflicts(namespace, start=start)
