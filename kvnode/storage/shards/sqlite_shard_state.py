"""
The applied state of a shard in an SQLite file (kvnode.storage.shards.sqlite).

A thread writes, and only it waits for the disk; the event loop reads by a connection
of its own, which sees a commit from when it is made.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from kvnode.completion import completed
from kvnode.core.objects.quorum_log import LogEntry, Position
from kvnode.core.objects.state_reader import Row
from kvnode.storage.shards.sqlite.draft import Draft
from kvnode.storage.shards.sqlite.picture import Picture
from kvnode.storage.shards.sqlite.run import Step, fold
from kvnode.storage.shards.sqlite.state_file import STATE_BYTES_MAX, translated
from kvnode.storage.shards.sqlite.writer import Writer

Result = TypeVar("Result")


class SqliteShardState:
    """See kvnode.storage.shards.state_port.ShardState."""

    def __init__(self, path: Path, *, bytes_max: int = STATE_BYTES_MAX) -> None:
        """
        Open the state in the file *path*, which is made if need be; blocks.

        No other process may have it open, and this one once.

        Raises:
            RejectedError: A later version wrote it.
            CorruptRecordError: It is damaged, or something else.
            UnavailableError: It is locked, or there is no room to make it.
            OSError: It cannot be opened.
        """
        try:
            self._writer = Writer(path, bytes_max=bytes_max)
        except sqlite3.Error as error:
            raise translated(error, path) from error
        self._reader = self._writer.reader
        self._thread = ThreadPoolExecutor(1, "kvnode-state")
        self._is_applying = False
        self._is_closed = False

    @property
    def applied(self) -> Position:
        """Return the last entry whose changes are in it."""
        return self._writer.applied

    @property
    def is_closed(self) -> bool:
        """Tell whether `close` has been called."""
        return self._is_closed

    def get(self, key: bytes) -> bytes | None:
        """Return the value of *key*; see the port."""
        return self._reader.get(key)

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False, limit: int
    ) -> list[Row]:
        """Return rows by key; see the port."""
        return self._reader.scan(start, end, reverse=reverse, limit=limit)

    async def apply(self, entries: Sequence[LogEntry]) -> None:
        """Do what *entries* say, in one transaction; see the port."""
        assert not self._is_applying, "applying must not overlap"
        if not entries:
            return
        assert entries[0].epoch >= self.applied.epoch, "they are behind `applied`"
        steps = fold(entries, self.applied.number + 1)
        after = Position(entries[-1].epoch, self.applied.number + len(entries))
        self._is_applying = True
        await self._done(lambda: self._apply(steps, after))

    async def checkpoint(self) -> Position:
        """Make what is applied durable; see the port."""
        return await self._done(self._writer.checkpoint)

    def pages(self, *, page_bytes: int) -> "SqlitePages":
        """Return a picture of what is applied now; see the port."""
        assert page_bytes > 0, "a page has room"
        return SqlitePages(self, self._writer.picture(), page_bytes)

    async def install(self) -> "SqliteInstall":
        """Begin to take in another state; see the port."""
        return SqliteInstall(self, await self._done(self._writer.draft))

    def close(self) -> None:
        """Release the files, after what is being written; see the port."""
        self._thread.shutdown(wait=True)
        if not self._is_closed:
            self._is_closed = True
            self._writer.close()

    def _apply(self, steps: Sequence[Step], after: Position) -> None:
        try:
            self._writer.apply(steps, after)
        finally:
            self._is_applying = False

    async def _done(self, work: Callable[[], Result]) -> Result:
        """Return what *work* does on the writer's thread, behind all it has to do."""
        return await completed(asyncio.wrap_future(self._thread.submit(work)))


class SqlitePages:
    """See kvnode.storage.shards.state_port.StatePages."""

    def __init__(
        self, state: SqliteShardState, picture: Picture, page_bytes: int
    ) -> None:
        """Hand out a picture of *state*; callers use `SqliteShardState.pages`."""
        self._state = state
        self._picture = picture
        self._page_bytes = page_bytes

    @property
    def base(self) -> Position:
        """Return the last entry whose changes are in it."""
        return self._picture.base

    async def page(self) -> tuple[Row, ...]:
        """Return the next rows; see the port."""
        state, picture, page_bytes = self._state, self._picture, self._page_bytes
        return await state._done(lambda: state._writer.page(picture, page_bytes))

    def close(self) -> None:
        """Let it go."""
        self._state._writer.close_picture(self._picture)


class SqliteInstall:
    """See kvnode.storage.shards.state_port.StateInstall."""

    def __init__(self, state: SqliteShardState, draft: Draft) -> None:
        """Fill a draft for *state*; callers use `SqliteShardState.install`."""
        self._state = state
        self._draft = draft

    async def add(self, rows: Sequence[Row]) -> None:
        """Take in rows; see the port."""
        state, draft = self._state, self._draft
        await state._done(lambda: state._writer.add(draft, rows))

    async def finish(self, base: Position) -> None:
        """Put what was added in place of the state; see the port."""
        state, draft = self._state, self._draft
        assert not state._is_applying, "another state comes between two turns"
        await state._done(lambda: state._writer.finish(draft, base))

    async def abandon(self) -> None:
        """Forget what was added."""
        state, draft = self._state, self._draft
        await state._done(lambda: state._writer.abandon(draft))
