"""
What entries do, in as few steps as can be.

All changes up to the next DELETE_PREFIX make a run: of each key only the last change
counts, so their order is free.  They are done by key, which puts neighbours into the
same pages one after the other, and all of a kind by one statement.

What keys held before (kvnode.core.objects.history) is put down first.  Where an entry
of the same run has changed a key, that is known; for others SQLite copies it within the
file, so that a large value never comes here.  Of a key the first that an entry puts
down counts, hence OR IGNORE.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias, assert_never

from kvnode.core.objects.history import (
    Before,
    Forget,
    Restore,
    forget_of,
    restore_of,
    stamp_time,
    undo_key,
)
from kvnode.core.objects.map_change import Change, ChangeKind, decode_changes
from kvnode.core.objects.quorum_log import LogEntry
from kvnode.core.objects.state_reader import prefix_end
from kvnode.types import Millis

_PUT: Final = "INSERT OR REPLACE INTO map VALUES (?, ?)"
_DELETE: Final = "DELETE FROM map WHERE key = ?"
_DELETE_REST: Final = "DELETE FROM map WHERE key >= ?"
_DELETE_RANGE: Final = "DELETE FROM map WHERE key >= ? AND key < ?"
_UNDO: Final = "INSERT OR IGNORE INTO map VALUES (?, ?)"
_UNDO_COPY: Final = """
INSERT OR IGNORE INTO map SELECT
    ?, CAST(? || ifnull((SELECT x'01' || value FROM map WHERE key = ?), x'00') AS BLOB)
"""  # 01 and 00 are PRESENT and ABSENT
_UNDO_REST: Final = """
INSERT OR IGNORE INTO map
    SELECT CAST(:head || key AS BLOB), CAST(:time || x'01' || value AS BLOB)
    FROM map WHERE key >= :start
"""
_UNDO_RANGE: Final = f"{_UNDO_REST} AND key < :end"


class Stamp(NamedTuple):
    """
    Which entry it is that puts down what keys held, and when it was proposed.

    Attributes:
        number: Of the entry.
        time: In ms since 1970.
        time_bytes: The same, as undo rows begin with it, and as the stamp has it.
    """

    number: int
    time: Millis
    time_bytes: bytes


@dataclass(slots=True)
class Run:
    """
    Changes that may be done in any order, after a deletion.

    Attributes:
        prefix: First all keys that begin with it go; b"" = none do.
        values: What each key holds then; None = nothing.
        prefix_stamp: Of the entry that says `prefix`; None = it has none.
        undo: Undo rows whose values are known.
        copies: Where undo rows belong, what they begin with, and the keys whose values
            follow.
        stamps: Of its entries, in order.
        gap: The last entry that has changed keys without a stamp, 0 if none has.
    """

    prefix: bytes = b""
    values: dict[bytes, bytes | None] = field(default_factory=dict)
    prefix_stamp: Stamp | None = None
    undo: list[tuple[bytes, bytes]] = field(default_factory=list)
    copies: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    stamps: list[Stamp] = field(default_factory=list)
    gap: int = 0


@dataclass(frozen=True, slots=True)
class Restoring:
    """A RESTORE, and the entry that says so."""

    restore: Restore
    stamp: Stamp


Step: TypeAlias = Run | Restoring | Forget


def fold(entries: Iterable[LogEntry], first_number: int) -> list[Step]:
    """
    Return what *entries*, of which the first has that number, do one after the other.

    Raises:
        CorruptRecordError: One of them is damaged.
    """
    folding = _Folding()
    for number, entry in enumerate(entries, start=first_number):
        folding.add(number, decode_changes(entry.data))
    return folding.steps


class _Folding:
    """
    Steps that are being made.

    Attributes:
        steps: They.
    """

    def __init__(self) -> None:
        self._run = Run()
        self.steps: list[Step] = [self._run]
        self._stamp: Stamp | None = None

    def add(self, number: int, changes: list[Change]) -> None:
        """Add what entry *number* does."""
        self._stamp = None
        for change in changes:
            kind, key, value = change
            match kind:
                case ChangeKind.PUT:
                    self._put_down(number, key)
                    self._run.values[key] = value
                case ChangeKind.DELETE:
                    self._put_down(number, key)
                    self._run.values[key] = None
                case ChangeKind.DELETE_PREFIX:
                    self._begin_run(Run(key, prefix_stamp=self._stamp))
                    if self._stamp is None:
                        self._run.gap = number
                case ChangeKind.STAMP:
                    self._stamp = Stamp(number, stamp_time(change), key)
                    self._run.stamps.append(self._stamp)
                case ChangeKind.RESTORE:
                    if self._stamp is not None:
                        self.steps.append(Restoring(restore_of(change), self._stamp))
                        self._begin_run(Run())
                case ChangeKind.FORGET:
                    self.steps.append(forget_of(change))
                    self._begin_run(Run())
                case _:
                    assert_never(kind)

    def _begin_run(self, run: Run) -> None:
        self._run = run
        self.steps.append(run)

    def _put_down(self, number: int, key: bytes) -> None:
        """Let the entry put down what *key* holds before this change of it."""
        stamp, run = self._stamp, self._run
        if stamp is None:
            run.gap = number
            return
        place = undo_key(number, key)
        if key in run.values:
            run.undo.append((place, Before(stamp.time, run.values[key]).encode()))
        elif run.prefix and key.startswith(run.prefix):
            run.undo.append((place, Before(stamp.time, None).encode()))
        else:
            run.copies.append((place, stamp.time_bytes, key))


def write(connection: sqlite3.Connection, run: Run) -> None:
    """Do what *run* says, within a transaction."""
    if run.prefix:
        if run.prefix_stamp is not None:
            _undo_prefix(connection, run.prefix, run.prefix_stamp)
        _delete_prefix(connection, run.prefix)
    connection.executemany(_UNDO_COPY, run.copies)
    connection.executemany(_UNDO, run.undo)
    rows = sorted(run.values.items())
    connection.executemany(_DELETE, [(key,) for key, value in rows if value is None])
    put_rows(connection, [(key, value) for key, value in rows if value is not None])


def put_rows(
    connection: sqlite3.Connection, rows: Iterable[tuple[bytes, bytes]]
) -> None:
    """Put *rows*, new or not, within a transaction; the last of a key counts."""
    connection.executemany(_PUT, rows)


def _undo_prefix(connection: sqlite3.Connection, prefix: bytes, stamp: Stamp) -> None:
    end = prefix_end(prefix)
    where = {
        "head": undo_key(stamp.number),
        "time": stamp.time_bytes,
        "start": prefix,
        "end": end,
    }
    connection.execute(_UNDO_REST if end is None else _UNDO_RANGE, where)


def _delete_prefix(connection: sqlite3.Connection, prefix: bytes) -> None:
    end = prefix_end(prefix)
    if end is None:
        connection.execute(_DELETE_REST, (prefix,))
    else:
        connection.execute(_DELETE_RANGE, (prefix, end))
