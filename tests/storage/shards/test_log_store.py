"""What both stores of shards' logs promise, and what the one on disk does besides."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.objects.events import Persist
from kvnode.core.objects.quorum_log import ORIGIN, LogEntry, Position
from kvnode.errors import (
    CorruptRecordError,
    RejectedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.storage.meta_codec import seal
from kvnode.storage.shards.lmdb_log_store import LmdbLogStore
from kvnode.storage.shards.memory_log_store import MemoryLogStore
from kvnode.storage.shards.port import ShardLogStore, written
from kvnode.types import ReplicaId

OWN = ReplicaId(7)


class Stores(Protocol):
    """Opens the same store again and again."""

    def __call__(self) -> ShardLogStore:
        """Close it, if it is open, and open it."""


class DiskStores:
    """A directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store: LmdbLogStore | None = None

    def __call__(self) -> LmdbLogStore:
        """Close the store, if it is open, and open it."""
        self.close()
        self.store = LmdbLogStore.open(self.directory, random_replica=lambda: OWN)
        return self.store

    def close(self) -> None:
        """Close the store, if it is open."""
        if self.store is not None:
            self.store.close()
        self.store = None


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskStores]:
    """A store on disk."""
    stores = DiskStores(tmp_path / "objects")
    yield stores
    stores.close()


@pytest.fixture(params=["memory", "lmdb"])
def stores(request: pytest.FixtureRequest, disk: DiskStores) -> Stores:
    """Each store."""
    if request.param == "lmdb":
        return disk
    memory = MemoryLogStore(OWN)
    return lambda: memory


@pytest.fixture
def copied(disk: DiskStores, tmp_path: Path) -> Path:
    """A copy of a store that has promised something."""
    persist(disk(), a=Persist(3, ORIGIN, 1, entries(3, "x")))
    disk.close()
    copy = tmp_path / "copy"
    shutil.copytree(disk.directory, copy)
    return copy


def entries(epoch: int, *texts: str) -> tuple[LogEntry, ...]:
    """Return entries of one epoch."""
    return tuple(LogEntry(epoch, text.encode()) for text in texts)


def held(store: ShardLogStore, name: str) -> tuple[int, Position, tuple[LogEntry, ...]]:
    """Return what a store has of a shard."""
    promised, log = store.load()[name]
    return promised, log.base, log.entries


def persist(store: ShardLogStore, **turns: Persist) -> None:
    """Make turns durable."""
    asyncio.run(store.persist(turns))


def test_new_store_has_an_identity_and_no_shards(stores: Stores) -> None:
    """And keeps it."""
    assert stores().load() == {}
    assert stores().replica == OWN


def test_turns_of_several_shards_are_there_after_a_restart(stores: Stores) -> None:
    """They are durable together."""
    store = stores()
    persist(
        store,
        a=Persist(1, ORIGIN, 1, entries(1, "x", "y")),
        b=Persist(4, ORIGIN, 0, ()),
    )

    again = stores()

    assert held(again, "a") == (1, ORIGIN, entries(1, "x", "y"))
    assert held(again, "b") == (4, ORIGIN, ())


def test_entries_from_the_first_on_are_replaced(stores: Stores) -> None:
    """What was there and was never committed is gone, however long it was."""
    store = stores()
    persist(store, a=Persist(1, ORIGIN, 1, entries(1, "x", "y", "z")))
    persist(store, a=Persist(2, ORIGIN, 2, entries(2, "n")))

    assert held(stores(), "a") == (2, ORIGIN, (*entries(1, "x"), *entries(2, "n")))


def test_snapshot_takes_the_place_of_the_entries_before_it(stores: Stores) -> None:
    """Those behind it stay."""
    store = stores()
    persist(store, a=Persist(1, ORIGIN, 1, entries(1, "x", "y", "z")))
    persist(store, a=Persist(1, Position(1, 2), 0, ()))

    assert held(stores(), "a") == (1, Position(1, 2), entries(1, "z"))


def test_snapshot_of_another_log_takes_the_place_of_all(stores: Stores) -> None:
    """What is here is not what leads to it."""
    store = stores()
    persist(store, a=Persist(1, ORIGIN, 1, entries(1, "x", "y", "z")))
    persist(store, a=Persist(3, Position(2, 2), 0, ()))
    persist(store, a=Persist(3, Position(2, 2), 3, entries(3, "n")))

    assert held(stores(), "a") == (3, Position(2, 2), entries(3, "n"))


def test_one_shard_is_read_as_all_are(stores: Stores) -> None:
    """And one of which nothing is durable is none."""
    store = stores()
    persist(store, a=Persist(2, ORIGIN, 1, entries(2, "x")))

    stored = store.load_shard("a")

    assert stored is not None
    assert (stored.promised, stored.log.entries) == (2, entries(2, "x"))
    assert store.load_shard("b") is None


