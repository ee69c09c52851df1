"""Entries to apply, and ways to look at what they did."""

from kvnode.core.objects.history import Forget, Restore, stamp
from kvnode.core.objects.map_change import Change, ChangeKind, encode_changes
from kvnode.core.objects.quorum_log import LogEntry
from kvnode.core.objects.state_reader import Row, StateReader
from kvnode.storage.shards.state_port import (
    ShardState,
    StatePages,
)
from kvnode.types import Millis

ROWS_MAX = 100_000
HISTORY = b"\x03"
"""What the keys of a history begin with."""


def put(key: bytes, value: bytes) -> Change:
    """Return what puts *value* under *key*."""
    return Change(ChangeKind.PUT, key, value)


def delete(key: bytes) -> Change:
    """Return what deletes *key*."""
    return Change(ChangeKind.DELETE, key)


def delete_prefix(prefix: bytes) -> Change:
    """Return what deletes all keys that begin with *prefix*."""
    return Change(ChangeKind.DELETE_PREFIX, prefix)


def entry(*changes: Change, epoch: int = 1) -> LogEntry:
    """Return an entry of these changes."""
    return LogEntry(epoch, encode_changes(changes))


def stamped(*changes: Change, time: int = 1) -> LogEntry:
    """Return an entry of these changes that puts down what keys held."""
    return entry(stamp(Millis(time)), *changes)


def restore(number: int, prefix: bytes, suffix: bytes = b"") -> Change:
    """Return what makes keys what they were behind an entry."""
    return Restore(prefix, suffix, number).change()


def forget(number: int, size_bytes_max: int = 1 << 40) -> LogEntry:
    """Return an entry that lets go what was put down."""
    return entry(Forget(number, size_bytes_max).change())


def own_rows(state: StateReader) -> list[Row]:
    """Return all that a state holds but its history."""
    return [row for row in all_rows(state) if not row[0].startswith(HISTORY)]


def numbered(count: int, *, first: int = 1, epoch: int = 1) -> list[LogEntry]:
    """Return entries that put one key each, as `numbered_rows` has them."""
    return [entry(put(*row), epoch=epoch) for row in numbered_rows(count, first=first)]


def numbered_rows(count: int, *, first: int = 1) -> list[Row]:
    """Return so many rows, by key."""
    return [(b"%06d" % n, b"value %d" % n) for n in range(first, first + count)]


def all_rows(state: StateReader) -> list[Row]:
    """Return all that a state holds."""
    return state.scan(b"", None, limit=ROWS_MAX)


async def rest_of(pages: StatePages) -> list[Row]:
    """Return all rows that are left of a picture, and close it."""
    rows: list[Row] = []
    while page := await pages.page():
        rows.extend(page)
    pages.close()
    return rows


async def send(sender: ShardState, receiver: ShardState, *, page_bytes: int) -> None:
    """Put a picture of one state in place of another."""
    pages = sender.pages(page_bytes=page_bytes)
    install = await receiver.install()
    while page := await pages.page():
        await install.add(page)
    pages.close()
    await install.finish(pages.base)
