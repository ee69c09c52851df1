"""
Which objects of a shard have a connection to their database open just now.

A connection keeps pages and compiled statements in memory.  It holds nothing that is
not in the pages as well, so any can be closed, and is opened again when it is needed:
that takes about as long as a few statements.
"""

from typing import Final, Protocol

from kvnode.errors import OverloadedError

OPEN_MAX: Final = 64
"""Of a shard: with their caches of 1 MiB, 1 GiB in a node that leads 16 shards."""


class Database(Protocol):
    """What has a connection."""

    @property
    def is_idle(self) -> bool:
        """Tell whether its connection may be closed."""

    def rest(self) -> None:
        """Close its connection; the next statement opens another."""


class OpenDatabases:
    """Those that have one, the one that was used last at the end."""

    def __init__(self, open_max: int = OPEN_MAX) -> None:
        self._open_max = open_max
        self._open: dict[Database, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def use(self, database: Database) -> None:
        """
        Note that *database* is used; others that rest may have to make room.

        Raises:
            OverloadedError: All others are in the midst of transactions.
        """
        if database in self._open:
            del self._open[database]
            self._open[database] = None
            return
        while len(self._open) >= self._open_max:
            oldest = next((each for each in self._open if each.is_idle), None)
            if oldest is None:
                msg = f"{self._open_max} databases of this shard are in transactions"
                raise OverloadedError(msg)
            oldest.rest()
            assert oldest not in self._open, "whoever rests says so"
        self._open[database] = None

    def closed(self, database: Database) -> None:
        """Note that *database* has no connection any more."""
        self._open.pop(database, None)
