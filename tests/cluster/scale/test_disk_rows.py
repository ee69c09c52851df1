"""Each row of a key is counted for it, whatever database it is in."""

from pathlib import Path

import pytest

from cluster.scale.disk_rows import ClosedStore
from kvnode.core.versions.record import NumberedDots
from kvnode.core.versions.store_view import Commit, ConflictRecord, Write
from kvnode.core.versions.version import Entry
from kvnode.storage.meta_codec import encode_conflicts
from kvnode.types import Dot, Millis
from tests.core.replication.entries import counter
from tests.storage.stores import OTHER, OWN, at, covering, open_lmdb, register

RECORD = 4 + 1 + 1 + 8 + 2
"""Checksum, form, kind, time, and a dot whose seq takes one byte."""
INDEX = 8 + 2
"""A dot and the number of a namespace; then the key."""


async def _keys(directory: Path, commit: Commit) -> dict[bytes, tuple[int, int]]:
    """Return row bytes and overhead by key, after *commit* in a new store."""
    store = open_lmdb(directory)
    await store.apply(commit)
    store.close()
    closed = ClosedStore(directory)
    found = {
        rows.key.key: (rows.row_bytes, rows.overhead_bytes) for rows in closed.rows()
    }
    assert closed.room().row_bytes == sum(size for size, _ in found.values())
    closed.close()
    return found


def _put(key: bytes, entry: Entry) -> Write:
    return Write(at(key), entry, None)


async def test_rows_of_two_keys_are_told_apart(tmp_path: Path) -> None:
    """One row under the key, one that leads to it; key and value are subtracted."""
    writes = (_put(b"a", register(1, b"12345")), _put(b"abcd", register(2, b"")))

    found = await _keys(tmp_path, Commit(covering(2), writes))

    assert found == {
        b"a": (2 + 1 + RECORD + 5 + INDEX + 1, 2 + RECORD + INDEX + 1),
        b"abcd": (2 + 4 + RECORD + INDEX + 4, 2 + RECORD + INDEX + 4),
    }


async def test_metadata_is_the_user_s(tmp_path: Path) -> None:
    """Only its length is overhead."""
    entry = register(1, b"")._replace(metadata='"é"')

    found = await _keys(tmp_path, Commit(covering(1), (_put(b"a", entry),)))

    assert found[b"a"][1] == 2 + RECORD + 1 + INDEX + 1


async def test_every_index_row_of_a_crdt_counts(tmp_path: Path) -> None:
    """It has one for each contributor."""
    entry = counter(Dot(OWN, 1), Dot(OTHER, 1))

    found = await _keys(tmp_path, Commit(covering(1), (_put(b"a", entry),)))

    record = RECORD + 1 + 2  # how many others, and their dot
    assert found[b"a"][1] == 2 + record + 2 * (INDEX + 1)


async def test_conflict_log_counts_for_its_key(tmp_path: Path) -> None:
    """It is in a database of its own."""
    log = (ConflictRecord(register(1, b"lost"), Dot(OWN, 2), Millis(1)),)
    commit = Commit(covering(2), (_put(b"a", register(2, b"")),), {at(b"a"): log})

    found = await _keys(tmp_path, commit)

    log_bytes = len(encode_conflicts(log, NumberedDots((OWN,))))
    assert found[b"a"][1] == 2 + RECORD + INDEX + 1 + 2 + 1 + log_bytes


async def test_store_with_long_keys_is_not_measured(tmp_path: Path) -> None:
    """Their rows do not carry the whole key, and would be counted wrongly."""
    with pytest.raises(AssertionError, match="keys are short here"):
        await _keys(tmp_path, Commit(covering(1), (_put(b"h" * 510, register(1)),)))
