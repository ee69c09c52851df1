"""A store of kvnode 0.1 opens, is read, written and marked as a later one."""

from dataclasses import replace
from pathlib import Path

import lmdb
import pytest

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.record import HLC_END
from kvnode.core.versions.rolling_digest import UNKNOWN
from kvnode.core.versions.store_view import (
    Commit,
    ConflictRecord,
    DurableState,
    PeerAddress,
    Write,
)
from kvnode.core.versions.version import Entry, Kind, Version
from kvnode.errors import StoreFullError
from kvnode.storage.disk.founding import adopt, home_row, put_meta
from kvnode.storage.disk.layout import (
    FORMAT_ROW,
    HOME_ROW,
    Databases,
    format_row,
    open_databases,
    open_environment,
)
from kvnode.storage.durability import Durability
from kvnode.storage.lmdb_store import LmdbStore
from kvnode.types import Dot, HlcTimestamp, Millis, ReplicaId
from tests.storage.stores import MAP_BYTES, OTHER, OWN, at, open_lmdb

LONG = b"h" * 511
START = HlcTimestamp(1_700_000_000_000 << 16)

ROWS = (
    ("entries", b"\0\1gone", "ce10126c0100018bcfe5680000030001000000000002"),
    (
        "entries",
        b"\0\1k",
        (
            "d8d2d70601b9018bcfe56800000200010000000000010001000200000000000400010002000000"
            "000004000003a35294400000077b2261223a317d7365636f6e64"
        ),
    ),
    (
        "long_entries",
        bytes(4) + LONG[500:],
        "bc12c75d0101018bcfe56800000400010000000000036c6f6e67",
    ),
    ("heads", b"\0\1" + LONG[:500], "00000000"),
    ("index", b"\0\1\0\0\0\0\0\1", "00016b"),
    ("index", b"\0\1\0\0\0\0\0\2", "0001676f6e65"),
    ("index", b"\0\1\0\0\0\0\0\3", "0001" + LONG.hex()),
    (
        "conflicts",
        b"\0\1k",
        (
            "60da502901010000018bcfe568010001000000000001000000243925f3a30109018bcfe5680000"
            "010002000000000005000100020000000000046c6f7374"
        ),
    ),
    ("meta", b"format", "36de22690001"),
    ("meta", b"namespace/\0\1", "e35e00df64656661756c74"),
    ("meta", b"replica/\0\1", "85f73677000000000000000a"),
    ("meta", b"replica/\0\2", "f2f006e1000000000000000b"),
    (
        "meta",
        b"state",
        (
            "551dcb4a01000000000000000a0000000000000003018bcfe56800000400000000000000010000"
            "0037010002000000000000000a000100000000000000010000000000000003000000000000000b"
            "000100000000000000010000000000000005000000030100000001000000000000000b0006622d"
            "736974650000000465617374"
        ),
    ),
)
"""All rows of a store that kvnode 0.1 wrote, but for the one that names its file."""

STATE = DurableState(
    OWN,
    VersionVector.of({OWN: 3, OTHER: 5}),
    seq=3,
    hlc=HlcTimestamp(START + 4),
    conflicts_ever=1,
    peers=(PeerAddress("b-site", "", OTHER, "east"),),
    digest=UNKNOWN,
)
ENTRIES = {
    b"gone": Entry(Version(Kind.TOMBSTONE, HlcTimestamp(START + 3), Dot(OWN, 2))),
    b"k": Entry(
        Version(
            Kind.REGISTER,
            HlcTimestamp(START + 2),
            Dot(OWN, 1),
            others=(Dot(OTHER, 4),),
            dependencies=(Dot(OTHER, 4),),
            deadline=Millis(4_000_000_000_000),
        ),
        b"second",
        '{"a":1}',
    ),
    LONG: Entry(Version(Kind.REGISTER, HlcTimestamp(START + 4), Dot(OWN, 3)), b"long"),
}
CONFLICT = ConflictRecord(
    Entry(
        Version(
            Kind.REGISTER,
            HlcTimestamp(START + 1),
            Dot(OTHER, 5),
            others=(Dot(OTHER, 4),),
        ),
        b"lost",
    ),
    Dot(OWN, 1),
    Millis(1_700_000_000_001),
)


