"""
What a log entry does: changes to an ordered map from bytes to bytes.

All that objects store is in one such map a shard: their keys, alarms, the pages of
their SQL databases.  What a key means is settled above; a replica applies changes
without knowing, in the order of the log, so all hold the same after the same entry.

    entry    each change in turn
    change   u8 kind, key, and for PUT the value
    bytes    varint length, then that many

An entry without changes is the one with which a leader begins.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

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


class Change(NamedTuple):
    """
    One change.

    Attributes:
        kind: What it does.
        key: Which key, or what all keys that go begin with; 1 to KEY_BYTES_MAX bytes.
        value: Of PUT alone.
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
        if kind is ChangeKind.PUT:
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
            if kind is ChangeKind.PUT:
                value, at = _take(data, at, range(ENTRY_BYTES_MAX + 1))
            changes.append(Change(kind, key, value))
    except (IndexError, ValueError) as error:
        msg = f"a log entry of {len(data)} bytes is damaged: {error}"
        raise CorruptRecordError(msg) from error
    return changes


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
