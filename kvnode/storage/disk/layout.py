"""
The LMDB environment: its databases and the rows of `meta`.

    entries, long_entries        entry key (kvnode.storage.key_codec)
                                 -> record (kvnode.storage.record_codec)
    heads                        head of long keys -> id
    index                        dot, u16 replica number and 48 bits of seq
                                 -> u16 namespace number and the full key
    conflicts, long_conflicts    entry key -> conflict log
    mortal                       u64 timestamp, dot -> as in the index: tombstones
                                 and expiring entries by when they may be forgotten
    meta                         format, state and its surroundings, session;
                                 namespaces and replicas by number

The map is large from the start (1 TiB of address space, which costs nothing on
disk: the file grows with what is written) and never resized.  Resizing needs a
moment without any open transaction, and snapshots for deltas and backups may be
open at any time.  Where so much address space is refused, for example under
`ulimit -v`, half is tried, and so on.

Nothing is mapped for writing: with LMDB's `writemap` a full disk is a SIGBUS.

References:
    LMDB, lmdb.h: mdb_env_set_mapsize, MDB_NOSYNC, MDB_WRITEMAP.
"""

import errno
from dataclasses import dataclass, fields
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

import lmdb

from kvnode.core.versions.record import NumberedDots
from kvnode.core.versions.store_view import DurableState
from kvnode.errors import CorruptRecordError, RejectedError
from kvnode.storage.key_codec import NamespaceTable
from kvnode.storage.meta_codec import (
    decode_state,
    encode_state,
    encode_surroundings,
    seal,
    unseal,
)
from kvnode.types import Dot, HlcTimestamp, Namespace, ReplicaId

if TYPE_CHECKING:
    from lmdb import _Database

    # At run time lmdb's classes take no type parameter.
    Database = _Database
    Transaction = lmdb.Transaction[bytes]
    Cursor = lmdb.Cursor[bytes]

DATA_NAME = "data.mdb"
"""LMDB's name for the one file that holds everything."""

MAP_BYTES = 1 << 40
MAP_BYTES_MIN = 1 << 20
READERS_MAX = 1024
"""A slot of 64 bytes each: one for every snapshot open at a time."""
SPARE_READERS = 64
"""Read transactions kept for reuse, so that opening one allocates nothing."""
DATABASES_MAX = 16
STORE_FORMAT = 2
"""
1 had no `mortal` rows, and records in format 1 alone; it is brought up to date.  A
store gets the number of the version that opens it, so that an older one refuses it
instead of calling its records damaged (docs/decisions/0016).
"""
STORE_FORMATS = (1, STORE_FORMAT)

FORMAT_ROW = b"format"
STATE_ROW = b"state"
SURROUNDINGS_ROW = b"surroundings"
SESSION_ROW = b"session"
HOME_ROW = b"home"
NAMESPACE_ROWS = b"namespace/"
REPLICA_ROWS = b"replica/"

_U16 = Struct(">H")
_U64 = Struct(">Q")


@dataclass(frozen=True, slots=True)
class Databases:
    """Handles of the databases, named as on disk."""

    entries: "Database"
    long_entries: "Database"
    heads: "Database"
    index: "Database"
    conflicts: "Database"
    long_conflicts: "Database"
    mortal: "Database"
    meta: "Database"

    def all(self) -> "tuple[Database, ...]":
        """Return the handles in the order of their names' declaration."""
        return tuple(getattr(self, name) for name in DATABASE_NAMES)


DATABASE_NAMES = tuple(each.name for each in fields(Databases))


class Committed(NamedTuple):
    """What `meta` holds as of transaction *transaction*."""

    transaction: int
    state: DurableState
    namespaces: tuple[Namespace, ...]
    replicas: tuple[ReplicaId, ...]
    head_count: int

    def namespace_table(self) -> NamespaceTable:
        """Return a table of its own that starts with what is committed."""
        return NamespaceTable(self.namespaces)

    def dots(self) -> NumberedDots:
        """Return a codec of its own that starts with what is committed."""
        return NumberedDots(self.replicas)


