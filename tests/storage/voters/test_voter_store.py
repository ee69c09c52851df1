"""What both stores of a voter's memory promise, and what the one on disk does."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.authority.voter_port import VoterStore
from kvnode.core.objects.caspaxos import Accepted, Ballot, VoterState
from kvnode.core.objects.voters.memory import VoterMemory
from kvnode.errors import (
    CorruptRecordError,
    RejectedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.storage.meta_codec import seal
from kvnode.storage.voters.lmdb_voter_store import LmdbVoterStore
from kvnode.storage.voters.memory_voter_store import MemoryVoterStore
from kvnode.types import ReplicaId
from tests.core.objects.voters_at_hand import (
    FIRST,
    MEMBERS,
    SECOND,
    electorates,
    registers,
)

OWN = MEMBERS["a"].identity
BALLOT = Ballot(2, ReplicaId(9))
HELD = VoterState(BALLOT, Accepted(BALLOT, b"v"))


class Stores(Protocol):
    """Opens the same store again and again."""

    def __call__(self) -> VoterStore:
        """Close it, if it is open, and open it."""


class DiskStores:
    """A directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store: LmdbVoterStore | None = None
        self.identities = iter(range(OWN, 100))

    def __call__(self) -> LmdbVoterStore:
        """Close the store, if it is open, and open it."""
        self.close()
        self.store = LmdbVoterStore.open(
            self.directory, random_voter=lambda: ReplicaId(next(self.identities))
        )
        return self.store

    def close(self) -> None:
        """Close the store, if it is open."""
        if self.store is not None:
            self.store.close()
        self.store = None


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskStores]:
    """A store on disk."""
    stores = DiskStores(tmp_path / "voter")
    yield stores
    stores.close()


@pytest.fixture(params=["memory", "lmdb"])
def stores(request: pytest.FixtureRequest, disk: DiskStores) -> Stores:
    """Each store."""
    if request.param == "lmdb":
        return disk
    memory = MemoryVoterStore(OWN)
    return lambda: memory


def persist(store: VoterStore, memory: VoterMemory) -> None:
    """Make a memory durable."""
    asyncio.run(store.persist(memory))


def test_new_store_has_an_identity_and_nothing_else(stores: Stores) -> None:
    """And keeps it."""
    assert stores().memory == VoterMemory(OWN)
    assert stores().memory == VoterMemory(OWN)


def test_memory_is_there_after_a_restart(stores: Stores) -> None:
    """All of it: a voter must not forget."""
    memory = VoterMemory(OWN).pledged(FIRST).founded(FIRST)
    persist(stores(), memory)
    assert stores().memory == memory

    memory = memory._replace(registers={"s": HELD, "t": VoterState(BALLOT)})
    persist(stores(), memory)
    assert stores().memory == memory

    memory = memory._replace(successor=SECOND, barred=True)
    persist(stores(), memory)
    assert stores().memory == memory


def test_registers_of_the_next_view_take_the_place_of_all(stores: Stores) -> None:
    """Of which some may not be there any more."""
    memory = VoterMemory(OWN, registers={"s": HELD, "": HELD, "t": HELD})
    persist(stores(), memory)
    memory = memory._replace(electorate=SECOND, registers={"s": VoterState(BALLOT)})
    persist(stores(), memory)

    assert stores().memory == memory


def test_identity_is_for_ever(stores: Stores) -> None:
    """Another one needs another disk."""
    with pytest.raises(AssertionError, match="for ever"):
        persist(stores(), VoterMemory(ReplicaId(99)))


memories = st.builds(
    VoterMemory,
    st.just(OWN),
    st.booleans(),
    st.none() | electorates(),
    st.none() | electorates(),
    st.none() | electorates(),
    registers,
)


@settings(max_examples=25)  # each is some commits to a disk
@given(st.lists(memories, min_size=1, max_size=4))
def test_disk_holds_what_its_twin_in_memory_holds(
    tmp_path_factory: pytest.TempPathFactory, history: list[VoterMemory]
) -> None:
    """Whatever voters come to hold."""
    stores = DiskStores(tmp_path_factory.mktemp("twin"))
    store = stores()
    for memory in history:
        persist(store, memory)
        assert store.memory == memory

    assert stores().memory == history[-1]
    stores.close()


def test_store_that_was_copied_is_another_voter(disk: DiskStores) -> None:
    """Barred from founding; what it held stays on the disk, for people."""
    memory = VoterMemory(OWN, electorate=FIRST, registers={"s": HELD})
    persist(disk(), memory)
    disk.close()
    copied = DiskStores(disk.directory.with_name("copy"))
    copied.identities = iter((50,))
    shutil.copytree(disk.directory, copied.directory)

    assert copied().memory == VoterMemory(ReplicaId(50), barred=True)
    assert copied().memory == VoterMemory(ReplicaId(50), barred=True)
    copied.close()
    assert rows(copied, b"registers")
    assert disk().memory == memory


