"""What both stores of shards' logs promise, and what the one on disk does besides."""

import asyncio
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
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
from kvnode.storage.shards import file_log_store, log_segment
from kvnode.storage.shards.file_log_store import FileLogStore
from kvnode.storage.shards.log_frames import HEADER_BYTES, MAGIC, encode_frame
from kvnode.storage.shards.log_segment import segment_path, segments_in
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
        self.store: FileLogStore | None = None

    def __call__(self) -> FileLogStore:
        """Close the store, if it is open, and open it."""
        self.close()
        self.store = FileLogStore.open(self.directory, random_replica=lambda: OWN)
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


@pytest.fixture(params=["memory", "disk"])
def stores(request: pytest.FixtureRequest, disk: DiskStores) -> Stores:
    """Each store."""
    if request.param == "disk":
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


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let segments be so small that a few turns fill one."""
    for module in (log_segment, file_log_store):
        monkeypatch.setattr(module, "SEGMENT_BYTES", 400)
    monkeypatch.setattr(file_log_store, "AGAIN_BYTES", 60)


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
def histories(draw: st.DrawFn, turns_max: int = 8) -> list[Persist]:
    """Turns as replicas can have them: nothing before the snapshot is replaced."""
    turns: list[Persist] = []
    stored = written(None, Persist(0, ORIGIN, 0, ()))
    for number in range(draw(st.integers(1, turns_max))):
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
@settings(max_examples=50)
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
        FileLogStore.open(disk.directory, random_replica=lambda: OWN)


def segment(disk: DiskStores, number: int = 1) -> Path:
    """Return where a segment of the closed store is."""
    disk.close()
    return segment_path(disk.directory, number)


def tamper(file: Path, place: int) -> None:
    """Change a byte."""
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def frame_ends(disk: DiskStores, number: int = 1) -> list[int]:
    """Return where the frames of a segment end, ascending."""
    data = segment(disk, number).read_bytes()
    ends, end = [], 0
    while data.startswith(MAGIC, end):
        end += HEADER_BYTES + int.from_bytes(data[end + 4 : end + 8])
        ends.append(end)
    return ends


@pytest.mark.usefixtures("small")
def test_damaged_record_is_told_of(disk: DiskStores) -> None:
    """Wherever it is: who has forgotten what it promised must not go on."""
    store = disk()
    persist(store, a=Persist(1, ORIGIN, 1, entries(1, "x")))
    persist(store, a=Persist(2, ORIGIN, 2, entries(2, "y")))
    (first_end, _) = frame_ends(disk)
    whole = segment(disk).read_bytes()

    for place in range(first_end):
        tamper(segment(disk), place)
        with pytest.raises(CorruptRecordError, match="at byte 0 fails its checksum"):
            disk()
        segment(disk).write_bytes(whole)
    assert held(disk(), "a") == (2, ORIGIN, (*entries(1, "x"), *entries(2, "y")))


@pytest.mark.usefixtures("small")
def test_turn_during_which_the_power_failed_has_happened_or_not(
    disk: DiskStores,
) -> None:
    """Whatever had reached the disk of it; and the store goes on."""
    store = disk()
    persist(store, a=Persist(1, ORIGIN, 1, entries(1, "x")))
    persist(store, a=Persist(2, ORIGIN, 2, entries(2, "y")))
    (start, end) = frame_ends(disk)
    whole = segment(disk).read_bytes()
    before = (1, ORIGIN, entries(1, "x"))
    after = (2, ORIGIN, (*entries(1, "x"), *entries(2, "y")))

    for place in range(start, end):
        written = whole[:place] + bytes(len(whole) - place)
        segment(disk).write_bytes(written)
        assert held(disk(), "a") == before
        segment(disk).write_bytes(whole[:start] + bytes(8) + whole[start + 8 :])
        assert held(disk(), "a") == before
        persist(disk(), a=Persist(3, ORIGIN, 2, entries(3, "n")))
        assert held(disk(), "a") == (
            3,
            ORIGIN,
            (*entries(1, "x"), *entries(3, "n")),
        )
    segment(disk).write_bytes(whole)
    assert held(disk(), "a") == after


def test_value_that_looks_like_a_turn_is_none(disk: DiskStores) -> None:
    """Else whoever stores one could have a log refused, or forged."""
    frame = encode_frame([], 1, 0)
    store = disk()
    persist(store, a=Persist(1, ORIGIN, 1, (LogEntry(1, frame * 3),)))
    persist(store, a=Persist(2, ORIGIN, 2, entries(2, "y")))
    (start, _) = frame_ends(disk)
    tamper(segment(disk), start + 5)
    assert held(disk(), "a") == (1, ORIGIN, (LogEntry(1, frame * 3),))


@pytest.mark.usefixtures("small")
def test_segments_that_nobody_needs_go(disk: DiskStores) -> None:
    """Those in which a quiet shard has entries, too: they are written again."""
    store = disk()
    persist(store, quiet=Persist(7, ORIGIN, 1, entries(7, *"abcdefgh")))
    base = ORIGIN
    for number in range(1, 200):
        text = f"entry {number}"
        persist(store, busy=Persist(1, base, number, entries(1, text)))
        base = Position(1, number)
        persist(store, busy=Persist(1, base, 0, ()))
        assert len(segments_in(disk.directory)) < 12
    assert min(segments_in(disk.directory)) > 1

    assert held(disk(), "quiet") == (7, ORIGIN, entries(7, *"abcdefgh"))
    assert held(disk(), "busy") == (1, Position(1, 199), ())


@pytest.mark.usefixtures("small")
def test_segment_that_is_missing_or_empty_is_told_of(disk: DiskStores) -> None:
    """Its promises may be in no other."""
    store = disk()
    for number in range(1, 40):
        persist(store, a=Persist(number, ORIGIN, number, entries(number, "x")))
    disk.close()
    numbers = segments_in(disk.directory)
    assert len(numbers) > 3

    middle = segment(disk, numbers[1])
    whole = middle.read_bytes()
    middle.unlink()
    with pytest.raises(CorruptRecordError, match="segments of the log is missing"):
        disk()
    middle.write_bytes(bytes(len(whole)))
    with pytest.raises(CorruptRecordError, match="does not begin with what was"):
        disk()
    ends = frame_ends(disk, numbers[2])
    middle.write_bytes(whole)
    end = frame_ends(disk, numbers[1])[-2]
    middle.write_bytes(whole[:end] + bytes(len(whole) - end))
    with pytest.raises(CorruptRecordError, match="did last is missing"):
        disk()
    middle.write_bytes(whole)
    assert len(disk().load()["a"].log.entries) == 39
    assert ends


@pytest.mark.usefixtures("small")
def test_segment_that_was_begun_when_the_power_failed_is_none(
    disk: DiskStores,
) -> None:
    """The one before it is written on."""
    persist(disk(), a=Persist(1, ORIGIN, 1, entries(1, "x")))
    segment(disk, 2).write_bytes(bytes(400))
    assert held(disk(), "a") == (1, ORIGIN, entries(1, "x"))
    assert segments_in(disk.directory) == [1]


@given(data=st.data())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("small")
def test_disk_with_many_segments_holds_what_its_twin_holds(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Of several shards, whenever it is opened anew, and whatever is written again."""
    stores = DiskStores(tmp_path_factory.mktemp("many"))
    twin = MemoryLogStore(OWN)
    turns = {name: iter(data.draw(histories(turns_max=25))) for name in "abc"}
    order = data.draw(st.lists(st.sets(st.sampled_from("abc"), min_size=1)))
    for names in order:
        together = {}
        for name in sorted(names):
            turn = next(turns[name], None)
            if turn is not None:
                together[name] = turn
        persist(stores(), **together)
        persist(twin, **together)
    for name in twin.load():
        assert held(stores(), name) == held(twin, name)
    stores.close()


