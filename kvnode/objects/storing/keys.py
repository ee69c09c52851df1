"""
Where things are in a shard's map (kvnode.core.objects.map_change).

    01 body 01           what the object is called: its class, its name
    01 body 02           its alarm
    01 body 03 key       the result of a call with that idempotency key
    01 body 04 until key the same, by how long it is kept
    01 body 05           how much all of them take
    01 body 06           to where it is restored when it starts next
    01 body 07           where it was restored so
    01 body 08           the region where it lives, if not here; then nothing else
    01 body 10 key       what it has stored under a key of its own
    01 body 20 number    a page of its SQL database, u32 from 0
    02 due body          the same alarm, by when it is due
    03                   what keys held before (kvnode.core.objects.history)

So everything of one object is one range, and the alarms of a shard another.
"""

from enum import IntEnum
from struct import Struct
from typing import Final

from kvnode.core.objects.state_reader import prefix_end
from kvnode.objects.object_id import BODY_BYTES
from kvnode.types import Millis

ALARMS: Final = b"\x02"

_DUE = Struct(">Q")


class Kind(IntEnum):
    """What of an object."""

    ORIGIN = 0x01
    ALARM = 0x02
    RESULT = 0x03
    RESULT_DUE = 0x04
    RESULT_SUM = 0x05
    RESTORE_DUE = 0x06
    RESTORES = 0x07
    CLAIM = 0x08
    STORED = 0x10
    SQL_PAGE = 0x20


def object_prefix(body: bytes, kind: Kind) -> bytes:
    """Return what the keys of *kind* of an object begin with."""
    assert len(body) == BODY_BYTES, "a body has its length"
    return all_of(body) + bytes((kind,))


def all_of(body: bytes) -> bytes:
    """Return what all keys of an object begin with, but its alarm by when it is due."""
    return b"\x01" + body


def due_key(due: Millis, body: bytes) -> bytes:
    """Return where an alarm stands among those of its shard."""
    return ALARMS + _DUE.pack(due) + body


def parse_due_key(key: bytes) -> tuple[Millis, bytes]:
    """Return when an alarm is due, and whose it is; the inverse of `due_key`."""
    return Millis(_DUE.unpack_from(key, 1)[0]), key[1 + _DUE.size :]


def end_of(prefix: bytes) -> bytes:
    """Return the first key behind all that begin with *prefix*; not all of it is ff."""
    end = prefix_end(prefix)
    assert end is not None, "there is a key behind"
    return end