@st.composite
def histories(draw: st.DrawFn) -> list[Persist]:
    """Turns as replicas can have them: nothing before the snapshot is replaced."""
    turns: list[Persist] = []
    stored = written(None, Persist(0, ORIGIN, 0, ()))
    for number in range(draw(st.integers(1, 8))):
        base, last, first = stored.log.base, stored.log.last, 0
        new: tuple[LogEntry, ...] = ()
        epoch = number + 1
        if draw(st.booleans()):
            first = draw(st.integers(base.number + 1, last.number + 1))
            new = entries(
                epoch, *draw(st.lists(st.text(max_size=3), min_size=1, max_size=3))
            )
        match draw(st.integers(0, 3)):
            case 0 if not first and last.number > base.number:
                place = draw(st.integers(base.number + 1, last.number))
                base = Position(stored.log.epoch_at(place), place)
            case 1 if not first:
                base = Position(epoch, last.number + draw(st.integers(0, 3)) + 1)
            case _:
                pass
        turns.append(Persist(epoch, base, first, new))
        stored = written(stored, turns[-1])
    return turns


@given(turns=histories())
def test_disk_holds_what_its_twin_in_memory_holds(
    tmp_path_factory: pytest.TempPathFactory, turns: list[Persist]
) -> None:
    """Whatever replicas do."""
    stores = DiskStores(tmp_path_factory.mktemp("twin"))
    twin = MemoryLogStore(OWN)
    store = stores()
    for turn in turns:
        persist(store, a=turn)
        persist(twin, a=turn)

    assert held(stores(), "a") == held(twin, "a")
    stores.close()


def test_store_is_of_one_process(disk: DiskStores) -> None:
    """Two would promise twice."""
    disk()

    with pytest.raises(UnavailableError, match="in use by process"):
        LmdbLogStore.open(disk.directory, random_replica=lambda: OWN)


def tamper(disk: DiskStores, database: bytes, change: Callable[[bytes], bytes]) -> None:
    """Change the first row of a database."""
    disk.close()
    with (
        lmdb.open(str(disk.directory), max_dbs=4) as environment,
        environment.begin(write=True) as txn,
    ):
        cursor = txn.cursor(environment.open_db(database, txn))
        assert cursor.first()
        cursor.put(cursor.key(), change(cursor.value()))


@pytest.mark.parametrize("database", [b"log", b"shards"])
def test_damaged_record_is_told_of(disk: DiskStores, database: bytes) -> None:
    """Who has forgotten what it promised must not go on."""
    persist(disk(), a=Persist(1, ORIGIN, 1, entries(1, "x")))
    tamper(disk, database, lambda row: row[:-1] + bytes((row[-1] ^ 1,)))

    with pytest.raises(CorruptRecordError, match="fail their checksum"):
        disk().load()


def test_store_of_a_later_version_is_refused(disk: DiskStores) -> None:
    """Rather than taken for a damaged one."""
    disk()
    tamper(disk, b"meta", lambda _: seal(b"\x00\x09"))

    with pytest.raises(RejectedError, match="have format 9"):
        disk()


def test_copy_does_not_go_on_as_the_original(copied: Path) -> None:
    """It has forgotten what the original promised since."""
    with pytest.raises(RejectedError, match="were copied, or come out of a backup"):
        LmdbLogStore.open(copied, random_replica=lambda: OWN)


def test_refused_copy_keeps_what_it_has(copied: Path) -> None:
    """It may be all that is left; and who vouches for it needs to do so once."""
    with pytest.raises(RejectedError):
        LmdbLogStore.open(copied, random_replica=lambda: OWN)

    LmdbLogStore.open(copied, random_replica=lambda: OWN, is_moved=True).close()

    store = LmdbLogStore.open(copied, random_replica=lambda: OWN)
    assert held(store, "a") == (3, ORIGIN, entries(3, "x"))
    store.close()


def test_identity_is_not_that_of_nobody(tmp_path: Path) -> None:
    """Chance may draw a zero."""
    drawn = iter((ReplicaId(0), OWN))
    store = LmdbLogStore.open(tmp_path, random_replica=lambda: next(drawn))
    assert store.replica == OWN
    store.close()


def test_turn_that_finds_no_room_has_not_happened(tmp_path: Path) -> None:
    """The node goes on, and frees some."""
    store = LmdbLogStore.open(tmp_path, random_replica=lambda: OWN, map_bytes=1 << 20)
    persist(store, a=Persist(1, ORIGIN, 1, entries(1, "x")))
    large = (LogEntry(2, bytes(1 << 20)),)

    with pytest.raises(StoreFullError, match="nothing was written"):
        persist(store, a=Persist(2, ORIGIN, 2, large))

    assert held(store, "a") == (1, ORIGIN, entries(1, "x"))
    persist(store, a=Persist(2, ORIGIN, 2, entries(2, "y")))
    store.close()
