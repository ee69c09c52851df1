"""
A picture of an earlier state, for as long as it takes to send it away.

SQLite would keep one for us, by a transaction that only reads.  But as long as that is
open the write-ahead log cannot begin anew, and another node may take an hour.  So who
changes a key first puts down what it held, for each picture that has not come to that
key yet.  A picture's rows are those of the map whose keys were not changed since, and
what was put down of the others.

    before   picture, key -> what the key held; NULL = nothing

Undo rows (kvnode.core.objects.history) of later entries are no part of a picture, and
nothing is put down for them: their keys tell.

What was put down is at most as large as the state was and the keys that are new since.
It is deleted by the first checkpoint after the picture was closed.

Reference:
    https://www.sqlite.org/wal.html#avoiding_excessively_large_wal_files
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from kvnode.core.objects.history import UNDO_END, undo_key
from kvnode.core.objects.quorum_log import Position
from kvnode.core.objects.state_reader import Row, prefix_end
from kvnode.storage.shards.sqlite.run import Run
from kvnode.storage.shards.state_port import row_bytes

_ROWS = """
SELECT key, value FROM map WHERE key >= :start
    AND NOT (key >= :later AND key < :undo_end) AND NOT EXISTS (
    SELECT 1 FROM before WHERE picture = :picture AND before.key = map.key)
UNION ALL
SELECT key, value FROM before
    WHERE picture = :picture AND key >= :start AND value IS NOT NULL
ORDER BY key
"""
_KEEP = """
INSERT OR IGNORE INTO before VALUES (?, ?, (SELECT value FROM map WHERE key = ?))
"""
_KEEP_RESTORED = """
INSERT OR IGNORE INTO before
    SELECT :picture, key, (SELECT value FROM map WHERE map.key = restored.key)
    FROM restored WHERE key >= :start
"""
_KEEP_REST = """
INSERT OR IGNORE INTO before SELECT :picture, key, value FROM map WHERE key >= :start
"""
_KEEP_RANGE = f"{_KEEP_REST} AND key < :end"


@dataclass(slots=True, eq=False)
class Picture:
    """
    How far one picture has come; only the writer's thread changes it.

    Attributes:
        number: Which; none is used twice as long as the file is open.
        base: What was applied.
        start: Keys less than it have been handed out.
    """

    number: int
    base: Position
    start: bytes = b""

    @property
    def later(self) -> bytes:
        """Return where the undo rows of entries begin that are not in it."""
        return undo_key(self.base.number + 1)


def keep(connection: sqlite3.Connection, picture: Picture, run: Run) -> None:
    """Put down what *run* is about to change, within its transaction."""
    if run.prefix:
        start = max(run.prefix, picture.start)
        end = prefix_end(run.prefix)
        where = {"picture": picture.number, "start": start, "end": end}
        connection.execute(_KEEP_REST if end is None else _KEEP_RANGE, where)
    keys = [key for key in sorted(run.values) if key >= picture.start]
    connection.executemany(_KEEP, [(picture.number, key, key) for key in keys])


def keep_restored(connection: sqlite3.Connection, pictures: Iterable[Picture]) -> None:
    """Put down the keys in the table `restored`, which are about to change."""
    for picture in pictures:
        where = {"picture": picture.number, "start": picture.start}
        connection.execute(_KEEP_RESTORED, where)


def keep_undo(
    connection: sqlite3.Connection,
    pictures: Iterable[Picture],
    start: bytes,
    end: bytes,
) -> None:
    """Put down the undo rows in [start, end), which are about to go."""
    for picture in pictures:
        first, behind = max(start, picture.start), min(end, picture.later)
        where = {"picture": picture.number, "start": first, "end": behind}
        connection.execute(_KEEP_RANGE, where)


def next_rows(
    connection: sqlite3.Connection, picture: Picture, page_bytes: int
) -> tuple[Row, ...]:
    """Return the next page of *picture*, which moves on; none if that was all."""
    where = {
        "picture": picture.number,
        "start": picture.start,
        "later": picture.later,
        "undo_end": UNDO_END,
    }
    rows: list[Row] = []
    left = page_bytes
    cursor = connection.execute(_ROWS, where)
    try:
        for row in cursor:
            left -= row_bytes(row)
            if rows and left < 0:
                break
            rows.append(row)
    finally:
        cursor.close()
    if rows:
        picture.start = rows[-1][0] + b"\x00"
    return tuple(rows)


def forget(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Delete what was put down for these pictures."""
    for number in numbers:
        connection.execute("DELETE FROM before WHERE picture = ?", (number,))
