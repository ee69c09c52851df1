"""A state that comes from elsewhere, in a file beside the one whose place it takes."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from kvnode.core.objects.quorum_log import Position
from kvnode.core.objects.state_reader import Row
from kvnode.storage.shards.sqlite.run import put_rows
from kvnode.storage.shards.sqlite.state_file import (
    beside,
    open_draft,
    roll_back,
    set_applied,
    translated,
)


def draft_of(path: Path) -> Path:
    """Return where the draft for a state's file is."""
    return path.with_suffix(".draft")


def delete_draft(path: Path) -> None:
    """Delete the draft for a state's file, which a crash may have left."""
    draft = draft_of(path)
    for each in (*beside(draft), draft):
        each.unlink(missing_ok=True)


class Draft:
    """
    One such file; used on the writer's thread alone.

    Attributes:
        path: Where it is.
    """

    def __init__(self, state: Path, *, bytes_max: int) -> None:
        """
        Begin a draft for the file *state*.

        Raises:
            StoreFullError: There is no room.
            OSError: The disk failed.
        """
        delete_draft(state)
        self.path = draft_of(state)
        self._state = state
        try:
            self._connection = open_draft(self.path, bytes_max=bytes_max)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def add(self, rows: Sequence[Row]) -> None:
        """
        Put rows.

        Raises:
            StoreFullError: There is no room; none of them is in it.
            OSError: The disk failed.
        """
        try:
            try:
                self._connection.execute("BEGIN")
                put_rows(self._connection, rows)
                self._connection.execute("COMMIT")
            finally:
                roll_back(self._connection)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def complete(self, base: Position) -> None:
        """
        Make it a file by itself, which has applied *base* and is not durable yet.

        Raises:
            StoreFullError: There is no room; it is as before.
            OSError: The disk failed.
        """
        try:
            set_applied(self._connection, base)
            self._connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error as error:
            raise translated(error, self.path) from error
        self._connection.close()

    def discard(self) -> None:
        """Delete it."""
        self._connection.close()
        delete_draft(self._state)
