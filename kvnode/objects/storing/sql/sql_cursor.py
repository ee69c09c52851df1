"""What a query has answered."""

from collections.abc import Iterator
from typing import TypeAlias

from kvnode.errors import InvalidArgumentError

SqlValue: TypeAlias = int | float | str | bytes | None
"""What a column can hold."""

SqlRow: TypeAlias = dict[str, SqlValue]
"""A row, by the names of its columns."""


class SqlCursor:
    """
    The rows that a query has answered, each to be had once.

    All of them were read when it ran: what is written later changes nothing here.

    Attributes:
        column_names: In the order of the query.
        rows_read: How many rows SQLite has looked at, as far as it tells: those that it
            went through because no index helped, or those that it has returned.
        rows_written: How many were inserted, changed or deleted, by triggers as well.
    """

    def __init__(
        self,
        column_names: tuple[str, ...],
        rows: list[tuple[SqlValue, ...]],
        *,
        rows_read: int,
        rows_written: int,
    ) -> None:
        self.column_names = column_names
        self.rows_read = rows_read
        self.rows_written = rows_written
        self._rows = iter(rows)

    def __iter__(self) -> Iterator[SqlRow]:
        return self

    def __next__(self) -> SqlRow:
        return dict(zip(self.column_names, next(self._rows), strict=True))

    def all(self) -> list[SqlRow]:
        """Return the rows that are left."""
        return list(self)

    def to_array(self) -> list[SqlRow]:
        """Return the rows that are left, under the name that Cloudflare gives it."""
        return self.all()

    def one(self) -> SqlRow:
        """
        Return the only row.

        Raises:
            InvalidArgumentError: There is none, or more than one.
        """
        rows = self.all()
        if len(rows) != 1:
            msg = f"one() is for exactly one row; the query has {len(rows)} left"
            raise InvalidArgumentError(msg)
        return rows[0]

    def raw(self) -> Iterator[tuple[SqlValue, ...]]:
        """Return the rows that are left as tuples, also of columns of one name."""
        return self._rows
