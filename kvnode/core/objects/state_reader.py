"""What the entries of a shard's log have done, to look into: an ordered map."""

from typing import Protocol

Row = tuple[bytes, bytes]
"""A key and its value."""


class StateReader(Protocol):
    """
    A map to look into.

    Each call tells of one entry; two may tell of two, where entries are applied
    meanwhile.
    """

    def get(self, key: bytes) -> bytes | None:
        """
        Return the value of *key*, None if it has none.

        Raises:
            CorruptRecordError: The file is damaged.
            OSError: It cannot be read.
        """

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False, limit: int
    ) -> list[Row]:
        """
        Return rows by key, ascending, or descending if *reverse*.

        Args:
            start: The least key that may be among them.
            end: All keys are less; None = there is no end.
            reverse: Whether to begin with the greatest.
            limit: How many at most, > 0.

        Raises:
            CorruptRecordError: The file is damaged.
            OSError: It cannot be read.
        """


def prefix_end(prefix: bytes) -> bytes | None:
    """Return the first key behind all that begin with *prefix*, None if none is."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else None
