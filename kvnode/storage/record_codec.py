"""
Records on disk: an entry in few bytes.

    crc32      u32   of everything after it
    form       u8    low four bits FORMAT, three bits SEQ - 1, high bit NUMBER - 1
    kind       u8    low three bits Kind, then flags for the optional parts
    hlc        u64
    others     N     how many             only with flag OTHERS
    dependencies  N  how many             only with flag DEPENDENCIES
    base       u64   its hlc              only with flag BASE
    dots       the own one, then the others, the dependencies, and the base's
               replica with seq 0
    deadline   u8 n, then n bytes         only with flag DEADLINE: ms after hlc
    metadata   N n, then n bytes          only with flag METADATA
    value      the rest

All numbers are big-endian.  A dot is its replica's number in the table of the
store, in NUMBER bytes, 1 or 2, and SEQ bytes of seq, 1 to 6.  Both widths are the
smallest that hold all dots of the record.  So one byte tells them all, where
LEB128 would ask after each byte whether it was the last.  A count N is a byte, or
255 and then a u16.

A client asks for a deadline when its write is stamped, so the distance from the
stamp is short.  It is taken modulo 2^64: where the deadline had passed by then,
it is as good, only longer.

Equal entries give equal bytes.  Format 1, which the wire has kept
(kvnode.core.versions.record), is read too: rows of an older store are written in
format 2 when their keys are written next.  See docs/decisions/0016.
"""

from struct import Struct
from struct import error as StructError  # noqa: N812 -- its name is lower case
from typing import NamedTuple
from zlib import crc32

from kvnode.core.clocks.hybrid_logical_clock import COUNTER_BITS
from kvnode.core.versions import record
from kvnode.core.versions.record import HLC_END, SEQ_BITS, SEQ_MAX, NumberedDots
from kvnode.core.versions.version import (
    NEVER,
    ORIGIN,
    Entry,
    Kind,
    Stamp,
    Version,
)
from kvnode.errors import CorruptRecordError
from kvnode.types import Dot, HlcTimestamp, Millis

FORMAT = 2

_FORMAT_MASK = 0b0000_1111
_SEQ_SHIFT = 4
_WIDE = 0b1000_0000

_KIND_MASK = 0b0000_0111
_OTHERS = 0b0000_1000
_DEPENDENCIES = 0b0001_0000
_DEADLINE = 0b0010_0000
_BASE = 0b0100_0000
_METADATA = 0b1000_0000
_LISTS = _OTHERS | _DEPENDENCIES | _BASE

_CRC = Struct(">I")
_HEAD = Struct(">BBQ")
_SEALED_HEAD = Struct(">IBBQ")
_LONG_COUNT = Struct(">BH")
_U64 = Struct(">Q")
_KINDS = {int(kind): kind for kind in Kind}

_COUNT_ESCAPE = 255
_NARROW_MAX = 255
_SEQ_RANGE = "seqs are counts below 2^48"
_MILLIS_MASK = (1 << 64) - 1

