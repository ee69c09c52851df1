"""
Records: entries as bytes, on the wire and in stores of kvnode 0.1.

    crc32      u32   of everything after it
    format     u8    FORMAT
    kind       u8    low three bits Kind, then flags for the optional parts
    hlc        u64
    dot        D
    others     u16 n, then n x D         only with flag OTHERS
    dependencies  u16 n, then n x D      only with flag DEPENDENCIES
    deadline   u64                       only with flag DEADLINE
    base       u64 hlc, R                only with flag BASE
    metadata   u16 n, then n bytes       only with flag METADATA
    value      the rest

All numbers are big-endian.  On the wire a replica R takes its 64 bits and a dot
D is R with a u64 seq.  On disk replicas are numbered by a table of the store,
so that R takes 16 bits and a dot 64: a u16 number and 48 bits of seq.  What is
written on disk today is shorter: kvnode.storage.record_codec.

A reader refuses a format that it does not know; it never guesses.
"""

from struct import Struct
from struct import error as StructError  # noqa: N812 -- its name is lower case
from typing import Protocol
from zlib import crc32

from kvnode.core.versions.version import (
    NEVER,
    ORIGIN,
    Entry,
    Kind,
    Stamp,
    Version,
)
from kvnode.errors import CorruptRecordError
from kvnode.types import Dot, HlcTimestamp, Millis, ReplicaId

FORMAT = 1

_KIND_MASK = 0b0000_0111
_OTHERS = 0b0000_1000
_DEPENDENCIES = 0b0001_0000
_DEADLINE = 0b0010_0000
_BASE = 0b0100_0000
_METADATA = 0b1000_0000

_CRC = Struct(">I")
_HEAD = Struct(">IBBQ")
_U16 = Struct(">H")
_U64 = Struct(">Q")
_KINDS = {int(kind): kind for kind in Kind}

SEQ_BITS = 48
"""A replica that takes a million writes a second lasts nine years."""

HLC_END = 1 << 63
"""
Timestamps are below: the year 6429.  A stamp is made above all that was seen,
so without this one forged record would leave no room for the next.
"""

SEQ_MAX = (1 << SEQ_BITS) - 1


class DotCodec(Protocol):
    """How dots and replicas are written: differs between disk and wire."""

    dot_bytes: int

    def encode_dot(self, dot: Dot) -> bytes:
        """Return *dot* as `dot_bytes` bytes; their order is dot order."""

    def decode_dot(self, data: bytes, offset: int) -> Dot:
        """Return the dot at *offset*."""


class WireDots:
    """Dots in full: 64 bits of replica, 64 of seq."""

    dot_bytes = 16
    _pair = Struct(">QQ")

    def encode_dot(self, dot: Dot) -> bytes:
        """Return 16 bytes."""
        return self._pair.pack(*dot)

    def decode_dot(self, data: bytes, offset: int) -> Dot:
        """Return the dot at *offset*; CorruptRecordError if no disk can hold it."""
        replica, seq = self._pair.unpack_from(data, offset)
        if seq > SEQ_MAX:
            msg = f"record names seq {seq}, which no replica reaches"
            raise CorruptRecordError(msg)
        return Dot(ReplicaId(replica), seq)


class NumberedDots:
    """
    Dots with replicas numbered by a table, from 1: 16 bits and 48 of seq.

    The owner of the table makes new numbers durable in the same transaction as
    the first record that uses them; `numbered` lists them by number.
    """

    dot_bytes = 8
    REPLICAS_MAX = 65_535

    def __init__(self, numbered: tuple[ReplicaId, ...] = ()) -> None:
        self.numbered = list(numbered)
        self._numbers = {replica: n for n, replica in enumerate(numbered, 1)}

    def number(self, replica: ReplicaId) -> int:
        """Return the replica's number, a new one if it has none; 0 is nobody."""
        if replica == 0:
            return 0
        number = self._numbers.get(replica)
        if number is None:
            assert len(self.numbered) < self.REPLICAS_MAX, "replica table is full"
            self.numbered.append(replica)
            number = self._numbers[replica] = len(self.numbered)
        return number

    def find(self, replica: ReplicaId) -> int | None:
        """Return the replica's number if it has one."""
        return self._numbers.get(replica)

    def replica(self, number: int) -> ReplicaId:
        """Return the replica of *number*; IndexError if there is none."""
        return self.numbered[number - 1] if number else ReplicaId(0)

    def encode_dot(self, dot: Dot) -> bytes:
        """Return 8 bytes."""
        return _U64.pack(self.number(dot.replica) << SEQ_BITS | dot.seq)

    def decode_dot(self, data: bytes, offset: int) -> Dot:
        """Return the dot at *offset*."""
        (packed,) = _U64.unpack_from(data, offset)
        return Dot(self.replica(packed >> SEQ_BITS), packed & SEQ_MAX)


