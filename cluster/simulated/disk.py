"""
The disk of a simulated node: it outlives the node's incarnations.

A commit takes as long as a sync takes, which varies, and can be made to take
longer.  When the node is killed, a commit on its way has happened as a whole or
not at all.  In relaxed mode a kill is a power cut or the death of the process
alone: the one takes what was not synced, the other nothing, and neither leaves
the node its identity.
"""

import asyncio
from collections.abc import Callable

from cluster.simulated.chance import Chance
from cluster.simulated.damage import DamagedSnapshot, Damages
from kvnode.core.versions.store_view import Commit, DurableState, Usage
from kvnode.core.versions.version import Entry
from kvnode.storage.durability import Durability
from kvnode.storage.memory_store import (
    CAPACITY_BYTES,
    MemorySnapshot,
    MemoryStore,
)
from kvnode.types import EntryKey, ReplicaId

RESERVE_BYTES = 64 * 1024
"""Kept from client writes (W3)."""

SYNC_SECONDS = 0.0005, 0.004, 0.002
"""Lowest, highest and nominal time of a sync: a good solid-state disk."""

SLOW_SYNC_PROBABILITY = 0.01
SLOW_SYNC_SECONDS = 0.05
"""Now and then a disk has other things to do."""

MEMORY_SECONDS = 0.00005, 0.0004, 0.0001
"""The same of a commit to the page cache."""

LATE_PROBABILITY = 0.2
LATE_SECONDS_MAX = 0.0005
"""A commit can be seen a little before whoever waits for it hears of it."""


