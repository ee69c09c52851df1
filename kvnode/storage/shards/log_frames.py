"""
The turns of shards as bytes in a segment of their log.

    frame     magic "KVL1", length u32, checksum u32, payload
    payload   CBOR: an array of records, of one turn of the node
    record    [kind, shard, promised, base, last, first, entries]
    base      [epoch, number]; last likewise
    entries   [[epoch, data], ...], numbered from first on

All that becomes durable together is one frame, and no frame is begun before the one
before it is on the disk.  So a frame that is damaged and has a whole one somewhere
behind it was damaged later.  One that has none was under way when the power failed, and
nobody was told that it is durable.

The checksum is of the segment's number and the frame's place, too: what was written at
the same place before, or is part of what somebody has stored, is no frame.
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

import cbor2

from kvnode.core.objects.quorum_log import LogEntry, Position
from kvnode.errors import CorruptRecordError

MAGIC: Final = b"KVL1"

_HEADER: Final = Struct(">4sII")
_PLACE: Final = Struct(">QQ")

HEADER_BYTES: Final = _HEADER.size


class RecordKind(IntEnum):
    """What a record says of a shard."""

    HEAD = 1
    """How it is when the segment begins, without its entries."""

    TURN = 2
    """Entries from `first` on are these, if there are any; others go as `base` says."""

    ANEW = 3
    """As TURN, and nothing that was there before is left."""

    AGAIN = 4
    """Entries that are in an older segment, which is to go; nothing else changes."""


class LogRecord(NamedTuple):
    """
    What a frame says of one shard.

    Attributes:
        kind: How to read it.
        shard: Whose it is.
        promised: Nothing of earlier epochs is taken in any more.
        base: The log begins behind it.
        last: The newest entry, when all this is so.
        first: The number of the first of `entries`; 0 if there are none.
        entries: What is in the log from there on.
    """

    kind: RecordKind
    shard: str
    promised: int
    base: Position
    last: Position
    first: int
    entries: tuple[LogEntry, ...]


class Frames(NamedTuple):
    """
    What a segment holds.

    Attributes:
        turns: The records of each whole frame.
        end: Behind the last of them.
        is_torn: Something that is no frame follows.
    """

    turns: list[list[LogRecord]]
    end: int
    is_torn: bool


def encode_frame(records: Sequence[LogRecord], segment: int, place: int) -> bytes:
    """Return a frame of *records* for a place in a segment."""
    payload = cbor2.dumps(records)
    checksum = _checksum(payload, segment, place)
    return _HEADER.pack(MAGIC, len(payload), checksum) + payload


def read_frames(data: bytes, segment: int, subject: str) -> Frames:
    """
    Return what the bytes of a segment say.

    Raises:
        CorruptRecordError: A frame is damaged, and whole ones follow it; or a whole one
            makes no sense.
    """
    turns: list[list[LogRecord]] = []
    place = 0
    while (payload := _payload(data, segment, place)) is not None:
        turns.append(list(_records(payload, subject)))
        place += HEADER_BYTES + len(payload)
    for later in _magics(data, place + 1):
        if _payload(data, segment, later) is not None:
            msg = f"{subject}: what stands at byte {place} fails its checksum"
            raise CorruptRecordError(msg)
    return Frames(turns, place, is_torn=data.count(0, place) != len(data) - place)


def _magics(data: bytes, start: int) -> Iterator[int]:
    while (start := data.find(MAGIC, start)) >= 0:
        yield start
        start += 1


def _payload(data: bytes, segment: int, place: int) -> bytes | None:
    """Return the payload of the frame at *place*; None if there is no whole one."""
    if len(data) - place < HEADER_BYTES:
        return None
    magic, length, checksum = _HEADER.unpack_from(data, place)
    start = place + HEADER_BYTES
    if magic != MAGIC or length > len(data) - start:
        return None
    payload = data[start : start + length]
    return payload if _checksum(payload, segment, place) == checksum else None


def _checksum(payload: bytes, segment: int, place: int) -> int:
    return crc32(payload, crc32(_PLACE.pack(segment, place)))


def _records(payload: bytes, subject: str) -> Iterator[LogRecord]:
    try:
        for kind, shard, promised, base, last, first, entries in cbor2.loads(payload):
            yield LogRecord(
                RecordKind(kind),
                str(shard),
                int(promised),
                Position(*base),
                Position(*last),
                int(first),
                tuple(LogEntry(epoch, data) for epoch, data in entries),
            )
    except (cbor2.CBORDecodeError, TypeError, ValueError) as error:
        msg = f"{subject}: a frame that is whole makes no sense: {error}"
        raise CorruptRecordError(msg) from error