def test_store_of_another_version_is_refused(disk: DiskStores) -> None:
    """Rather than taken for a damaged one, or for none."""
    disk()
    disk.close()
    file = disk.directory / "identity"
    file.write_bytes(seal(b"\x00\x09"))
    with pytest.raises(RejectedError, match="have format 9"):
        disk()

    file.unlink()
    with pytest.raises(CorruptRecordError, match="identity is missing"):
        disk()
    segment(disk).unlink()
    (disk.directory / "data.mdb").touch()
    with pytest.raises(RejectedError, match="have format 1"):
        disk()


def test_copy_does_not_go_on_as_the_original(copied: Path) -> None:
    """It has forgotten what the original promised since."""
    with pytest.raises(RejectedError, match="were copied, or come out of a backup"):
        FileLogStore.open(copied, random_replica=lambda: OWN)


def test_refused_copy_keeps_what_it_has(copied: Path) -> None:
    """It may be all that is left; and who vouches for it needs to do so once."""
    with pytest.raises(RejectedError):
        FileLogStore.open(copied, random_replica=lambda: OWN)

    FileLogStore.open(copied, random_replica=lambda: OWN, is_moved=True).close()

    store = FileLogStore.open(copied, random_replica=lambda: OWN)
    assert held(store, "a") == (3, ORIGIN, entries(3, "x"))
    store.close()


def test_identity_is_not_that_of_nobody(tmp_path: Path) -> None:
    """Chance may draw a zero."""
    drawn = iter((ReplicaId(0), OWN))
    store = FileLogStore.open(tmp_path, random_replica=lambda: next(drawn))
    assert store.replica == OWN
    store.close()


@pytest.mark.usefixtures("small")
def test_turn_that_finds_no_room_has_not_happened(
    disk: DiskStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node goes on, and frees some."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = disk()
    persist(store, a=Persist(1, ORIGIN, 1, entries(1, "x")))
    large = (LogEntry(2, bytes(1000)),)
    for function in ("posix_fallocate", "pwrite"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, full)
            with pytest.raises(StoreFullError, match="nothing was written"):
                persist(store, a=Persist(2, ORIGIN, 2, large))
        assert held(store, "a") == (1, ORIGIN, entries(1, "x"))
        assert segments_in(disk.directory) == [1]

    persist(store, a=Persist(2, ORIGIN, 2, large))
    assert held(disk(), "a") == (2, ORIGIN, (*entries(1, "x"), *large))


@pytest.mark.usefixtures("small")
def test_part_of_a_turn_that_found_no_room_does_no_harm(
    disk: DiskStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where files are copied when they are written, that may be."""
    store = disk()
    persist(store, a=Persist(1, ORIGIN, 1, entries(1, "x")))
    pwrite = os.pwrite
    parts = 0

    def half(file: int, data: bytes, place: int) -> int:
        nonlocal parts
        parts += 1
        if parts > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(file, data[: len(data) // 2], place)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", half)
        with pytest.raises(StoreFullError):
            persist(store, a=Persist(2, ORIGIN, 2, entries(2, "long" * 10)))
    for number in range(2, 30):
        persist(store, a=Persist(3, ORIGIN, number, entries(3, "n")))
    assert len(segments_in(disk.directory)) > 2
    assert len(disk().load()["a"].log.entries) == 29