class Disk:
    """
    A store with latencies, faults and crashes; see kvnode.storage.port.Store.

    Attributes:
        slow_seconds: Added to each sync.
        commits: How many have been applied.
        on_applied: Is told of each commit when it has happened.
        mended: The damaged keys that the last commit has written again.
        rescued_at: When entries were put aside, in virtual seconds.
    """

    def __init__(self, name: str, chance: Chance, durability: Durability) -> None:
        self.name = name
        self.slow_seconds = 0.0
        self.commits = 0
        self.mended: frozenset[EntryKey] = frozenset()
        self.rescued_at: list[float] = []
        self.on_applied: Callable[[Commit], None] | None = None
        self._latency = chance.stream(f"disk {name}")
        self._crashes = chance.stream(f"crash {name}")
        self._faults = chance.stream(f"bits {name}")
        self._identities = chance.stream("identities")
        self._durability = durability
        self._store = MemoryStore(
            self.new_replica(), durability=durability, reserve_bytes=RESERVE_BYTES
        )
        self._damages = Damages()
        self._backup: tuple[MemoryStore, Damages] | None = None
        self._under_way: Commit | None = None
        self._full = False
        self._closed = True

    def new_replica(self) -> ReplicaId:
        """Draw an identity that nobody has had."""
        return ReplicaId(self._identities.identity())

    # -- the store's port -----------------------------------------------------

    @property
    def durability(self) -> Durability:
        """What `apply` waits for."""
        return self._durability

    @property
    def unclean(self) -> bool:
        """Whether writes that peers have may be missing."""
        return self._store.unclean

    def state(self) -> DurableState:
        """Return the state as it was last committed."""
        return self._store.state()

    def snapshot(self) -> MemorySnapshot | DamagedSnapshot:
        """Return a view, open while it is entered; see the port."""
        snapshot = self._store.snapshot()
        return DamagedSnapshot(snapshot, self._damages) if self._damages else snapshot

    def undamaged(self) -> MemorySnapshot:
        """Return a view for judges, which shows what was written."""
        return self._store.snapshot()

    def open(self) -> None:
        """Begin to be used by an incarnation of the node."""
        self._closed = False

    async def apply(self, commit: Commit) -> None:
        """Apply *commit* as one transaction; see the port."""
        assert self._under_way is None, "commits must not overlap"
        relaxed = self._durability is Durability.RELAXED
        self._under_way = commit
        await asyncio.sleep(
            self._seconds(*(MEMORY_SECONDS if relaxed else SYNC_SECONDS))
        )
        self._under_way = None
        self._store.commit(commit)
        self._applied(commit)
        if self._latency.happens(LATE_PROBABILITY):
            await asyncio.sleep(self._latency.between(0, LATE_SECONDS_MAX, 0))

    async def reserve(self, state: DurableState) -> None:
        """Make *state* durable whatever the durability mode."""
        await asyncio.sleep(self._seconds(*SYNC_SECONDS))
        await self._store.reserve(state)

    async def sync(self) -> None:
        """Make all that was applied survive a power cut."""
        await asyncio.sleep(self._seconds(*SYNC_SECONDS))
        self._store.settle()

    async def rescue(self, entries: list[tuple[EntryKey, Entry]]) -> str:
        """Put *entries* aside."""
        await asyncio.sleep(self._seconds(*SYNC_SECONDS))
        self.rescued_at.append(asyncio.get_running_loop().time())
        return await self._store.rescue(entries)

    @property
    def rescued(self) -> tuple[tuple[EntryKey, Entry], ...]:
        """What has been put aside."""
        return tuple(self._store.rescued)

    def usage(self) -> Usage:
        """Return how full the disk is."""
        return self._store.usage()

    def close(self) -> None:
        """Make everything durable; the next incarnation opens the same disk."""
        self._store.close()
        self._closed = True

    def _seconds(self, low: float, high: float, nominal: float) -> float:
        seconds = self._latency.between(low, high, nominal) + self.slow_seconds
        if self._latency.happens(SLOW_SYNC_PROBABILITY):
            seconds += self._latency.between(0, SLOW_SYNC_SECONDS, 0)
        return seconds

    def _applied(self, commit: Commit) -> None:
        self.commits += 1
        self.mended = self._damages.mended(write.key for write in commit.writes)
        if self.on_applied is not None:
            self.on_applied(commit)

    # -- what happens to it ---------------------------------------------------

    def crash(self) -> None:
        """Be what the death of the node leaves; nothing if it was closed."""
        if self._closed:
            return
        commit, self._under_way = self._under_way, None
        if commit is not None and not self._full and self._crashes.happens(0.5):
            self._store.commit(commit)
            self._applied(commit)
        if self._durability is Durability.RELAXED:
            if not self._crashes.happens(0.5):
                self._store.settle()  # the process died, and the machine lives
            self._store.crash()

    def fill(self, left_bytes: int | None = None) -> None:
        """Leave room for *left_bytes* alone; by default none, or the reserve's half."""
        if left_bytes is None:
            left_bytes = self._faults.pick((0, RESERVE_BYTES // 2))
        self._full = True
        self._store.capacity_bytes = self._store.usage().used_bytes + left_bytes

    def free(self) -> None:
        """Give all the room back."""
        self._full = False
        self._store.capacity_bytes = CAPACITY_BYTES

    def flip_bit(self) -> EntryKey | None:
        """Damage one stored record; return whose it is, if there is any."""
        with self._store.snapshot() as snapshot:
            return self._damages.flip(snapshot, self._faults)

    def is_damaged(self, key: EntryKey) -> bool:
        """Tell whether the record of *key* has been damaged and not replaced."""
        return key in self._damages

    @property
    def has_damage(self) -> bool:
        """Whether any record is damaged."""
        return bool(self._damages)

    def take_backup(self) -> None:
        """Keep a copy of what is stored now."""
        copy = self._store.copied(self._store.state().replica)
        self._backup = (copy, self._damages.copy())

    @property
    def has_backup(self) -> bool:
        """Whether a backup has been taken."""
        return self._backup is not None

    def restore_backup(self) -> None:
        """Be the last backup, as a new replica; the node must not run."""
        assert self._backup is not None, "taking one comes first"
        store, damages = self._backup
        self._replace(store.copied(self.new_replica()), damages.copy())

    def wipe(self) -> None:
        """Be empty, as a new replica; the node must not run."""
        store = MemoryStore(
            self.new_replica(),
            durability=self._durability,
            reserve_bytes=RESERVE_BYTES,
        )
        self._replace(store, Damages())

    def _replace(self, store: MemoryStore, damages: Damages) -> None:
        self._store, self._damages, self._under_way = store, damages, None
        if self._full:
            self.fill()
        else:
            self.free()