WIRE = WireDots()


def encode(entry: Entry, dots: DotCodec) -> bytes:
    """Return *entry* as a record; the inverse of `decode`."""
    version, value, metadata = entry
    kind, hlc, dot, others, dependencies, deadline, base = version
    flags = int(kind)
    parts = [dots.encode_dot(dot)]
    if others:
        flags |= _OTHERS
        parts.append(_U16.pack(len(others)))
        parts.extend(map(dots.encode_dot, others))
    if dependencies:
        flags |= _DEPENDENCIES
        parts.append(_U16.pack(len(dependencies)))
        parts.extend(map(dots.encode_dot, dependencies))
    if deadline != NEVER:
        flags |= _DEADLINE
        parts.append(_U64.pack(deadline))
    if base != ORIGIN:
        flags |= _BASE
        # A base is written as a dot without a seq, to share its replica codec.
        parts.append(_U64.pack(base.hlc))
        parts.append(dots.encode_dot(Dot(base.replica, 0)))
    if metadata:
        flags |= _METADATA
        raw = metadata.encode()
        parts.append(_U16.pack(len(raw)))
        parts.append(raw)
    parts.append(value)
    body = b"".join(parts)
    head = _HEAD.pack(0, FORMAT, flags, hlc)[4:]
    return b"".join((_CRC.pack(crc32(body, crc32(head))), head, body))


def decode(data: bytes, dots: DotCodec) -> Entry:
    """
    Return the entry of a record.

    Raises:
        CorruptRecordError: The checksum does not match, the format is unknown,
            or the parts do not fit.
    """
    try:
        crc, form, flags, hlc = _HEAD.unpack_from(data)
        if crc32(memoryview(data)[4:]) != crc:
            msg = f"record of {len(data)} bytes fails its checksum"
            raise CorruptRecordError(msg)
        if form != FORMAT:
            msg = f"record format {form} is unknown; this version reads {FORMAT}"
            raise CorruptRecordError(msg)
        if hlc >= HLC_END:
            msg = f"record is stamped {hlc}, which no clock reaches"
            raise CorruptRecordError(msg)
        return _decode_body(data, flags, HlcTimestamp(hlc), dots)
    except (StructError, IndexError, KeyError, UnicodeDecodeError) as error:
        msg = f"record of {len(data)} bytes does not parse: {error}"
        raise CorruptRecordError(msg) from error


def _decode_body(data: bytes, flags: int, hlc: HlcTimestamp, dots: DotCodec) -> Entry:
    at = _HEAD.size
    dot = dots.decode_dot(data, at)
    at += dots.dot_bytes
    others: tuple[Dot, ...] = ()
    dependencies: tuple[Dot, ...] = ()
    deadline, base, metadata = NEVER, ORIGIN, ""
    if flags & _OTHERS:
        (count,) = _U16.unpack_from(data, at)
        others, at = _decode_dots(data, at + 2, count, dots)
    if flags & _DEPENDENCIES:
        (count,) = _U16.unpack_from(data, at)
        dependencies, at = _decode_dots(data, at + 2, count, dots)
    if flags & _DEADLINE:
        deadline = Millis(_U64.unpack_from(data, at)[0])
        at += 8
    if flags & _BASE:
        (base_hlc,) = _U64.unpack_from(data, at)
        base = Stamp(HlcTimestamp(base_hlc), dots.decode_dot(data, at + 8).replica)
        at += 8 + dots.dot_bytes
    if flags & _METADATA:
        (size,) = _U16.unpack_from(data, at)
        metadata = str(data[at + 2 : at + 2 + size], "utf-8")
        at += 2 + size
        if at > len(data):  # a slice does not tell, unlike all that is unpacked
            msg = "metadata ends beyond the record"
            raise IndexError(msg)
    kind = _KINDS[flags & _KIND_MASK]
    version = Version(kind, hlc, dot, others, dependencies, deadline, base)
    return Entry(version, bytes(data[at:]), metadata)


def _decode_dots(
    data: bytes, at: int, count: int, dots: DotCodec
) -> tuple[tuple[Dot, ...], int]:
    size = dots.dot_bytes
    end = at + count * size
    return tuple(dots.decode_dot(data, i) for i in range(at, end, size)), end