def test_store_that_was_restored_is_another_voter(disk: DiskStores) -> None:
    """The original has voted since the backup was made."""
    persist(disk(), VoterMemory(OWN, electorate=FIRST))
    disk.close()
    backup = disk.directory.with_name("backup")
    shutil.copytree(disk.directory, backup)
    persist(disk(), VoterMemory(OWN, electorate=FIRST, registers={"s": HELD}))
    disk.close()
    disk.directory.rename(disk.directory.with_name("broken"))
    shutil.copytree(backup, disk.directory)

    memory = disk().memory

    assert memory.voter != OWN
    assert memory.electorate is None


def test_store_is_of_one_process(disk: DiskStores) -> None:
    """Two would promise twice."""
    disk()

    with pytest.raises(UnavailableError, match="in use by process"):
        LmdbVoterStore.open(disk.directory, random_voter=lambda: OWN)


def rows(disk: DiskStores, database: bytes) -> list[tuple[bytes, bytes]]:
    """Return what a database holds."""
    with (
        lmdb.open(str(disk.directory), max_dbs=4) as environment,
        environment.begin() as txn,
    ):
        found = environment.open_db(database, txn, create=False)
        return [(bytes(k), bytes(v)) for k, v in txn.cursor(found)]


def tamper(
    disk: DiskStores, database: bytes, key: bytes, change: Callable[[bytes], bytes]
) -> None:
    """Change a row of a database, or take it away."""
    disk.close()
    with (
        lmdb.open(str(disk.directory), max_dbs=4) as environment,
        environment.begin(write=True) as txn,
    ):
        found = environment.open_db(database, txn)
        row = change(txn.get(key, b"", found))
        if row:
            txn.put(key, row, db=found)
        else:
            txn.delete(key, db=found)


PREFIX = OWN.to_bytes(8)
ROWS = [
    (b"meta", b"format"),
    (b"meta", b"voter"),
    (b"voters", PREFIX),
    (b"registers", PREFIX + b"s"),
]


@pytest.mark.parametrize(("database", "key"), ROWS)
def test_damaged_row_is_told_of(disk: DiskStores, database: bytes, key: bytes) -> None:
    """Who has forgotten what it promised must not vote."""
    persist(disk(), VoterMemory(OWN, electorate=FIRST, registers={"s": HELD}))
    tamper(disk, database, key, lambda row: row[:-1] + bytes((row[-1] ^ 1,)))

    with pytest.raises(CorruptRecordError, match="fail their checksum"):
        disk()


@pytest.mark.parametrize(("database", "key"), ROWS[1:])
def test_row_that_says_nothing_is_told_of(
    disk: DiskStores, database: bytes, key: bytes
) -> None:
    """Its checksum is right, and it is none of ours."""
    persist(disk(), VoterMemory(OWN, electorate=FIRST, registers={"s": HELD}))
    tamper(disk, database, key, lambda _: seal(b"\x07"))

    with pytest.raises(CorruptRecordError, match="missing or damaged"):
        disk()


@pytest.mark.parametrize(("database", "key"), ROWS[1:3])
def test_row_that_is_missing_is_told_of(
    disk: DiskStores, database: bytes, key: bytes
) -> None:
    """Rather than taken for a fresh voter."""
    disk()
    tamper(disk, database, key, lambda _: b"")

    with pytest.raises(CorruptRecordError, match="delete the directory"):
        disk()


def test_store_of_a_later_version_is_refused(disk: DiskStores) -> None:
    """Rather than taken for a damaged one."""
    disk()
    tamper(disk, b"meta", b"format", lambda _: seal(b"\x00\x09"))

    with pytest.raises(RejectedError, match="has format 9"):
        disk()


def test_memory_that_finds_no_room_is_not_there(tmp_path: Path) -> None:
    """What was there before is."""
    store = LmdbVoterStore.open(tmp_path, random_voter=lambda: OWN, map_bytes=1 << 20)
    before = VoterMemory(OWN, registers={"s": HELD})
    persist(store, before)
    large = VoterState(BALLOT, Accepted(BALLOT, bytes(2000)))

    with pytest.raises(StoreFullError, match="nothing was written"):
        persist(store, before._replace(registers={f"s{n}": large for n in range(1000)}))

    assert store.memory == before
    persist(store, before._replace(barred=True))
    store.close()
