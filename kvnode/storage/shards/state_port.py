"""
What a node asks of the applied states of its shards.

A shard's log says what is to be done; its applied state is what that has done: an
ordered map from bytes to bytes, and the position of the entry applied last.  The two
are written apart.  A crash may take back the newest entries from the state, never from
the log, which then applies them once more.  So the state of an entry must be durable
(`checkpoint`) before the entry leaves the log, and not sooner.

A node that lacks what has left the log is sent a picture of the state by `pages`, and
puts it in place of its own by `install`.

Errors, of everything that is awaited and of opening a state:

    UnavailableError     nothing has happened, and it may pass; a full disk
                         (StoreFullError) is one such
    OSError              the disk failed and nobody knows what has happened: the state
                         takes no more until it has been closed and opened again
    CorruptRecordError   an entry, of which nothing has happened, or the file is damaged

References:
    Ongaro & Ousterhout, 2014.  In search of an understandable consensus algorithm,
        section 7.
"""

import re
from collections.abc import Sequence
from typing import Final, Protocol

from kvnode.core.objects.quorum_log import LogEntry, Position
from kvnode.core.objects.state_reader import Row, StateReader
from kvnode.errors import InvalidArgumentError

SHARD_NAME_BYTES_MAX: Final = 200
"""A name of a file may have 255, and ours put something behind it."""

_SHARD_NAME: Final = re.compile(r"[a-z0-9.-]+")


class StatePages(Protocol):
    """
    A picture of a state as it was, by key, while the state goes on.

    To keep it costs a changed key one more write, and what is changed is kept until
    the picture is closed and a checkpoint has been made.
    """

    @property
    def base(self) -> Position:
        """Return the last entry whose changes are in it."""

    async def page(self) -> tuple[Row, ...]:
        """
        Return the next rows, ascending; none once that was all.

        They are as large as asked for at most, and one row if it alone is larger.

        Raises:
            UnavailableError: Another state has been installed: begin anew.
        """

    def close(self) -> None:
        """Let it go; what it needed is given back by the next checkpoint."""


class StateInstall(Protocol):
    """
    A state that comes from elsewhere, until it takes the place of the one here.

    After a crash the state is the one that was here, unless `finish` had come far
    enough; what was added before is gone.
    """

    async def add(self, rows: Sequence[Row]) -> None:
        """Take in rows; cheapest in the order of their keys, and twice is no harm."""

    async def finish(self, base: Position) -> None:
        """
        Put what was added in place of the state, durably; then return.

        Reads show it from a moment before that on.  Must not overlap with `apply`.

        Args:
            base: The last entry whose changes were in what was added.

        Raises:
            StoreFullError: The state is the one that was here, and so is what was
                added: try again, or abandon it.
        """

    async def abandon(self) -> None:
        """Forget what was added; does nothing after `finish` or another `abandon`."""


class ShardState(StateReader, Protocol):
    """The applied state of one shard."""

    @property
    def applied(self) -> Position:
        """Return the last entry whose changes are in it, ORIGIN if there is none."""

    async def apply(self, entries: Sequence[LogEntry]) -> None:
        """
        Do what *entries* say, in one transaction; then return.

        Reads show all of it from a moment before that on, or nothing ever.

        Must not overlap with itself.

        Args:
            entries: Those behind `applied`, in order.
        """

    async def checkpoint(self) -> Position:
        """Return what is applied up to now, once it survives a loss of power."""

    def pages(self, *, page_bytes: int) -> StatePages:
        """
        Return a picture of what is applied now.

        Args:
            page_bytes: How large a page may be, > 0; see `row_bytes`.

        Raises:
            OverloadedError: So many are open already.
        """

    async def install(self) -> StateInstall:
        """Begin to take in another state; what was begun before is abandoned."""

    def close(self) -> None:
        """Release the files, after what is being written; blocks for that long."""


class ShardStates(Protocol):
    """The applied states of one node, by the names of their shards."""

    def open(self, shard: str) -> ShardState:
        """
        Return the state of *shard*, which is made if there is none; blocks.

        The same one is returned until it has been closed.

        Raises:
            InvalidArgumentError: This is no name of a shard.
            RejectedError: A later version wrote it.
        """

    def shards(self) -> tuple[str, ...]:
        """Return the names of all that have a state, ascending."""

    def drop(self, shard: str) -> None:
        """Close the state of *shard* and delete it, if there is one; blocks."""

    def close(self) -> None:
        """Close all; blocks."""


def row_bytes(row: Row) -> int:
    """Return about what a row adds to a message."""
    return len(row[0]) + len(row[1]) + 16


def check_shard_name(shard: str) -> None:
    """
    Pass if *shard* can be the name of one, and so of a file.

    Raises:
        InvalidArgumentError: It cannot.
    """
    if len(shard) > SHARD_NAME_BYTES_MAX or not _SHARD_NAME.fullmatch(shard):
        msg = (
            f"{shard[:SHARD_NAME_BYTES_MAX]!r} is no name of a shard: it has 1 to"
            f" {SHARD_NAME_BYTES_MAX} of a-z, 0-9, '.' and '-'"
        )
        raise InvalidArgumentError(msg)
