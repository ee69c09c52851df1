"""
What SQLite takes for a file system: the page files of objects, and nothing else.

A database has no other files: its journal is in memory, and so is what is sorted.  So
whatever else SQLite asks for is not there.  It never locks anything, since only one
connection has a file.

Reference: Hipp, SQLite.  "The OS Interface".
"""

from functools import cache
from itertools import count
from typing import Final, cast

import apsw

from kvnode.errors import InvalidArgumentError
from kvnode.objects.storing.sql.page_file import PAGE_BYTES, PageFile

_NAME: Final = "kvnode-pages"


class PageVfs(apsw.VFS):
    """Opens page files by names that are drawn for it."""

    def __init__(self) -> None:
        super().__init__(_NAME, base="")  # the time, and chance, are the system's
        self._numbers = count()
        self._announced: dict[str, PageFile] = {}

    def connect(self, pages: PageFile, *, statements_kept: int) -> apsw.Connection:
        """Return a connection to the database in *pages*."""
        name = f"object-{next(self._numbers)}"
        self._announced[name] = pages
        try:
            return apsw.Connection(name, vfs=_NAME, statementcachesize=statements_kept)
        finally:
            self._announced.pop(name, None)

    def xOpen(  # noqa: N802 -- SQLite's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        """Return the file of a database that was announced."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        pages = self._announced.pop(path or "", None)
        if pages is None or not flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            msg = f"an object's database has no file {path!r}"
            raise apsw.CantOpenError(msg)
        flags[1] = flags[0]
        return cast("apsw.VFSFile", _File(pages))  # made of no other file system's

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802 -- SQLite's name
        """Say that no journal is left from before."""
        del pathname, flags
        return False

    def xFullPathname(self, name: str) -> str:  # noqa: N802 -- SQLite's name
        """Return the name: there are no directories."""
        return name

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802 -- SQLite's name
        """Do nothing: there is nothing."""


class _File:
    """A page file, as SQLite's pager sees it."""

    def __init__(self, pages: PageFile) -> None:
        self._pages = pages

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 -- SQLite's name
        """Return a page, or a part of it: the head of the file."""
        number, skipped = divmod(offset, PAGE_BYTES)
        assert skipped + amount <= PAGE_BYTES, "nothing crosses the pages' borders"
        page = self._pages.read(number)
        whole = amount == PAGE_BYTES
        return page if whole else page[skipped : skipped + amount]

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 -- SQLite's name
        """Write a page."""
        number, skipped = divmod(offset, PAGE_BYTES)
        assert not skipped, "SQLite writes whole pages"
        try:
            self._pages.write(number, bytes(data))
        except InvalidArgumentError as error:
            raise apsw.FullError(str(error)) from error

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 -- SQLite's name
        """Make the file so long."""
        self._pages.resize(newsize // PAGE_BYTES)

    def xFileSize(self) -> int:  # noqa: N802 -- SQLite's name
        """Return how long it is."""
        return self._pages.count * PAGE_BYTES

    def xSync(self, flags: int) -> None:  # noqa: N802 -- SQLite's name
        """Do nothing: the log is what makes it durable."""

    def xLock(self, level: int) -> None:  # noqa: N802 -- SQLite's name
        """Do nothing: nobody else has it."""

    def xUnlock(self, level: int) -> None:  # noqa: N802 -- SQLite's name
        """Do nothing: nobody else has it."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802 -- SQLite's name
        """Say that nobody else writes."""
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802 -- SQLite's name
        """Say that nothing is known of it."""
        del op, ptr
        return False

    def xSectorSize(self) -> int:  # noqa: N802 -- SQLite's name
        """Return what is written as one."""
        return PAGE_BYTES

    def xDeviceCharacteristics(self) -> int:  # noqa: N802 -- SQLite's name
        """Promise nothing."""
        return 0

    def xClose(self) -> None:  # noqa: N802 -- SQLite's name
        """Do nothing: what is not taken is lost."""


@cache
def page_vfs() -> PageVfs:
    """Return the only one of the process: SQLite knows it by its name."""
    return PageVfs()