def open_environment(
    directory: Path, *, map_bytes: int = MAP_BYTES, synced: bool = True
) -> lmdb.Environment:
    """
    Open or create the environment in *directory*, which exists.

    Args:
        directory: Holds `data.mdb` and LMDB's own `lock.mdb`.
        map_bytes: The largest size the file may ever get; halved until the
            operating system grants the address space.
        synced: Whether each commit waits for the disk.

    Raises:
        OSError: The files cannot be opened or mapped.
    """
    while True:
        try:
            return lmdb.open(
                str(directory),
                map_size=map_bytes,
                max_dbs=DATABASES_MAX,
                max_readers=READERS_MAX,
                max_spare_txns=SPARE_READERS,
                sync=synced,
                metasync=synced,
                readahead=False,
                mode=0o600,
            )
        except lmdb.MemoryError as error:
            map_bytes //= 2
            if map_bytes < MAP_BYTES_MIN:
                msg = f"{directory}: no address space to map even {MAP_BYTES_MIN} bytes"
                raise OSError(errno.ENOMEM, msg) from error
        except lmdb.Error as error:
            raise as_os_error(error, directory) from error


def open_databases(environment: lmdb.Environment) -> Databases:
    """Return the handles of all databases, created where they are missing."""
    with environment.begin(write=True) as txn:
        return Databases(
            *(environment.open_db(name.encode(), txn) for name in DATABASE_NAMES)
        )


def read_committed(txn: "Transaction", databases: Databases) -> Committed | None:
    """
    Return what `meta` holds in the snapshot *txn*, None for a new store.

    Raises:
        CorruptRecordError: A row is damaged or missing.
        RejectedError: The store was written by a later version.
    """
    meta = databases.meta
    form = txn.get(FORMAT_ROW, None, meta)
    if form is None:
        return None
    (number,) = _U16.unpack(unseal(form, "the store's format"))
    if number not in STORE_FORMATS:
        msg = (
            f"the store has format {number} and this version reads"
            f" {' and '.join(map(str, STORE_FORMATS))}: run the version that wrote it"
        )
        raise RejectedError(msg)
    raw = txn.get(STATE_ROW, None, meta)
    if raw is None:
        msg = "the node's state is missing from the store"
        raise CorruptRecordError(msg)
    names = _table_rows(txn, meta, NAMESPACE_ROWS)
    replicas = _table_rows(txn, meta, REPLICA_ROWS)
    return Committed(
        txn.id(),
        decode_state(raw, txn.get(SURROUNDINGS_ROW, None, meta)),
        tuple(Namespace(str(name, "utf-8")) for name in names),
        tuple(ReplicaId(_U64.unpack(replica)[0]) for replica in replicas),
        txn.stat(databases.heads)["entries"],
    )


def format_row() -> bytes:
    """Return the value of the row that makes an environment a store."""
    return seal(_U16.pack(STORE_FORMAT))


def state_rows(
    state: DurableState, before: DurableState | None = None
) -> list[tuple[bytes, bytes]]:
    """Return the rows of *state*, its surroundings only where *before* has others."""
    rows = [(STATE_ROW, encode_state(state))]
    if (
        before is None
        or before.peers != state.peers
        or before.roster is not state.roster
        or before.floor is not state.floor
    ):
        rows.append((SURROUNDINGS_ROW, encode_surroundings(state)))
    return rows


def mortal_row_key(due: HlcTimestamp, dot: Dot, dots: NumberedDots) -> bytes:
    """Return the key of a row of `mortal`."""
    return _U64.pack(due) + dots.encode_dot(dot)


def namespace_row(number: int, name: Namespace) -> tuple[bytes, bytes]:
    """Return the row that gives *name* its number."""
    return NAMESPACE_ROWS + _U16.pack(number), seal(name.encode())


def replica_row(number: int, replica: ReplicaId) -> tuple[bytes, bytes]:
    """Return the row that gives *replica* its number."""
    return REPLICA_ROWS + _U16.pack(number), seal(_U64.pack(replica))


def as_os_error(error: lmdb.Error, directory: Path) -> OSError:
    """
    Return *error* as the system's, with the directory it happened in.

    Codes of LMDB's own, all negative, and errors without one become EIO.
    """
    code = getattr(error, "code", errno.EIO)
    return OSError(code if code > 0 else errno.EIO, f"{directory}: {error}")


def _table_rows(txn: "Transaction", meta: "Database", prefix: bytes) -> list[bytes]:
    """Return the values of a numbered table, which has no holes."""
    rows: list[bytes] = []
    cursor = txn.cursor(meta)
    found = cursor.set_range(prefix)
    while found and cursor.key().startswith(prefix):
        expected = prefix + _U16.pack(len(rows) + 1)
        subject = f"row {cursor.key()!r} of meta"
        if cursor.key() != expected:
            msg = f"{subject} stands where {expected!r} is due"
            raise CorruptRecordError(msg)
        rows.append(unseal(cursor.value(), subject))
        found = cursor.next()
    return rows
