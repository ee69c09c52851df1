"""One node's disk as the judge has seen it last, and what is asked of entries on it."""

from collections.abc import Iterator
from hashlib import blake2b

from cluster.simulated.disk import Disk
from kvnode.api.digest import entry_fingerprint
from kvnode.core.clocks.key_clock import covers
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.crdt.kinds import join
from kvnode.core.versions.floor import GROUND, forgets, mortal_from
from kvnode.core.versions.merge import merge
from kvnode.core.versions.store_view import DurableState, StoreView
from kvnode.core.versions.version import CRDT_KINDS, Entry, is_one_crdt, outranks
from kvnode.types import Dot, EntryKey, ReplicaId

_WORD = 1 << 64


class JudgedDisk:
    """One node's disk as it was judged last."""

    def __init__(self, disk: Disk, opened_at: float) -> None:
        self.disk = disk
        self.opened_at = opened_at
        self.filled_since: float | None = None  # or has been filled, since then
        self.replica = ReplicaId(0)
        self.clock: VersionVector = EMPTY
        self.entries: dict[EntryKey, Entry] = {}
        self.uncovered: dict[EntryKey, None] = {}
        self.mortal: dict[EntryKey, None] = {}
        self.floor = GROUND
        self.starts_over = False
        self.marked = False
        self.has_dropped = False  # something, since it is marked
        self.digest = 0

    @property
    def settled(self) -> bool:
        """Whether it can be compared with another one of equal clock and floor."""
        return not (
            self.uncovered
            or self.starts_over
            or self.disk.has_damage
            or any(forgets(self.floor, self.entries[k].version) for k in self.mortal)
        )

    def forget(self, key: EntryKey) -> None:
        """Hold nothing of *key*."""
        word = _word(key, self.entries.pop(key))
        self.digest = (self.digest - word) % _WORD
        self.uncovered.pop(key, None)
        self.mortal.pop(key, None)

    def put(self, key: EntryKey, entry: Entry) -> None:
        """Hold *entry* from now on."""
        before = self.entries.get(key)
        if before is not None:
            self.digest -= _word(key, before)
        self.entries[key] = entry
        if mortal_from(entry.version) is not None:
            self.mortal[key] = None
        else:
            self.mortal.pop(key, None)
        self.digest = (self.digest + _word(key, entry)) % _WORD


def _word(key: EntryKey, entry: Entry) -> int:
    parts = (key.namespace.encode(), key.key, entry_fingerprint(entry))
    digest = blake2b(b"\0".join(parts), digest_size=8).digest()
    return int.from_bytes(digest)


def contains(held: Entry | None, entry: Entry) -> bool:
    """Tell whether *held* is *entry*, or supersedes or contains it."""
    if held is None:
        return False
    if held is entry or held == entry:
        return True
    merged = merge(held, entry, join)
    return not merged.changed or entry_fingerprint(merged.entry) == entry_fingerprint(
        held
    )


def includes_write(held: Entry | None, entry: Entry) -> bool:
    """Tell whether *held* has the write that first made *entry*."""
    if held is None or entry.version.kind not in CRDT_KINDS:
        return contains(held, entry)
    mine, theirs = held.version, entry.version
    if not is_one_crdt(mine, theirs):
        return outranks(mine, theirs)
    return covers(mine.key_clock, theirs.dot)


def starts_over(state: DurableState) -> bool:
    """Tell whether the store is being replaced or filled."""
    return state.start_over is not None or state.filling is not None


def is_blank(state: DurableState, site: JudgedDisk) -> bool:
    """Tell whether nothing was written in a store, and it holds nothing."""
    return not (state.seq or state.clock or site.entries)


def claimed(state: DurableState) -> VersionVector:
    """Return what a node says that it covers: nothing while it is filled (D10)."""
    return EMPTY if state.filling is not None else state.clock


def entries_of(view: StoreView) -> Iterator[tuple[EntryKey, Entry]]:
    """Yield all that is stored."""
    for namespace in view.namespaces():
        for key, entry in view.scan(namespace):
            yield EntryKey(namespace, key), entry


def newly(before: VersionVector, after: VersionVector) -> Iterator[Dot]:
    """Yield the dots that *after* covers and *before* does not."""
    for replica, spans in after.items():
        if before.spans(replica) == spans:
            continue
        prefix = before.prefix(replica)
        for first, last in spans:
            for seq in range(max(first, prefix + 1), last + 1):
                dot = Dot(replica, seq)
                if not before.covers(dot):
                    yield dot
