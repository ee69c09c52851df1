"""
What a log entry does: changes to an ordered map from bytes to bytes.

All that objects store is in one such map a shard: their keys, alarms, the pages of
their SQL databases.  What a key means is settled above; a replica applies changes
without knowing, in the order of the log, so all hold the same after the same entry.

    entry    each change in turn
    change   u8 kind, key, and a value where the kind has one
    bytes    varint length, then that many

An entry without changes is the one with which a leader begins.

Three kinds are about what keys held before (kvnode.core.objects.history).  A STAMP is
the first change of its entry, a FORGET the only one.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from kvnode.core.crdt.varint import decode_varint, encode_varint
from kvnode.errors import CorruptRecordError

KEY_BYTES_MAX = 4096
"""A key of an object (2 KiB), and what says whose it is."""

ENTRY_BYTES_MAX = 16 * 1024 * 1024
"""128 values of 128 KiB in one step of an object; a transaction may take no more."""


class ChangeKind(IntEnum):
    """What a change does."""

    PUT = 1
    DELETE = 2
    DELETE_PREFIX = 3
    STAMP = 4
    RESTORE = 5
    FORGET = 6


STAMP_KEY_BYTES: Final = 8
FORGET_KEY_BYTES: Final = 16
RESTORE_VALUE_BYTES_MIN: Final = 8

_WITH_VALUE: Final = frozenset({ChangeKind.PUT, ChangeKind.RESTORE})
_OF_HISTORY: Final = frozenset(
    {ChangeKind.STAMP, ChangeKind.RESTORE, ChangeKind.FORGET}
)


class Change(NamedTuple):
    """
    One change.

    Attributes:
        kind: What it does.
        key: Which key, or what all keys that go, or are restored, begin with; 1 to
            KEY_BYTES_MAX bytes.  Of STAMP and FORGET: see kvnode.core.objects.history.
        value: Of PUT, and of RESTORE.
    """

    kind: ChangeKind
    key: bytes
    value: bytes = b""


def encode_changes(changes: Iterable[Change]) -> bytes:
    """Return *changes* as an entry's data; the inverse of `decode_changes`."""
    parts: list[bytes] = []
    for kind, key, value in changes:
        assert 0 < len(key) <= KEY_BYTES_MAX, "keys are checked where they come from"
        parts += (bytes((kind,)), encode_varint(len(key)), key)
        if kind in _WITH_VALUE:
            parts += (encode_varint(len(value)), value)
    return b"".join(parts)


def decode_changes(data: bytes) -> list[Change]:
    """
    Return the changes of an entry.

    Raises:
        CorruptRecordError: These are no such bytes.
    """
    changes: list[Change] = []
    at = 0
    try:
        while at < len(data):
            kind = ChangeKind(data[at])
            key, at = _take(data, at + 1, range(1, KEY_BYTES_MAX + 1))
            value = b""
            if kind in _WITH_VALUE:
                value, at = _take(data, at, range(ENTRY_BYTES_MAX + 1))
            change = Change(kind, key, value)
            if kind in _OF_HISTORY:
                _check(change, has_before=bool(changes), has_behind=at < len(data))
            changes.append(change)
    except (IndexError, ValueError) as error:
        msg = f"a log entry of {len(data)} bytes is damaged: {error}"
        raise CorruptRecordError(msg) from error
    return changes


def _check(change: Change, *, has_before: bool, has_behind: bool) -> None:
    """Refuse what states might understand differently."""
    match change.kind:
        case ChangeKind.STAMP:
            is_right = len(change.key) == STAMP_KEY_BYTES and not has_before
        case ChangeKind.FORGET:
            is_alone = not has_before and not has_behind
            is_right = len(change.key) == FORGET_KEY_BYTES and is_alone
        case _:
            is_right = len(change.value) >= RESTORE_VALUE_BYTES_MIN
    if not is_right:
        msg = f"a {change.kind.name} in a wrong place, or of a wrong size"
        raise ValueError(msg)


def _take(data: bytes, at: int, sizes: range) -> tuple[bytes, int]:
    size, at = decode_varint(data, at)
    if size not in sizes:
        msg = f"a key or value of {size} bytes"
        raise ValueError(msg)
    end = at + size
    if end > len(data):
        msg = f"it ends {end - len(data)} bytes too soon"
        raise ValueError(msg)
    return data[at:end], end
