"""
The writer of a state, used on a thread of its own: only that waits for the disk.

Another state takes the place of this one as a whole file.  Beside a file may stand a
log that belongs to it, and one that belonged to another would be taken for its own:

    1  all of the log here goes into the file, and is synced with it; the log is empty
    2  the file is closed, its log deleted, and the directory synced
    3  the draft is synced, renamed to the file, and the directory synced

Until it is renamed the old state is there, whole without its log; then the new one.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final, assert_never

from kvnode.core.objects.history import MARK_KEY, Forget
from kvnode.core.objects.quorum_log import Position
from kvnode.core.objects.state_reader import Row
from kvnode.durable_file import publish, sync_directory
from kvnode.errors import OverloadedError, UnavailableError
from kvnode.storage.shards.sqlite.draft import Draft, delete_draft
from kvnode.storage.shards.sqlite.picture import (
    Picture,
    forget,
    keep,
    keep_restored,
    keep_undo,
    next_rows,
)
from kvnode.storage.shards.sqlite.reader import Reader
from kvnode.storage.shards.sqlite.run import Restoring, Run, Step, write
from kvnode.storage.shards.sqlite.state_file import (
    beside,
    open_reader,
    open_unchanging,
    open_writer,
    roll_back,
    set_applied,
    sync_file,
    translated,
    wal_of,
)
from kvnode.storage.shards.sqlite.undo_log import UndoLog

PICTURES_MAX: Final = 8
"""Four other replicas of a shard, and four that it may be moved to at the same time."""


class Writer:
    """
    What is done to one file.

    All methods but those of pictures are called on one thread, one after the other.

    Attributes:
        applied: The last entry whose changes are in the file.
        reader: How it is read.
    """

    def __init__(self, path: Path, *, bytes_max: int) -> None:
        """
        Open the file, which is made if need be; see `SqliteShardState`.

        Raises:
            sqlite3.Error: See `translated`.
        """
        self._path = path
        self._bytes_max = bytes_max
        delete_draft(path)
        self._connection, self.applied = open_writer(path, bytes_max=bytes_max)
        try:
            self.reader = Reader(path)
        except BaseException:
            self._connection.close()
            raise
        self._picturing = Lock()  # held while a picture begins or ends, and to commit
        self._pictures: list[Picture] = []
        self._closed_pictures: list[int] = []
        self._pictures_begun = 0
        self._draft: Draft | None = None
        self._failure: OSError | None = None

    # -- pictures, called on any thread ----------------------------------------

    def picture(self) -> Picture:
        """
        Begin a picture of what is applied now.

        Waits for a commit under way, which syncs nothing.

        Raises:
            OverloadedError: So many are open already.
        """
        with self._picturing:
            if len(self._pictures) >= PICTURES_MAX:
                msg = f"{PICTURES_MAX} pictures of {self._path} are open: close one"
                raise OverloadedError(msg)
            self._pictures_begun += 1
            picture = Picture(self._pictures_begun, self.applied)
            self._pictures.append(picture)
        return picture

    def close_picture(self, picture: Picture) -> None:
        """Let a picture go; the next checkpoint deletes what was kept for it."""
        with self._picturing:
            if picture in self._pictures:
                self._pictures.remove(picture)
                self._closed_pictures.append(picture.number)

    # -- the state -------------------------------------------------------------

    def apply(self, steps: Sequence[Step], after: Position) -> None:
        """Do *steps* in one transaction; *after* is applied then."""
        with self._failing():
            while not self._has_applied(steps, after):
                pass

    def checkpoint(self) -> Position:
        """Return what is applied, which is durable then."""
        with self._failing():
            closed = tuple(self._closed_pictures)
            forget(self._connection, closed)
            del self._closed_pictures[: len(closed)]
            query = "PRAGMA wal_checkpoint(PASSIVE)"
            busy, frames, copied = self._connection.execute(query).fetchone()
            if busy or copied < frames:
                # Somebody reads the file by a tool, and what he sees must stay in the
                # log; there it is as durable as in the file, once it is synced.
                sync_file(wal_of(self._path))
        return self.applied

    def page(self, picture: Picture, page_bytes: int) -> tuple[Row, ...]:
        """
        Return the next page of *picture*.

        Raises:
            UnavailableError: Another state has been installed, or it is closed.
        """
        with self._failing():
            if picture not in self._pictures:
                msg = f"another state was installed in {self._path}: begin anew"
                raise UnavailableError(msg)
            return next_rows(self._connection, picture, page_bytes)

    def close(self) -> None:
        """Release the files; SQLite makes a checkpoint."""
        if self._draft is not None:
            self.abandon(self._draft)
        self.reader.close()
        self._connection.close()

    # -- another state ---------------------------------------------------------

    def draft(self) -> Draft:
        """Begin a draft; one that was begun before is deleted."""
        if self._draft is not None:
            self.abandon(self._draft)
        self._draft = Draft(self._path, bytes_max=self._bytes_max)
        return self._draft

    def add(self, draft: Draft, rows: Sequence[Row]) -> None:
        """
        Put rows into a draft.

        Raises:
            UnavailableError: It was abandoned.
        """
        self._check(draft)
        draft.add(rows)

    def abandon(self, draft: Draft) -> None:
        """Delete a draft, if it still is one."""
        if draft is self._draft:
            self._draft = None
            draft.discard()

    def finish(self, draft: Draft, base: Position) -> None:
        """
        Put a draft in place of the state, durably; *base* is applied then.

        Raises:
            UnavailableError: It was abandoned, or there is no room for the draft or the
                file, or another program reads that: all is as it was.
        """
        with self._failing():
            self._check(draft)
            query = "PRAGMA wal_checkpoint(TRUNCATE)"
            busy, _, _ = self._connection.execute(query).fetchone()
            if busy:
                msg = f"{self._path} is read by another program: end that program"
                raise UnavailableError(msg)
            draft.complete(base)
            self._draft = None
            # The loop reads the draft while there is no file that is open.
            self.reader.read_by(open_unchanging(draft.path))
            self.applied = base
            self._connection.close()
            for each in beside(self._path):
                each.unlink(missing_ok=True)
            sync_directory(self._path.parent)
            publish(draft.path, self._path)
            self._connection, _ = open_writer(self._path, bytes_max=self._bytes_max)
            self.reader.read_by(open_reader(self._path))
        with self._picturing:
            self._pictures.clear()
            self._closed_pictures.clear()

    # -- within ----------------------------------------------------------------

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Undo what fails, and do no more once nobody knows what is on disk."""
        if self._failure is not None:
            msg = f"the state in {self._path} failed before: {self._failure}"
            raise OSError(self._failure.errno, msg)
        try:
            try:
                yield
            finally:
                roll_back(self._connection)
        except sqlite3.Error as error:
            failure = translated(error, self._path)
            if isinstance(failure, OSError):
                self._failure = failure
            raise failure from error
        except OSError as error:
            self._failure = error
            raise

    def _has_applied(self, steps: Sequence[Step], after: Position) -> bool:
        """Commit, unless a picture has begun for which nothing was kept."""
        self._connection.execute("BEGIN IMMEDIATE")
        with self._picturing:
            pictures = tuple(self._pictures)
        undo_log = UndoLog(self._connection)
        for step in steps:
            self._do(step, undo_log, pictures)
        if (mark := undo_log.end()) is not None:
            self._write(Run(values={MARK_KEY: mark.encode()}), pictures)
        set_applied(self._connection, after)
        with self._picturing:
            if not set(self._pictures) <= set(pictures):
                self._connection.execute("ROLLBACK")
                return False
            self._connection.execute("COMMIT")
            self.applied = after
        return True

    def _do(self, step: Step, undo_log: UndoLog, pictures: Sequence[Picture]) -> None:
        connection = self._connection
        match step:
            case Run():
                undo_log.note(step)
                self._write(step, pictures)
            case Restoring():
                undo_log.restore(step, lambda: keep_restored(connection, pictures))
            case Forget():
                undo_log.forget(
                    step,
                    lambda start, end: keep_undo(connection, pictures, start, end),
                )
            case _:
                assert_never(step)

    def _write(self, run: Run, pictures: Sequence[Picture]) -> None:
        for picture in pictures:
            keep(self._connection, picture, run)
        write(self._connection, run)

    def _check(self, draft: Draft) -> None:
        if draft is not self._draft:
            msg = f"what was to be installed in {self._path} was abandoned: begin anew"
            raise UnavailableError(msg)
