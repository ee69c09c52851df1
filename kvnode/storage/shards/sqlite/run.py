"""
What entries do, in as few steps as can be.

All changes up to the next DELETE_PREFIX make a run: of each key only the last change
counts, so their order is free.  They are done by key, which puts neighbours into the
same pages one after the other, and all of a kind by one statement.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

from kvnode.core.objects.map_change import ChangeKind, decode_changes
from kvnode.core.objects.quorum_log import LogEntry
from kvnode.core.objects.state_reader import prefix_end

_PUT: Final = "INSERT OR REPLACE INTO map VALUES (?, ?)"
_DELETE: Final = "DELETE FROM map WHERE key = ?"
_DELETE_REST: Final = "DELETE FROM map WHERE key >= ?"
_DELETE_RANGE: Final = "DELETE FROM map WHERE key >= ? AND key < ?"


class Run(NamedTuple):
    """
    Changes that may be done in any order, after a deletion.

    Attributes:
        prefix: First all keys that begin with it go; b"" = none do.
        values: What each key holds then; None = nothing.
    """

    prefix: bytes
    values: dict[bytes, bytes | None]


def fold(entries: Iterable[LogEntry]) -> list[Run]:
    """
    Return what *entries* do one after the other.

    Raises:
        CorruptRecordError: One of them is damaged.
    """
    runs = [Run(b"", {})]
    for entry in entries:
        for kind, key, value in decode_changes(entry.data):
            if kind is ChangeKind.DELETE_PREFIX:
                runs.append(Run(key, {}))
            else:
                runs[-1].values[key] = value if kind is ChangeKind.PUT else None
    return runs


def write(connection: sqlite3.Connection, run: Run) -> None:
    """Do what *run* says, within a transaction."""
    if run.prefix:
        _delete_prefix(connection, run.prefix)
    rows = sorted(run.values.items())
    connection.executemany(_DELETE, [(key,) for key, value in rows if value is None])
    put_rows(connection, [(key, value) for key, value in rows if value is not None])


def put_rows(
    connection: sqlite3.Connection, rows: Iterable[tuple[bytes, bytes]]
) -> None:
    """Put *rows*, new or not, within a transaction; the last of a key counts."""
    connection.executemany(_PUT, rows)


def _delete_prefix(connection: sqlite3.Connection, prefix: bytes) -> None:
    end = prefix_end(prefix)
    if end is None:
        connection.execute(_DELETE_REST, (prefix,))
    else:
        connection.execute(_DELETE_RANGE, (prefix, end))
