"""Tests of kvnode.storage.backup."""

from hashlib import sha256
from pathlib import Path

import aiofiles
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvnode.core.versions.store_view import Commit
from kvnode.errors import CorruptRecordError, RejectedError
from kvnode.storage.backup import DIGEST_BYTES, back_up, restore
from kvnode.storage.disk.running_copy import CHUNK_BYTES
from kvnode.storage.durability import Durability
from kvnode.storage.lmdb_store import LmdbStore
from kvnode.types import Millis
from tests.storage.stores import (
    MAP_BYTES,
    OWN,
    at,
    covering,
    open_lmdb,
    put,
    register,
    replica_ids,
)

NOW = Millis(1_700_000_000_000)
NEW = 0xC


async def _backup(store: LmdbStore, file: Path) -> list[bytes]:
    """Write a backup to *file* and return its chunks."""
    chunks = [chunk async for chunk in back_up(store, now=NOW)]
    async with aiofiles.open(file, "wb") as out:
        await out.writelines(chunks)
    return chunks


async def _restore(file: Path, directory: Path) -> None:
    state = await restore(
        file, directory, random_replica=replica_ids(NEW), map_bytes=MAP_BYTES
    )
    assert state.replica == NEW


async def test_restored_store_holds_the_same_under_a_new_identity(
    lmdb_store: LmdbStore, tmp_path: Path
) -> None:
    """Entries, index and clock are the old replica's; new dots will not be."""
    long = b"h" * 512
    await lmdb_store.apply(put(b"k", 1, bytes(3 << 20)))
    await lmdb_store.apply(put(long, 2))

    chunks = await _backup(lmdb_store, tmp_path / "backup")
    await _restore(tmp_path / "backup", tmp_path / "new")

    assert max(map(len, chunks)) <= CHUNK_BYTES
    again = open_lmdb(tmp_path / "new")
    state = again.state()
    assert (state.replica, state.seq) == (NEW, 0)
    assert state.clock == covering(2).clock
    assert not again.unclean
    with again.snapshot() as view:
        assert view.entry(at(b"k")) == register(1, bytes(3 << 20))
        assert view.entry(at(long)) == register(2)
        assert [dot.seq for dot, _ in view.index(OWN, 1, None)] == [1, 2]
    again.close()


async def test_backup_is_of_one_moment_while_the_store_goes_on(
    lmdb_store: LmdbStore, tmp_path: Path
) -> None:
    """State and entries in it fit each other."""
    big = bytes(4 << 20)
    await lmdb_store.apply(put(b"k", 1, big))
    parts = []
    seq = 1
    async for chunk in back_up(lmdb_store, now=NOW):
        parts.append(chunk)
        seq += 1
        await lmdb_store.apply(put(b"k", seq, big, over=register(seq - 1)))
    (tmp_path / "backup").write_bytes(b"".join(parts))

    await _restore(tmp_path / "backup", tmp_path / "new")

    again = open_lmdb(tmp_path / "new")
    newest = again.state().clock.newest(OWN)
    with again.snapshot() as view:
        assert view.entry(at(b"k")) == register(newest, big)
    assert newest < seq
    again.close()


async def test_backup_of_a_relaxed_store_restores_as_clean(tmp_path: Path) -> None:
    """The new replica has given no numbers that it could have lost."""
    store = open_lmdb(tmp_path / "old", Durability.RELAXED)
    await store.apply(put(b"k", 1))
    await _backup(store, tmp_path / "backup")
    store.close()

    await _restore(tmp_path / "backup", tmp_path / "new")

    again = open_lmdb(tmp_path / "new", Durability.RELAXED)
    assert not again.unclean
    again.close()


