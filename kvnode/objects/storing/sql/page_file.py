"""
The file of an object's SQL database: pages that are rows of the shard's map.

    number of a page, from 0  ->  its bytes

A page that is written is kept here until all that belongs to it is written as well;
then they are taken together, to be staged as one.  So what lies below is a whole
database at any time.  Where pages below have no row there are zeros; the last page has
one always, since the length of the file follows from it.

Reference: Hipp, SQLite.  "Database File Format", section 1.2.
"""

from struct import Struct
from typing import Final

from kvnode.core.objects.map_change import ENTRY_BYTES_MAX, Change, ChangeKind
from kvnode.core.objects.state_reader import StateReader
from kvnode.errors import CorruptRecordError, InvalidArgumentError
from kvnode.objects.storing.keys import Kind, end_of, object_prefix

PAGE_BYTES: Final = 4096
"""What SQLite takes by default.  Never to be changed: it is in every file."""

PAGES_MAX: Final = ENTRY_BYTES_MAX // (PAGE_BYTES + 64)
"""So many fit one entry of the log with their keys, and into memory beside it."""

_NUMBER = Struct(">I")
_ZEROS: Final = bytes(PAGE_BYTES)


class PageFile:
    """
    The pages of one database.

    Attributes:
        count: How many there are.
    """

    def __init__(self, below: StateReader, body: bytes) -> None:
        """Read what lies *below*, for the object of *body*."""
        self._below = below
        self._prefix = object_prefix(body, Kind.SQL_PAGE)
        self._count_below = self._counted()
        self._shown = self._count_below  # of those below; the rest was cut off
        self._written: dict[int, bytes] = {}
        self.count = self._count_below

    def _counted(self) -> int:
        last = self._below.scan(
            self._prefix, end_of(self._prefix), reverse=True, limit=1
        )
        if not last:
            return 0
        number: int = _NUMBER.unpack_from(last[0][0], len(self._prefix))[0]
        return number + 1

    @property
    def is_changed(self) -> bool:
        """Tell whether there is anything to take."""
        return bool(self._written) or self._is_resized

    @property
    def _is_resized(self) -> bool:
        return not self.count == self._shown == self._count_below

    def read(self, number: int) -> bytes:
        """
        Return a page, empty if it is behind the end.

        Raises:
            CorruptRecordError: There is something else in its place.
            KvError: What lies below cannot be read.
        """
        if number >= self.count:
            return b""
        page = self._written.get(number)
        if page is None and number < self._shown:
            page = self._below.get(self._key(number))
        if page is None:
            return _ZEROS
        if len(page) != PAGE_BYTES:
            msg = f"page {number} of an object's database has {len(page)} bytes"
            raise CorruptRecordError(msg)
        return page

    def write(self, number: int, page: bytes) -> None:
        """
        Replace a page, or add one.

        Raises:
            InvalidArgumentError: With it they would be too many for one entry.
        """
        assert len(page) == PAGE_BYTES, "SQLite writes whole pages"
        if number not in self._written and len(self._written) >= PAGES_MAX:
            msg = (
                f"more than {PAGES_MAX * PAGE_BYTES} bytes of the database change in"
                " one step: change less at once, and await storage.sync() in between"
            )
            raise InvalidArgumentError(msg)
        self._written[number] = page
        self.count = max(self.count, number + 1)

    def resize(self, count: int) -> None:
        """Cut off what is behind the first *count* pages, or add zeros."""
        self.count = count
        self._shown = min(self._shown, count)
        for number in [each for each in self._written if each >= count]:
            del self._written[number]

    def changes(self) -> list[Change]:
        """Return what makes what lies below show the same as this file."""
        if not self.is_changed:
            return []
        rows = dict(self._written)
        if self.count and self._is_resized:
            last = self.count - 1
            rows.setdefault(last, self.read(last))
        gone = (
            number
            for number in range(self._shown, self._count_below)
            if number not in rows
        )
        return [
            *(Change(ChangeKind.DELETE, self._key(number)) for number in gone),
            *(
                Change(ChangeKind.PUT, self._key(number), rows[number])
                for number in sorted(rows)
            ),
        ]

    def taken(self) -> None:
        """From now on what lies below shows what `changes` has said."""
        self._written.clear()
        self._count_below = self._shown = self.count

    def _key(self, number: int) -> bytes:
        return self._prefix + _NUMBER.pack(number)