_SEQ_BYTES = tuple(max(1, (bits + 7) // 8) for bits in range(SEQ_BITS + 1))
"""How many bytes a seq takes, by the length of its bits."""


class _Widths(NamedTuple):
    """What the upper half of a form says of a dot."""

    dot_bytes: int
    seq_bits: int


_WIDTHS = tuple(
    _Widths(number + seq, 8 * seq) for number in (1, 2) for seq in range(1, 9)
)


def encode(entry: Entry, dots: NumberedDots) -> bytes:
    """Return *entry* as a record, numbering new replicas; the inverse of `decode`."""
    version, value, metadata = entry
    kind, hlc, dot, others, dependencies, deadline, base = version
    flags = int(kind)
    counts = b""
    if others or dependencies or base != ORIGIN:
        lists, counts, listed = _listed(version)
        flags |= lists
        form, row = _encode_dots(listed, dots)
    else:
        form, row = _encode_dot(dot, dots)
    rest = value
    if metadata:
        flags |= _METADATA
        raw = metadata.encode()
        rest = b"".join((_encode_count(len(raw)), raw, value))
    if deadline != NEVER:
        flags |= _DEADLINE
        distance = deadline - (hlc >> COUNTER_BITS) & _MILLIS_MASK
        size = distance.bit_length() + 7 >> 3
        rest = (size << 8 * size | distance).to_bytes(1 + size) + rest
    body = b"".join((_HEAD.pack(form, flags, hlc), counts, row, rest))
    return _CRC.pack(crc32(body)) + body


def decode(data: bytes, dots: NumberedDots) -> Entry:
    """
    Return the entry of a record of either format.

    Raises:
        CorruptRecordError: The checksum does not match, the format is unknown,
            or the parts do not fit.
    """
    try:
        crc, form, flags, hlc = _SEALED_HEAD.unpack_from(data)
        if form == record.FORMAT:
            return record.decode(data, dots)
        if crc32(memoryview(data)[_CRC.size :]) != crc:
            msg = f"record of {len(data)} bytes fails its checksum"
            raise CorruptRecordError(msg)
        if form & _FORMAT_MASK != FORMAT:
            msg = (
                f"record format {form & _FORMAT_MASK} is unknown; this version reads"
                f" {record.FORMAT} and {FORMAT}"
            )
            raise CorruptRecordError(msg)
        if hlc >= HLC_END:
            msg = f"record is stamped {hlc}, which no clock reaches"
            raise CorruptRecordError(msg)
        return _decode_body(data, form, flags, HlcTimestamp(hlc), dots)
    except (StructError, IndexError, KeyError, UnicodeDecodeError) as error:
        msg = f"record of {len(data)} bytes does not parse: {error}"
        raise CorruptRecordError(msg) from error


def _decode_body(
    data: bytes, form: int, flags: int, hlc: HlcTimestamp, dots: NumberedDots
) -> Entry:
    widths = size, seq_bits = _WIDTHS[form >> _SEQ_SHIFT]
    others: tuple[Dot, ...] = ()
    dependencies: tuple[Dot, ...] = ()
    deadline, base, metadata = NEVER, ORIGIN, ""
    at = _SEALED_HEAD.size
    if flags & _LISTS:
        dot, others, dependencies, base, at = _decode_lists(data, flags, widths, dots)
    else:
        packed = int.from_bytes(data[at : at + size])
        dot = Dot(dots.replica(packed >> seq_bits), packed & (1 << seq_bits) - 1)
        at += size
    if flags & _DEADLINE:
        end = at + 1 + data[at]
        distance = int.from_bytes(data[at + 1 : end])
        deadline = Millis(distance + (hlc >> COUNTER_BITS) & _MILLIS_MASK)
        at = end
    if flags & _METADATA:
        size, at = _decode_count(data, at)
        metadata = str(data[at : at + size], "utf-8")
        at += size
    if at > len(data):  # slices do not tell
        msg = "its parts end beyond it"
        raise IndexError(msg)
    kind = _KINDS[flags & _KIND_MASK]
    version = Version(kind, hlc, dot, others, dependencies, deadline, base)
    return Entry(version, data[at:], metadata)


def _decode_lists(
    data: bytes, flags: int, widths: _Widths, dots: NumberedDots
) -> tuple[Dot, tuple[Dot, ...], tuple[Dot, ...], Stamp, int]:
    at = _SEALED_HEAD.size
    other_count = dependency_count = base_hlc = 0
    if flags & _OTHERS:
        other_count, at = _decode_count(data, at)
    if flags & _DEPENDENCIES:
        dependency_count, at = _decode_count(data, at)
    others_end = 1 + other_count
    count = dependencies_end = others_end + dependency_count
    if flags & _BASE:
        (base_hlc,) = _U64.unpack_from(data, at)
        at += _U64.size
        count += 1
    listed, at = _decode_dots(data, at, count, widths, dots)
    base = ORIGIN
    if flags & _BASE:
        base = Stamp(HlcTimestamp(base_hlc), listed[-1].replica)
    return (
        listed[0],
        tuple(listed[1:others_end]),
        tuple(listed[others_end:dependencies_end]),
        base,
        at,
    )


def _listed(version: Version) -> tuple[int, bytes, tuple[Dot, ...]]:
    """Return the flags of the lists in *version*, their counts, and all its dots."""
    _, _, dot, others, dependencies, _, base = version
    flags, counts = 0, b""
    listed = (dot, *others, *dependencies)
    if others:
        flags |= _OTHERS
        counts = _encode_count(len(others))
    if dependencies:
        flags |= _DEPENDENCIES
        counts += _encode_count(len(dependencies))
    if base != ORIGIN:
        flags |= _BASE
        counts += _U64.pack(base.hlc)
        listed += (Dot(base.replica, 0),)
    return flags, counts, listed


def _encode_dot(dot: Dot, dots: NumberedDots) -> tuple[int, bytes]:
    """Return what `_encode_dots` does for one."""
    replica, seq = dot
    assert 0 <= seq <= SEQ_MAX, _SEQ_RANGE
    number = dots.number(replica)
    seq_bytes = _SEQ_BYTES[seq.bit_length()]
    form = FORMAT | seq_bytes - 1 << _SEQ_SHIFT
    packed = number << 8 * seq_bytes | seq
    if number > _NARROW_MAX:
        return form | _WIDE, packed.to_bytes(2 + seq_bytes)
    return form, packed.to_bytes(1 + seq_bytes)


def _encode_dots(listed: tuple[Dot, ...], dots: NumberedDots) -> tuple[int, bytes]:
    """Return the form with the smallest widths that hold *listed*, and its bytes."""
    number = dots.number
    widest = 0
    for _, seq in listed:
        widest |= seq
    assert 0 <= widest <= SEQ_MAX, _SEQ_RANGE
    seq_bytes = _SEQ_BYTES[widest.bit_length()]
    shift = 8 * seq_bytes
    form = FORMAT | seq_bytes - 1 << _SEQ_SHIFT
    row = b""
    try:
        for replica, seq in listed:
            row += (number(replica) << shift | seq).to_bytes(1 + seq_bytes)
    except OverflowError:  # the number is above 255
        packed = [number(replica) << shift | seq for replica, seq in listed]
        row = b"".join(each.to_bytes(2 + seq_bytes) for each in packed)
        return form | _WIDE, row
    return form, row


def _decode_dots(
    data: bytes, at: int, count: int, widths: _Widths, dots: NumberedDots
) -> tuple[list[Dot], int]:
    """Return *count* dots and where they end, which may be beyond *data*."""
    size, seq_bits = widths
    seqs = (1 << seq_bits) - 1
    replica_of = dots.replica
    end = at + count * size
    listed = []
    for start in range(at, end, size):
        packed = int.from_bytes(data[start : start + size])
        listed.append(Dot(replica_of(packed >> seq_bits), packed & seqs))
    return listed, end


def _encode_count(count: int) -> bytes:
    if count < _COUNT_ESCAPE:
        return count.to_bytes(1)
    return _LONG_COUNT.pack(_COUNT_ESCAPE, count)


def _decode_count(data: bytes, at: int) -> tuple[int, int]:
    """Return the count at *at*, and where it ends."""
    count = data[at]
    if count < _COUNT_ESCAPE:
        return count, at + 1
    _, count = _LONG_COUNT.unpack_from(data, at)
    return count, at + _LONG_COUNT.size
