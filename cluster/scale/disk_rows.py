"""
What is in the rows of a closed store, and in the pages below them.

Rows are counted as LMDB has them, key and data, and all that name an entry's key
count for it.  A database that is added to the store is counted from its first
day: what is not found by an entry's key is taken to lead to one.  The rows of
`meta` belong to no key.

Pages are those in use.  LMDB's file has free ones too, and never shrinks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kvnode.core.versions.version import Entry
from kvnode.storage import record_codec
from kvnode.storage.disk.layout import (
    DATABASE_NAMES,
    open_databases,
    open_environment,
    read_committed,
)
from kvnode.storage.key_codec import NUMBER_BYTES, NamespaceTable
from kvnode.types import EntryKey

if TYPE_CHECKING:
    from kvnode.storage.disk.layout import Transaction

FOUND_BY_KEY = frozenset({"entries", "conflicts"})
"""Their rows' keys are entries' keys; elsewhere the data is."""

OF_LONG_KEYS = frozenset({"heads", "long_entries", "long_conflicts"})
"""Empty where no key is beyond LMDB's length: keys are not whole in these."""

OF_NO_KEY = frozenset({"meta"})

WALKED = tuple(name for name in DATABASE_NAMES if name not in OF_LONG_KEYS | OF_NO_KEY)


@dataclass(frozen=True, slots=True)
class KeyRows:
    """
    All rows of one key.

    Attributes:
        key: Whose they are.
        entry: What the store holds under it; None if rows are left without one.
        row_bytes: Their bytes, keys and data.
    """

    key: EntryKey
    entry: Entry | None
    row_bytes: int

    @property
    def overhead_bytes(self) -> int:
        """Return what they take beside the key, counted once, and what was put."""
        given = len(self.key.key)
        if self.entry is not None:
            given += len(self.entry.value) + len(self.entry.metadata.encode())
        return self.row_bytes - given


class Room(NamedTuple):
    """Bytes of all rows that are of keys, and of the pages that these take."""

    row_bytes: int
    page_bytes: int


class ClosedStore:
    """
    The store in *directory*, which nobody has open, with short keys alone.

    Raises:
        OSError: The files cannot be opened.
    """

    def __init__(self, directory: Path) -> None:
        self._environment = open_environment(directory)
        self._databases = open_databases(self._environment)

    def close(self) -> None:
        """Let go of the files."""
        self._environment.close()

    def rows(self) -> Iterator[KeyRows]:
        """
        Yield the rows of each key that any row names, in no order.

        Raises:
            CorruptRecordError: Something in the store is damaged.
        """
        with self._environment.begin() as txn:
            committed = read_committed(txn, self._databases)
            assert committed is not None, "the directory holds a store"
            dots, names = committed.dots(), NamespaceTable(committed.namespaces)
            for place, row_bytes in self._bytes_by_place(txn).items():
                raw = txn.get(place, None, self._databases.entries)
                entry = None if raw is None else record_codec.decode(raw, dots)
                namespace = names.name(place[:NUMBER_BYTES])
                key = EntryKey(namespace, place[NUMBER_BYTES:])
                yield KeyRows(key, entry, row_bytes)

    def room(self) -> Room:
        """Return what all keys together take."""
        page_bytes = 0
        with self._environment.begin() as txn:
            row_bytes = sum(self._bytes_by_place(txn).values())
            for name in WALKED:
                stat = txn.stat(getattr(self._databases, name))
                pages = stat["branch_pages"] + stat["leaf_pages"]
                page_bytes += stat["psize"] * (pages + stat["overflow_pages"])
        return Room(row_bytes, page_bytes)

    def _bytes_by_place(self, txn: "Transaction") -> dict[bytes, int]:
        """Return the bytes of rows by namespace number and key."""
        for name in OF_LONG_KEYS:
            rows = txn.stat(getattr(self._databases, name))["entries"]
            assert rows == 0, f"{name} has rows: keys are short here"
        sizes: dict[bytes, int] = {}
        for name in WALKED:
            found_by_key = name in FOUND_BY_KEY
            for row_key, data in txn.cursor(getattr(self._databases, name)):
                place = row_key if found_by_key else data
                size = len(row_key) + len(data)
                sizes[place] = sizes.get(place, 0) + size
        return sizes
