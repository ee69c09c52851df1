"""
The SQLite file of one shard's applied state.

    meta     one row: the file's format, and the entry applied last
    map      the state itself
    before   what pictures of earlier states need (kvnode.storage.shards.sqlite.picture)

A commit goes to the write-ahead log beside the file (`-wal`) and waits for no disk.
What a crash leaves of that log is a prefix of the commits, since each frame's checksum
covers the frames before it.  Only a checkpoint syncs, and only `checkpoint` makes one:
SQLite of itself would do it within the commit that finds the log long.

References:
    https://www.sqlite.org/wal.html
    https://www.sqlite.org/fileformat2.html, section 4
"""

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

from kvnode.core.objects.quorum_log import ORIGIN, Position
from kvnode.errors import (
    CorruptRecordError,
    RejectedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.storage.disk.room import FULL_DISK_BYTES, free_disk_bytes

FORMAT: Final = 2
"""1 knows nothing of histories (kvnode.core.objects.history), and would leave gaps."""

_FORMATS_READ: Final = (1, 2)

PAGE_BYTES: Final = 4096
"""SQLite's own choice, written down since a commit writes whole pages."""

STATE_BYTES_MAX: Final = 1 << 38
"""256 GiB, as much as the logs of all shards may have."""

WAL_BYTES_KEPT: Final = 64 * 1024 * 1024
"""A longer log gives space back once it begins anew: what a host lets a log grow to."""

BUSY_SECONDS: Final = 1.0
"""Only a tool that somebody runs on the file can make us wait; a second is patience."""

_TABLES: Final = (
    "CREATE TABLE meta (format INTEGER, epoch INTEGER, number INTEGER)",
    "CREATE TABLE map (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    (
        "CREATE TABLE before (picture INTEGER, key BLOB, value BLOB,"
        " PRIMARY KEY (picture, key)) WITHOUT ROWID"
    ),
)
_SET_APPLIED: Final = "UPDATE meta SET epoch = ?, number = ?"

_DAMAGED: Final = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_ERROR,  # our statements are right, so the tables are not ours
    }
)
_BUSY: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
)


def wal_of(path: Path) -> Path:
    """Return the write-ahead log of a file."""
    return path.with_name(f"{path.name}-wal")


def beside(path: Path) -> tuple[Path, ...]:
    """Return the names of all that SQLite may have put beside a file."""
    ends = ("-wal", "-shm", "-journal")
    return tuple(path.with_name(f"{path.name}{end}") for end in ends)


def open_writer(path: Path, *, bytes_max: int) -> tuple[sqlite3.Connection, Position]:
    """
    Open the file, which is made if need be; return also what it has applied.

    Raises:
        RejectedError: A later version wrote it.
        sqlite3.Error: See `translated`.
    """
    connection = _connect(path)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute(f"PRAGMA max_page_count = {bytes_max // PAGE_BYTES}")
        applied = _read_or_found(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
        connection.execute("DELETE FROM before")  # of pictures that a crash closed
    except BaseException:
        connection.close()
        raise
    return connection, applied


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a file that a writer has open, to read."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = 1")
    return connection


def open_unchanging(path: Path) -> sqlite3.Connection:
    """Open a file that nobody changes, to read; it may be renamed meanwhile."""
    return _connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1")


def open_draft(path: Path, *, bytes_max: int) -> sqlite3.Connection:
    """Make a file that is worth nothing before it is synced, and so need not be."""
    connection = _connect(path)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute(f"PRAGMA max_page_count = {bytes_max // PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")
        _read_or_found(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def set_applied(connection: sqlite3.Connection, applied: Position) -> None:
    """Note what is applied, within the transaction that has applied it."""
    connection.execute(_SET_APPLIED, applied)


def roll_back(connection: sqlite3.Connection) -> None:
    """End a failed transaction, unless the failure has."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def sync_file(path: Path) -> None:
    """Make a file durable, whoever has written it."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def translated(error: sqlite3.Error, path: Path) -> Exception:
    """Return what *error* means."""
    # Without a code the connection is closed, as it may be after a failure.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
    if code in _DAMAGED:
        return CorruptRecordError(
            f"the state of a shard in {path} is damaged ({error}): delete the file, and"
            " the node has the state sent by another"
        )
    if code in _BUSY:
        return UnavailableError(
            f"{path} is locked by another program ({error}), nothing was written: end"
            " that program"
        )
    # What SQLite cannot put beside the file is an I/O error to it (see `room`).
    full = code == sqlite3.SQLITE_FULL or (
        code == sqlite3.SQLITE_IOERR and free_disk_bytes(path.parent) < FULL_DISK_BYTES
    )
    if full:
        return StoreFullError(
            f"no room for {path} ({error}), nothing was written: free some disk space"
        )
    return OSError(errno.EIO, f"{path}: {error}")


def _connect(path: Path | str) -> sqlite3.Connection:
    """Return a connection that begins transactions only when told to."""
    return sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        uri=isinstance(path, str),
    )


def _read_or_found(connection: sqlite3.Connection, path: Path) -> Position:
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        connection.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            connection.execute(table)
        connection.execute("INSERT INTO meta VALUES (?, ?, ?)", (FORMAT, *ORIGIN))
        connection.execute("COMMIT")
        return ORIGIN
    form = connection.execute("SELECT format FROM meta").fetchall()
    if len(form) != 1 or not isinstance(form[0][0], int):
        msg = f"{path} is no state of a shard"
        raise CorruptRecordError(msg)
    if form[0][0] not in _FORMATS_READ:
        msg = (
            f"the state of a shard in {path} has format {form[0][0]} and this version"
            f" reads {FORMAT}: run the version that wrote it"
        )
        raise RejectedError(msg)
    if form[0][0] != FORMAT:
        connection.execute("UPDATE meta SET format = ?", (FORMAT,))
    return Position(*connection.execute("SELECT epoch, number FROM meta").fetchone())
