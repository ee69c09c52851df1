"""
The history of a state in its file: restoring, forgetting, and how large it is.

What kvnode.core.objects.plain_history does key by key SQLite does here by itself, so
that what is restored or forgotten never is in the memory of this process; the rows of a
large restore are in a temporary table meanwhile.
"""

import sqlite3
from collections.abc import Callable
from typing import Final

from kvnode.core.objects.history import (
    MARK_KEY,
    UNDO,
    UNDO_END,
    Forget,
    HistoryMark,
    decode_before,
    decode_mark,
    left_gap,
    parse_undo_key,
    stamped,
    undo_key,
)
from kvnode.storage.shards.sqlite.run import Restoring, Run

_MAKE: Final = """
CREATE TEMP TABLE IF NOT EXISTS restored (
    key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID
"""
_CLEAR: Final = "DELETE FROM restored"
_SELECT: Final = """
INSERT OR IGNORE INTO restored SELECT substr(key, 11), value FROM map
    WHERE key >= :start AND key < :end AND length(key) >= 10 + length(:suffix)
    AND substr(key, 11, length(:prefix)) = :prefix
    AND (:suffix = x'' OR substr(key, -length(:suffix)) = :suffix)
    ORDER BY map.key
"""  # 10 is HEAD_BYTES
_LEAVE_EQUAL: Final = """
DELETE FROM restored WHERE substr(value, 9) = ifnull(
    (SELECT CAST(x'01' || value AS BLOB) FROM map WHERE map.key = restored.key), x'00')
"""
_UNDO: Final = """
INSERT OR IGNORE INTO map SELECT CAST(:head || key AS BLOB), CAST(:time || ifnull(
    (SELECT x'01' || value FROM map WHERE map.key = restored.key), x'00'
) AS BLOB) FROM restored
"""  # 01 and 00 are PRESENT and ABSENT
_DELETE: Final = """
DELETE FROM map WHERE key IN (
    SELECT key FROM restored WHERE substr(value, 9, 1) = x'00')
"""
_PUT: Final = """
INSERT OR REPLACE INTO map SELECT key, substr(value, 10) FROM restored
    WHERE substr(value, 9, 1) = x'01'
"""
_SIZE: Final = """
SELECT coalesce(sum(length(key) + length(value)), 0) FROM map WHERE key >= ? AND key < ?
"""
_SIZES: Final = """
SELECT key, length(key) + length(value) FROM map
    WHERE key >= ? AND key < ? ORDER BY key
"""
_LAST: Final = """
SELECT key, value FROM map WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT 1
"""
_FORGET: Final = "DELETE FROM map WHERE key >= ? AND key < ?"
_GET: Final = "SELECT value FROM map WHERE key = ?"


class UndoLog:
    """
    The history within one transaction.

    Attributes:
        mark: How far back the state can be restored by now.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """
        Read the mark.

        Raises:
            CorruptRecordError: It is damaged.
        """
        row = connection.execute(_GET, (MARK_KEY,)).fetchone()
        self.mark: HistoryMark | None = None if row is None else decode_mark(row[0])
        self._connection = connection
        self._uncounted_from: int | None = None

    def note(self, run: Run) -> None:
        """Take note of what entries have put down, or have not."""
        for stamp in run.stamps:
            if self._uncounted_from is None:
                self._uncounted_from = stamp.number
            if self.mark is not None and run.gap < stamp.number:
                self.mark = left_gap(self.mark, run.gap)
            self.mark = stamped(self.mark, stamp.number, stamp.time)
        if self.mark is not None:
            self.mark = left_gap(self.mark, run.gap)

    def restore(self, restoring: Restoring, keep: Callable[[], None]) -> None:
        """
        Restore what is selected, if what it held is still known.

        Args:
            restoring: Which keys, and to what.
            keep: Called before the keys in the temporary table `restored` change.
        """
        restore, stamp = restoring.restore, restoring.stamp
        if self.mark is None or restore.number < self.mark.floor:
            return
        connection = self._connection
        connection.execute(_MAKE)
        connection.execute(
            _SELECT,
            {
                "start": undo_key(restore.number + 1),
                "end": UNDO_END,
                "prefix": restore.prefix,
                "suffix": restore.suffix,
            },
        )
        connection.execute(_LEAVE_EQUAL)
        keep()
        head = {"head": undo_key(stamp.number), "time": stamp.time_bytes}
        connection.execute(_UNDO, head)
        connection.execute(_DELETE)
        connection.execute(_PUT)
        connection.execute(_CLEAR)

    def forget(self, forget: Forget, keep: Callable[[bytes, bytes], None]) -> None:
        """
        Delete what is too old, and what is too much.

        Args:
            forget: What that is.
            keep: Called before the rows of a range go.
        """
        self._count()
        if self.mark is None:
            return
        until = self._until(max(forget.number, self.mark.floor), forget.size_bytes_max)
        end = undo_key(until + 1)
        last = self._connection.execute(_LAST, (UNDO, end)).fetchone()
        if last is not None:
            number = parse_undo_key(last[0])[0]
            self.mark = self.mark._replace(
                size_bytes=self.mark.size_bytes - self._size(UNDO, end)
            )
            if number > self.mark.floor:
                time = decode_before(last[1]).time
                self.mark = self.mark._replace(floor=number, floor_time=time)
            keep(UNDO, end)
            self._connection.execute(_FORGET, (UNDO, end))
        floor = max(self.mark.floor, forget.number)
        self.mark = self.mark._replace(floor=floor)

    def _until(self, number: int, size_bytes_max: int) -> int:
        """Return up to which entry rows go, which is at least *number*."""
        assert self.mark is not None, "there are rows"
        left = self.mark.size_bytes - self._size(UNDO, undo_key(number + 1))
        cursor = self._connection.execute(_SIZES, (undo_key(number + 1), UNDO_END))
        try:
            for place, size_bytes in cursor:
                entry = parse_undo_key(place)[0]
                if left <= size_bytes_max and entry > number:
                    break
                number = entry
                left -= size_bytes
        finally:
            cursor.close()
        return number

    def end(self) -> HistoryMark | None:
        """Return the mark as it is to be stored."""
        self._count()
        return self.mark

    def _count(self) -> None:
        """Add what was put down since this was done last to what there is."""
        if self.mark is None or self._uncounted_from is None:
            return
        added = self._size(undo_key(self._uncounted_from), UNDO_END)
        self.mark = self.mark._replace(size_bytes=self.mark.size_bytes + added)
        self._uncounted_from = None

    def _size(self, start: bytes, end: bytes) -> int:
        size_bytes: int = self._connection.execute(_SIZE, (start, end)).fetchone()[0]
        return size_bytes