def _environment(directory: Path) -> tuple[lmdb.Environment, Databases]:
    environment = open_environment(directory, map_bytes=MAP_BYTES)
    return environment, open_databases(environment)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """The directory of a store that kvnode 0.1 wrote and closed."""
    environment, databases = _environment(tmp_path)
    with environment.begin(write=True) as txn:
        for database, key, value in ROWS:
            txn.put(key, bytes.fromhex(value), db=getattr(databases, database))
    put_meta(environment, databases, {HOME_ROW: home_row(tmp_path)})
    environment.close()
    return tmp_path


def _format_on_disk(directory: Path) -> bytes:
    environment, databases = _environment(directory)
    with environment.begin() as txn:
        row: bytes = txn.get(FORMAT_ROW, b"", databases.meta)
    environment.close()
    return row


def test_all_of_an_earlier_store_is_read(earlier: Path) -> None:
    """Records, long keys, conflict logs, index and state."""
    store = open_lmdb(earlier)

    assert store.state() == STATE
    with store.snapshot() as view:
        assert dict(view.scan(at(b"").namespace)) == ENTRIES
        assert view.conflicts(at(b"k")) == (CONFLICT,)
        assert [key.key for _, key in view.index(OWN, 1, None)] == [b"k", b"gone", LONG]
        found = [row.key.key for row in view.mortals(HlcTimestamp(HLC_END))]
        assert found == [b"gone", b"k"], "what may be forgotten one day is found"
    store.close()


@pytest.mark.parametrize("durability", Durability)
def test_earlier_store_is_marked_durably_before_anything_is_written(
    earlier: Path, durability: Durability
) -> None:
    """The version before must refuse it, and not call its rows damaged."""
    store = open_lmdb(earlier, durability)
    store.close()

    assert _format_on_disk(earlier) == format_row()
    assert format_row() != bytes.fromhex("36de22690001")
    again = open_lmdb(earlier, durability)
    assert again.state() == STATE, "once is enough, and it is no copy"
    again.close()


async def test_rows_of_both_formats_live_side_by_side(earlier: Path) -> None:
    """A row is written anew when its key is, and no earlier."""
    store = open_lmdb(earlier)
    entry = Entry(
        Version(
            Kind.REGISTER,
            HlcTimestamp(START + 9),
            Dot(OWN, 4),
            others=(Dot(OTHER, 4),),
        ),
        b"third",
    )
    replaced = ENTRIES[b"k"].version

    await store.apply(Commit(STATE, (Write(at(b"k"), entry, replaced),)))
    store.close()

    environment, databases = _environment(earlier)
    with environment.begin(databases.entries) as txn:
        forms = [raw[4] & 0b1111 for _, raw in txn.cursor()]
    environment.close()
    assert forms == [1, 2]
    store = open_lmdb(earlier)
    with store.snapshot() as view:
        assert dict(view.scan(at(b"").namespace)) == {**ENTRIES, b"k": entry}
        assert [dot.seq for dot, _ in view.index(OWN, 1, None)] == [2, 3, 4]
    store.close()


def test_restored_backup_of_an_earlier_store_is_read(earlier: Path) -> None:
    """As a new replica, which has all that the old one had."""
    adopt(earlier, lambda: ReplicaId(77), MAP_BYTES)

    store = open_lmdb(earlier)

    assert store.state() == replace(STATE, replica=ReplicaId(77), seq=0)
    with store.snapshot() as view:
        assert dict(view.scan(at(b"").namespace)) == ENTRIES
    store.close()


def test_earlier_store_on_a_full_disk_is_left_as_it_is(earlier: Path) -> None:
    """It opens once there is room for one more page or two, with all that it has."""
    used = (earlier / "data.mdb").stat().st_size

    with pytest.raises(StoreFullError, match="nothing was written"):
        LmdbStore.open(
            earlier, random_replica=lambda: OWN, map_bytes=used, reserve_bytes=0
        )

    store = open_lmdb(earlier)
    assert store.state() == STATE
    store.close()
