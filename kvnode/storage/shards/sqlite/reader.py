"""
How the event loop reads a state: by a connection of its own.

All rows of a query are fetched at once, since one that is not would hold up the
checkpoints.  The lock is for `read_by` alone: whoever reads waits for no disk but its
own reads.
"""

import sqlite3
from pathlib import Path
from threading import Lock
from typing import Any, Final

from kvnode.core.objects.state_reader import Row
from kvnode.storage.shards.sqlite.state_file import open_reader, translated

_GET: Final = "SELECT value FROM map WHERE key = ?"
_SCAN: Final = {
    False: "SELECT key, value FROM map WHERE key >= ? ORDER BY key LIMIT ?",
    True: "SELECT key, value FROM map WHERE key >= ? ORDER BY key DESC LIMIT ?",
}
_SCAN_TO: Final = {
    False: "SELECT key, value FROM map WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
    True: (
        "SELECT key, value FROM map WHERE key >= ? AND key < ? ORDER BY key DESC"
        " LIMIT ?"
    ),
}


class Reader:
    """See kvnode.storage.shards.state_port.StateReader."""

    def __init__(self, path: Path) -> None:
        """
        Read the file *path*, which a writer has open.

        Raises:
            sqlite3.Error: See `translated`.
        """
        self._path = path
        self._connection = open_reader(path)
        self._lock = Lock()

    def get(self, key: bytes) -> bytes | None:
        """Return the value of *key*; see the port."""
        rows: list[tuple[bytes]] = self._fetch(_GET, (key,))
        return rows[0][0] if rows else None

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool, limit: int
    ) -> list[Row]:
        """Return rows by key; see the port."""
        assert limit > 0, "somebody wants to see a row"
        if end is None:
            return self._fetch(_SCAN[reverse], (start, limit))
        return self._fetch(_SCAN_TO[reverse], (start, end, limit))

    def read_by(self, connection: sqlite3.Connection) -> None:
        """Go on with another connection, after what is being read."""
        with self._lock:
            former, self._connection = self._connection, connection
            former.close()

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def _fetch(self, query: str, values: tuple[bytes | int, ...]) -> list[Any]:
        try:
            with self._lock:
                return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
