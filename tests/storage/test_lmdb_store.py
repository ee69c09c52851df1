"""What only a store on disk can do: be reopened, damaged, full, locked."""

import asyncio
import shutil
import struct
from contextlib import ExitStack
from pathlib import Path
from random import Random

import lmdb
import pytest

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.events import Damaged, Effect, Event, PeerUp, Received, Send
from kvnode.core.node.node import Node, Settings
from kvnode.core.replication.fetch import serve
from kvnode.core.replication.messages import FetchRequest
from kvnode.core.versions.record import WIRE, encode
from kvnode.core.versions.store_view import Commit, DurableState, PeerAddress, Write
from kvnode.core.versions.version import Entry, Kind, Version
from kvnode.errors import (
    CorruptRecordError,
    DamagedRecordError,
    OverloadedError,
    RejectedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.storage.disk.founding import home_row, put_meta
from kvnode.storage.disk.layout import (
    HOME_ROW,
    READERS_MAX,
    open_databases,
    open_environment,
)
from kvnode.storage.durability import Durability
from kvnode.storage.lmdb_store import LmdbStore
from kvnode.storage.meta_codec import seal
from kvnode.types import Dot, EntryKey, HlcTimestamp, Millis, Namespace, ReplicaId
from tests.storage.stores import (
    OTHER,
    OWN,
    at,
    covering,
    open_lmdb,
    put,
    register,
    replica_ids,
)

LONG = b"h" * 511


def _killed(directory: Path, copy: Path) -> Path:
    """
    Return a copy of the files as they are now: what SIGKILL would leave.

    A copy is known as one by its file, so it is told that it is at home.
    """
    copy.mkdir()
    shutil.copy(directory / "data.mdb", copy)
    environment = open_environment(copy, map_bytes=1 << 24)
    put_meta(environment, open_databases(environment), {HOME_ROW: home_row(copy)})
    environment.close()
    return copy


async def test_copied_store_is_a_new_replica(tmp_path: Path) -> None:
    """Two nodes with one identity would give two writes the same number."""
    store = open_lmdb(tmp_path / "a")
    await store.apply(put(b"k", 1))
    store.close()
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a" / "data.mdb", tmp_path / "b")

    copy, original = open_lmdb(tmp_path / "b", first=77), open_lmdb(tmp_path / "a")

    assert original.state() == covering(1)
    assert copy.state().replica == 77
    assert (copy.state().seq, copy.state().clock) == (0, covering(1).clock)
    copy.close()
    original.close()
    again = open_lmdb(tmp_path / "b")
    assert again.state() == copy.state(), "once is enough"
    again.close()


async def test_store_that_was_moved_is_the_same_replica(tmp_path: Path) -> None:
    """Within a file system the file stays the same one."""
    store = open_lmdb(tmp_path / "a")
    await store.apply(put(b"k", 1))
    store.close()

    (tmp_path / "a").rename(tmp_path / "b")
    moved = open_lmdb(tmp_path / "b")

    assert moved.state() == covering(1)
    moved.close()


async def test_identity_is_drawn_once_for_a_directory(tmp_path: Path) -> None:
    """Opening again never asks for another."""
    open_lmdb(tmp_path, first=5).close()

    store = open_lmdb(tmp_path, first=6)

    assert store.state().replica == 5
    store.close()


def test_nobody_is_never_drawn_as_an_identity(tmp_path: Path) -> None:
    """A source that gives 0 is asked again."""
    store = open_lmdb(tmp_path, first=0)

    assert store.state().replica == 1
    store.close()


async def test_applied_commit_survives_a_kill(
    lmdb_store: LmdbStore, tmp_path: Path
) -> None:
    """Nothing of it waits in the process."""
    await lmdb_store.apply(put(b"k", 1))
    await lmdb_store.apply(put(LONG, 2))

    again = open_lmdb(_killed(lmdb_store.directory, tmp_path / "copy"))

    assert again.state() == covering(2)
    assert not again.unclean
    with again.snapshot() as view:
        assert view.entry(at(b"k")) == register(1)
        assert view.entry(at(LONG)) == register(2)
    again.close()


async def test_second_opening_is_refused_with_the_holder(
    lmdb_store: LmdbStore,
) -> None:
    """Two processes on one directory would be one replica twice."""
    with pytest.raises(UnavailableError, match=r"data is in use by process \d+: stop"):
        open_lmdb(lmdb_store.directory)


def test_failed_opening_lets_go_of_the_directory(tmp_path: Path) -> None:
    """One can repair the cause and open without a restart."""

    def broken() -> ReplicaId:
        raise OSError(5, "no randomness")

    with pytest.raises(OSError, match="no randomness"):
        LmdbStore.open(tmp_path, random_replica=broken, map_bytes=1 << 24)

    open_lmdb(tmp_path).close()


def test_map_is_halved_until_the_system_grants_it(tmp_path: Path) -> None:
    """No machine has 2^60 bytes of address space for one process."""
    store = LmdbStore.open(
        tmp_path, random_replica=replica_ids(), map_bytes=1 << 60, reserve_bytes=0
    )

    assert store.usage().free_bytes > 0
    store.close()


async def test_unclosed_relaxed_store_is_unclean_until_the_node_has_heard(
    tmp_path: Path,
) -> None:
    """A second crash before `reserve` must not hide the first."""
    store = open_lmdb(tmp_path / "a", Durability.RELAXED)
    assert not store.unclean
    await store.apply(put(b"k", 1))
    second = open_lmdb(_killed(tmp_path / "a", tmp_path / "b"), Durability.RELAXED)
    store.close()
    assert second.unclean
    second.close()

    third = open_lmdb(tmp_path / "b")
    assert third.unclean
    await third.reserve(covering(1000))
    third.close()

    fourth = open_lmdb(tmp_path / "b")
    assert not fourth.unclean
    fourth.close()


async def test_reserving_in_relaxed_mode_does_not_hide_the_next_crash(
    tmp_path: Path,
) -> None:
    """The node has heard of the last session; this one is still open."""
    store = open_lmdb(tmp_path / "a", Durability.RELAXED)
    await store.reserve(covering(1000))

    again = open_lmdb(_killed(tmp_path / "a", tmp_path / "b"), Durability.RELAXED)

    assert again.unclean
    assert again.state() == covering(1000)
    again.close()
    store.close()


async def test_closed_relaxed_store_is_clean(tmp_path: Path) -> None:
    """A planned stop wastes no numbers."""
    store = open_lmdb(tmp_path, Durability.RELAXED)
    await store.apply(put(b"k", 1))
    await store.sync()
    await store.apply(put(b"k", 2, over=register(1)))
    store.close()

    again = open_lmdb(tmp_path, Durability.RELAXED)

    assert not again.unclean
    assert again.state() == covering(2)
    again.close()


async def test_damaged_record_fails_its_own_key_only(tmp_path: Path) -> None:
    """The rest of the store goes on serving."""
    store = open_lmdb(tmp_path)
    await store.apply(put(b"bad", 1, b"needle"))
    await store.apply(put(b"good", 2))
    store.close()
    data = tmp_path / "data.mdb"
    # Old pages hold the record too; turning each copy is as good as one.
    data.write_bytes(data.read_bytes().replace(b"needle", b"noodle"))

    store = open_lmdb(tmp_path)

    with store.snapshot() as view:
        with pytest.raises(
            DamagedRecordError, match="b'bad' in namespace default"
        ) as damage:
            view.entry(at(b"bad"))
        assert damage.value.key == at(b"bad")
        assert view.entry(at(b"good")) == register(2)
        rows = view.scan(Namespace("default"), start=b"bad\x00")
        assert [key for key, _ in rows] == [b"good"]
        with pytest.raises(CorruptRecordError, match="bad"):
            list(view.scan(Namespace("default")))
    store.close()


async def test_damaged_page_is_reported_and_never_read_as_data(
    tmp_path: Path,
) -> None:
    """Where LMDB cannot walk its tree, reads say what to do."""
    store = open_lmdb(tmp_path)
    await store.apply(put(b"k", 1, b"needle"))
    store.close()
    data = bytearray((tmp_path / "data.mdb").read_bytes())
    page = data.index(b"needle") // 4096 * 4096
    data[page + 12 : page + 16] = b"\xff\x0f\x10\x00"  # lower end above upper end
    (tmp_path / "data.mdb").write_bytes(data)

    store = open_lmdb(tmp_path)

    with store.snapshot() as view:
        with pytest.raises(CorruptRecordError, match="pages are damaged"):
            view.entry(at(b"k"))
        with pytest.raises(CorruptRecordError, match="pages are damaged"):
            list(view.scan(Namespace("default")))
    store.close()


def test_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    """A wrong directory is named, and nothing in it is changed."""
    (tmp_path / "data.mdb").write_bytes(b"something else" * 1000)

    with pytest.raises(OSError, match=str(tmp_path)):
        open_lmdb(tmp_path)

    assert (tmp_path / "data.mdb").read_bytes() == b"something else" * 1000


def test_missing_state_is_refused_at_opening(tmp_path: Path) -> None:
    """A store is never given a second identity by mistake."""
    open_lmdb(tmp_path).close()
    _put_meta(tmp_path, b"state", None)

    with pytest.raises(CorruptRecordError, match="state is missing"):
        open_lmdb(tmp_path)


async def test_one_snapshot_too_many_is_refused_until_one_is_closed(
    lmdb_store: LmdbStore,
) -> None:
    """Reader slots are bounded, and come back."""
    with ExitStack() as held:
        for _ in range(READERS_MAX - 1):
            held.enter_context(lmdb_store.snapshot())
        last = held.enter_context(ExitStack())
        last.enter_context(lmdb_store.snapshot())
        with pytest.raises(OverloadedError, match="1024 snapshots"):
            held.enter_context(lmdb_store.snapshot())
        last.close()
        held.enter_context(lmdb_store.snapshot())


def test_damaged_state_is_refused_at_opening(tmp_path: Path) -> None:
    """A node without its identity and clock must not start."""
    open_lmdb(tmp_path).close()
    _put_meta(tmp_path, b"state", b"\x00" * 60)

    with pytest.raises(CorruptRecordError, match="the node's state"):
        open_lmdb(tmp_path)


def test_missing_table_row_is_refused_at_opening(tmp_path: Path) -> None:
    """A hole would give later numbers to other names."""
    open_lmdb(tmp_path).close()
    _put_meta(tmp_path, b"namespace/\x00\x02", seal(b"b"))

    with pytest.raises(CorruptRecordError, match="stands where"):
        open_lmdb(tmp_path)


def test_store_of_a_later_version_is_refused(tmp_path: Path) -> None:
    """The message says what to run instead."""
    open_lmdb(tmp_path).close()
    _put_meta(tmp_path, b"format", seal(struct.pack(">H", 9)))

    with pytest.raises(RejectedError, match="format 9 and this version reads 1 and 2"):
        open_lmdb(tmp_path)


async def test_full_map_refuses_a_commit_whole_and_the_store_goes_on(
    tmp_path: Path,
) -> None:
    """Numbers given in the failed transaction are given again to others."""
    store = LmdbStore.open(
        tmp_path, random_replica=replica_ids(), map_bytes=1 << 20, reserve_bytes=0
    )
    huge = bytes(2 << 20)
    new_replica, new_namespace = ReplicaId(77), Namespace("lost")
    version = Version(Kind.REGISTER, HlcTimestamp(1), Dot(new_replica, 1))
    lost = Write(EntryKey(new_namespace, LONG), Entry(version, huge), None)
    await store.apply(put(b"k", 1))

    with pytest.raises(StoreFullError, match="nothing was written"):
        await store.apply(Commit(covering(2), (lost,)))

    assert store.state() == covering(1)
    other = Namespace("other")
    kept = Write(EntryKey(other, LONG[1:]), register(1, replica=OTHER), None)
    await store.apply(Commit(covering(2), (kept,)))
    with store.snapshot() as view:
        assert list(view.namespaces()) == ["default", "other"]
        assert list(view.indexed_replicas()) == [OWN, OTHER]
    store.close()
    store = open_lmdb(tmp_path)
    with store.snapshot() as view:
        assert view.entry(kept.key) == kept.entry
        assert view.entry(lost.key) is None
        assert list(view.index(OTHER, 1, None)) == [(Dot(OTHER, 1), kept.key)]
        assert list(view.index(new_replica, 1, None)) == []
    store.close()


async def test_commit_that_cannot_be_prepared_leaves_the_store_usable(
    lmdb_store: LmdbStore,
) -> None:
    """Numbers given while preparing are forgotten."""
    key = EntryKey(Namespace("lost"), b"k")
    impossible = (Dot(ReplicaId(9), -1),)
    version = Version(Kind.COUNTER, HlcTimestamp(1), Dot(OWN, 1), others=impossible)

    with pytest.raises(AssertionError, match="seqs"):
        await lmdb_store.apply(Commit(covering(1), (Write(key, Entry(version), None),)))

    await lmdb_store.apply(put(b"k", 1))
    with lmdb_store.snapshot() as view:
        assert list(view.namespaces()) == ["default"]
        assert list(view.indexed_replicas()) == [OWN]


async def test_room_comes_back_as_entries_shrink(tmp_path: Path) -> None:
    """Unused pages within the file count as free."""
    store = LmdbStore.open(
        tmp_path, random_replica=replica_ids(), map_bytes=4 << 20, reserve_bytes=2 << 20
    )
    big = register(1, bytes(2 << 20))
    await store.apply(put(b"k", 1, big.value))
    assert not store.usage().accepts_client_writes

    await store.apply(put(b"k", 2, b"", over=big))

    assert store.usage().accepts_client_writes
    store.close()


async def test_cancelled_apply_is_waited_for(lmdb_store: LmdbStore) -> None:
    """The next commit never overlaps with one that nobody waits for."""
    task = asyncio.create_task(lmdb_store.apply(put(b"k", 1)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await lmdb_store.apply(put(b"k", 2, over=register(1)))

    assert lmdb_store.state() == covering(2)


async def test_overlapping_commits_are_a_bug_of_the_caller(
    lmdb_store: LmdbStore,
) -> None:
    """Each commit's state builds on the one before."""
    # Both begin in one step of the loop: the first cannot be known to be done.
    first, second = await asyncio.gather(
        lmdb_store.apply(put(b"k", 1)),
        lmdb_store.apply(put(b"k", 2)),
        return_exceptions=True,
    )

    assert first is None
    assert isinstance(second, AssertionError)
    assert "overlap" in str(second)


async def test_snapshot_taken_before_a_commit_is_known_reads_its_state_from_disk(
    lmdb_store: LmdbStore,
) -> None:
    """State and entries are of one transaction even in the writer's last moment."""
    await lmdb_store.apply(put(b"k", 1))
    stale = lmdb_store._committed
    await lmdb_store.apply(put(b"k", 2, over=register(1)))
    lmdb_store._committed = stale

    with lmdb_store.snapshot() as view:
        assert view.state() == covering(2)
        assert view.entry(at(b"k")) == register(2)


def _put_meta(directory: Path, key: bytes, value: bytes | None) -> None:
    """Overwrite or delete a row of `meta` behind the store's back."""
    environment: lmdb.Environment = open_environment(directory, map_bytes=1 << 28)
    databases = open_databases(environment)
    with environment.begin(databases.meta, write=True) as txn:
        if value is None:
            txn.delete(key)
        else:
            txn.put(key, value)
    environment.close()


async def test_damaged_record_on_disk_is_replaced_by_a_peer_s(tmp_path: Path) -> None:
    """From the byte that was flipped in the file to the record that is whole again."""
    needle = register(1, b"needle", replica=OTHER)
    clock = VersionVector.of({OTHER: 2})
    store = open_lmdb(tmp_path)
    writes = (
        Write(at(b"bad"), needle, None),
        Write(at(b"good"), register(2, replica=OTHER), None),
    )
    await store.apply(Commit(DurableState(OWN, clock), writes))
    store.close()
    data = tmp_path / "data.mdb"
    data.write_bytes(data.read_bytes().replace(b"needle", b"noodle"))
    store = open_lmdb(tmp_path)
    node = Node(store.state(), Settings(PeerAddress("own", "")), Random(1))
    now = ClockReading(Millis(1_700_000_000_000), Millis(0))

    async def turn(*events: Event) -> list[Effect]:
        with store.snapshot() as view:
            result = node.step(events, now, view)
        if result.commit is not None:
            await store.apply(result.commit)
        node.committed()
        return result.effects

    peer = PeerAddress("peer", "", OTHER)
    effects = await turn(PeerUp(peer, clock, ()), Damaged(at(b"bad")))
    [request] = [
        effect.message
        for effect in effects
        if isinstance(effect, Send) and isinstance(effect.message, FetchRequest)
    ]
    for chunk in serve(request, needle.version.dot, encode(needle, WIRE)):
        await turn(Received(OTHER, chunk))
    store.close()

    store = open_lmdb(tmp_path)
    with store.snapshot() as view:
        assert view.entry(at(b"bad")) == needle
        assert view.dots_of(at(b"bad")) == (Dot(OTHER, 1),)
        assert len(list(view.index(OTHER, 1, None))) == 2
    assert store.state().clock == clock
    store.close()
