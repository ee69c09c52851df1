"""Ways to open each kind of store, and small commits to put into it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.store_view import Commit, DurableState, StoreView, Write
from kvnode.core.versions.version import Entry, Kind, Version
from kvnode.storage.disk.snapshot import LmdbSnapshot
from kvnode.storage.durability import Durability
from kvnode.storage.lmdb_store import LmdbStore
from kvnode.storage.memory_store import MemorySnapshot, MemoryStore
from kvnode.storage.port import Store
from kvnode.types import (
    DEFAULT_NAMESPACE,
    Dot,
    EntryKey,
    HlcTimestamp,
    ReplicaId,
)

AnyStore = LmdbStore | MemoryStore

STORE_TYPES: tuple[type[Store], ...] = (LmdbStore, MemoryStore)
VIEW_TYPES: tuple[type[StoreView], ...] = (LmdbSnapshot, MemorySnapshot)
"""Here the type checker compares them with the ports."""

OWN = ReplicaId(0xA)
OTHER = ReplicaId(0xB)

MAP_BYTES = 1 << 28
"""Plenty for tests, and far from what a sandbox may refuse."""


class OpenStore(Protocol):
    """A kind of store: how a test opens one, and opens it once more."""

    def __call__(self) -> AnyStore:
        """Return a new store, or the one from before after it was closed."""


def replica_ids(first: int = OWN) -> Callable[[], ReplicaId]:
    """Return a source of identities: first, first + 1, and so on."""
    numbers = count(first)
    return lambda: ReplicaId(next(numbers))


def open_lmdb(
    directory: Path, durability: Durability = Durability.FSYNC, first: int = OWN
) -> LmdbStore:
    """Return the store in *directory*; a new one has the identity *first*."""
    return LmdbStore.open(
        directory,
        random_replica=replica_ids(first),
        durability=durability,
        map_bytes=MAP_BYTES,
    )


@contextmanager
def lmdb_stores() -> Iterator[OpenStore]:
    """Yield an opener of stores in one directory, which goes in the end."""
    with TemporaryDirectory(prefix="kvnode-test-") as directory:
        yield lambda: open_lmdb(Path(directory))


@contextmanager
def memory_stores() -> Iterator[OpenStore]:
    """Yield an opener that returns the same store each time."""
    store = MemoryStore(OWN)
    yield lambda: store


STORES = {"lmdb": lmdb_stores, "memory": memory_stores}


def at(name: bytes) -> EntryKey:
    """Return a key in the default namespace."""
    return EntryKey(DEFAULT_NAMESPACE, name)


def register(
    seq: int, value: bytes = b"value", *, replica: ReplicaId = OWN, hlc: int = 1 << 40
) -> Entry:
    """Return an entry as the *seq*-th write of *replica* makes it."""
    version = Version(Kind.REGISTER, HlcTimestamp(hlc), Dot(replica, seq))
    return Entry(version, value)


def covering(seq: int) -> DurableState:
    """Return the state of a node that made *seq* writes itself."""
    return DurableState(OWN, VersionVector.of({OWN: seq}), seq=seq)


def put(
    name: bytes, seq: int, value: bytes = b"value", *, over: Entry | None = None
) -> Commit:
    """Return a commit of one write, the node's *seq*-th."""
    replaced = None if over is None else over.version
    return Commit(covering(seq), (Write(at(name), register(seq, value), replaced),))