@settings(
    max_examples=25,
    deadline=None,  # each example writes files
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
async def test_backup_cut_short_or_damaged_is_refused_and_leaves_nothing(
    lmdb_store: LmdbStore, tmp_path: Path, data: st.DataObject
) -> None:
    """Wherever the damage is."""
    whole = b"".join(await _backup(lmdb_store, tmp_path / "backup"))
    at_byte = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        broken = whole[:at_byte]
    else:
        turned = bytes([whole[at_byte] ^ 1 << data.draw(st.integers(0, 7))])
        broken = whole[:at_byte] + turned + whole[at_byte + 1 :]
    (tmp_path / "broken").write_bytes(broken)

    with pytest.raises((CorruptRecordError, RejectedError)):
        await _restore(tmp_path / "broken", tmp_path / "new")

    assert list((tmp_path / "new").iterdir()) == []


async def test_something_else_is_no_backup(tmp_path: Path) -> None:
    """The message says so before anything is unpacked."""
    (tmp_path / "file").write_bytes(bytes(1000))

    with pytest.raises(CorruptRecordError, match="no kvnode backup"):
        await _restore(tmp_path / "file", tmp_path / "new")


async def test_directory_that_holds_anything_is_not_restored_into(
    lmdb_store: LmdbStore, tmp_path: Path
) -> None:
    """A store is never overwritten."""
    await _backup(lmdb_store, tmp_path / "backup")

    with pytest.raises(RejectedError, match=r"data is not empty \(it holds data.mdb"):
        await _restore(tmp_path / "backup", lmdb_store.directory)

    await lmdb_store.apply(put(b"k", 1))
    assert lmdb_store.state().replica == OWN


async def test_backup_given_up_half_way_holds_nothing_back(
    lmdb_store: LmdbStore,
) -> None:
    """The thread that copies ends with the generator."""
    await lmdb_store.apply(put(b"k", 1, bytes(8 << 20)))
    chunks = back_up(lmdb_store, now=NOW)
    await anext(chunks)
    await anext(chunks)

    await chunks.aclose()

    await lmdb_store.apply(Commit(covering(2)))


async def test_backup_ends_with_an_error_when_the_store_is_closed(
    tmp_path: Path,
) -> None:
    """Closing does not wait for who reads the backup; what was read is none."""
    store = open_lmdb(tmp_path / "old")
    await store.apply(put(b"k", 1, bytes(8 << 20)))
    chunks = back_up(store, now=NOW)
    parts = [await anext(chunks), await anext(chunks)]

    store.close()

    with pytest.raises(OSError, match="broke off"):
        parts.extend([chunk async for chunk in chunks])
    (tmp_path / "backup").write_bytes(b"".join(parts))
    with pytest.raises(CorruptRecordError, match="cut short"):
        await _restore(tmp_path / "backup", tmp_path / "new")


async def test_backup_of_a_later_format_names_the_version_to_use(
    lmdb_store: LmdbStore, tmp_path: Path
) -> None:
    """The writer's version stands in the head for this."""
    head, *rest = await _backup(lmdb_store, tmp_path / "backup")
    later = head[:8] + b"\x00\x09" + head[10:]
    async with aiofiles.open(tmp_path / "later", "wb") as out:
        await out.writelines([later, *rest])

    with pytest.raises(RejectedError, match=r"format 9.*restore it with kvnode \d"):
        await _restore(tmp_path / "later", tmp_path / "new")


async def test_backup_around_something_that_is_no_store_is_refused(
    tmp_path: Path,
) -> None:
    """A digest proves that the bytes are whole, not what they are."""
    head = b"KVNODEBK" + b"\x00\x01" + bytes(10)
    body = head + b"no store" * 1000
    async with aiofiles.open(tmp_path / "odd", "wb") as out:
        await out.write(body + sha256(body).digest())

    with pytest.raises(OSError, match="restoring"):
        await _restore(tmp_path / "odd", tmp_path / "new")

    assert list((tmp_path / "new").iterdir()) == []


async def test_digest_is_the_last_thing_in_a_backup(
    lmdb_store: LmdbStore, tmp_path: Path
) -> None:
    """A reader that has it has everything."""
    chunks = await _backup(lmdb_store, tmp_path / "backup")

    assert len(chunks[-1]) == DIGEST_BYTES
