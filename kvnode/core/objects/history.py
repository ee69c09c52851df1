"""
What keys of a shard's map held before: rows of the same map, an undo log.

Each entry that begins with a STAMP puts down, of every key that it changes, what that
held before the entry.  So the map as it was behind any earlier entry *b* can be had:
each key holds what the first later entry that changed it has put down, and the others
hold what they hold now.

    03 00               the mark: how far back that is possible
    03 01 number key    u64 number of the entry -> u64 time, u8 whether there was a
                        value, and that

    STAMP      key = u64 time at which the leader proposed the entry, ms since 1970
    RESTORE    keys that begin with `key` and end with a suffix become what they were
               behind an entry; value = u64 its number, suffix.  Those that are so
               already do not change.
    FORGET     key = u64 number, u64 bytes: what was put down by entries up to that
               number goes, and then the oldest until so many bytes are left

All of it follows from the map and the entry, so it is the same at all replicas, and a
snapshot carries it.  An entry that changes keys without a stamp leaves a gap, behind
which nothing can be restored; a RESTORE behind the mark's floor does nothing.

References:
    Mohan et al., 1992.  ARIES: a transaction recovery method.  Undo by entries that are
        logged like others, and so can be undone.
"""

from struct import Struct, error
from typing import Final, NamedTuple

from kvnode.core.objects.map_change import Change, ChangeKind
from kvnode.core.objects.state_reader import StateReader
from kvnode.errors import CorruptRecordError
from kvnode.types import Millis

MARK_KEY: Final = b"\x03\x00"
UNDO: Final = b"\x03\x01"
UNDO_END: Final = b"\x03\x02"
HEAD_BYTES: Final = len(UNDO) + 8
"""Of the key of an undo row, before the key that it is about."""

ABSENT: Final = b"\x00"
PRESENT: Final = b"\x01"

UNKNOWN_TIME: Final = Millis((1 << 63) - 1)
"""Later than any."""

_U64: Final = Struct(">Q")
_FORGET: Final = Struct(">QQ")
_MARK: Final = Struct(">QQQQ")


class HistoryMark(NamedTuple):
    """
    How far back a map can be restored.

    Attributes:
        floor: To behind this entry, and any later one.
        floor_time: When that was committed, or a little later; UNKNOWN_TIME = there
            was no stamp since.
        last_time: Of the newest stamp.
        size_bytes: What all undo rows take, with their keys.
    """

    floor: int
    floor_time: Millis
    last_time: Millis
    size_bytes: int

    def encode(self) -> bytes:
        """Return the row; the inverse of `decode_mark`."""
        return _MARK.pack(*self)


class Before(NamedTuple):
    """
    What a key held before an entry.

    Attributes:
        time: When the entry was proposed.
        value: None = nothing.
    """

    time: Millis
    value: bytes | None

    def encode(self) -> bytes:
        """Return the row; the inverse of `decode_before`."""
        if self.value is None:
            return _U64.pack(self.time) + ABSENT
        return _U64.pack(self.time) + PRESENT + self.value


class Restore(NamedTuple):
    """
    What a RESTORE is about.

    Attributes:
        prefix: What its keys begin with.
        suffix: What they end with; may be empty.
        number: Behind which entry.
    """

    prefix: bytes
    suffix: bytes
    number: int

    def selects(self, key: bytes) -> bool:
        """Tell whether it is about *key*."""
        return key.startswith(self.prefix) and key.endswith(self.suffix)

    def change(self) -> Change:
        """Return the change; the inverse of `restore_of`."""
        value = _U64.pack(self.number) + self.suffix
        return Change(ChangeKind.RESTORE, self.prefix, value)


class Forget(NamedTuple):
    """
    What a FORGET lets go.

    Attributes:
        number: What entries up to here have put down.
        size_bytes_max: And the oldest, until no more than this is left.
    """

    number: int
    size_bytes_max: int

    def change(self) -> Change:
        """Return the change; the inverse of `forget_of`."""
        return Change(ChangeKind.FORGET, _FORGET.pack(*self))


def stamp(time: Millis) -> Change:
    """Return what an entry begins with that was proposed at *time*."""
    return Change(ChangeKind.STAMP, _U64.pack(time))


def stamp_time(change: Change) -> Millis:
    """Return the time of a STAMP."""
    return Millis(_U64.unpack(change.key)[0])


def restore_of(change: Change) -> Restore:
    """Return what a RESTORE says."""
    number: int = _U64.unpack_from(change.value)[0]
    return Restore(change.key, change.value[_U64.size :], number)


def forget_of(change: Change) -> Forget:
    """Return what a FORGET says."""
    return Forget(*_FORGET.unpack(change.key))


def mark_of(rows: StateReader) -> HistoryMark | None:
    """
    Return the mark of a map; None = it has no history.

    Raises:
        CorruptRecordError: It is damaged.
    """
    row = rows.get(MARK_KEY)
    return None if row is None else decode_mark(row)


def decode_mark(row: bytes) -> HistoryMark:
    """
    Return the mark of a row.

    Raises:
        CorruptRecordError: These are no such bytes.
    """
    floor, floor_time, last_time, size_bytes = _unpacked(_MARK, row)
    return HistoryMark(floor, Millis(floor_time), Millis(last_time), size_bytes)


def stamped(mark: HistoryMark | None, number: int, time: Millis) -> HistoryMark:
    """Return the mark once entry *number* has begun with a stamp."""
    if mark is None:
        mark = HistoryMark(number - 1, time, time, 0)
    floor_time = time if mark.floor_time == UNKNOWN_TIME else mark.floor_time
    return mark._replace(last_time=time, floor_time=floor_time)


def left_gap(mark: HistoryMark, number: int) -> HistoryMark:
    """Return the mark once entry *number* has changed keys without a stamp."""
    if number <= mark.floor:
        return mark
    return mark._replace(floor=number, floor_time=UNKNOWN_TIME)


def undo_key(number: int, key: bytes = b"") -> bytes:
    """Return where an entry puts down what *key* held; without one, where it begins."""
    return UNDO + _U64.pack(number) + key


def parse_undo_key(row_key: bytes) -> tuple[int, bytes]:
    """Return which entry and which key a row is about; the inverse of `undo_key`."""
    number: int = _U64.unpack_from(row_key, len(UNDO))[0]
    return number, row_key[HEAD_BYTES:]


def decode_before(row: bytes) -> Before:
    """
    Return what a row has put down.

    Raises:
        CorruptRecordError: These are no such bytes.
    """
    time = Millis(_unpacked(_U64, row[: _U64.size])[0])
    flag, value = row[_U64.size : _U64.size + 1], row[_U64.size + 1 :]
    if flag == PRESENT:
        return Before(time, value)
    if flag == ABSENT and not value:
        return Before(time, None)
    msg = f"what a key held before is damaged: it begins with {row[:9].hex()}"
    raise CorruptRecordError(msg)


def _unpacked(form: Struct, data: bytes) -> tuple[int, ...]:
    try:
        return form.unpack(data)
    except error as reason:
        msg = f"{len(data)} bytes of a shard's history are damaged: {reason}"
        raise CorruptRecordError(msg) from reason
