"""
What the two sides of a range-based reconciliation say, as bytes.

They speak in turn.  All that one says before the other is due is a *step*; a step
travels as one message, or as several if it is larger than MESSAGE_BYTES_MAX.

    message     format u8, step u8, flags u8, bits u8,
                salt u64                   only in step 0
                answers                    varint n, then n bytes
                groups                     the rest
    flags       1: no more messages of this step
    answers     a bit for each item that the peer listed in its last step, in that
                order, the low bits of a byte first: 1 = that item is not here.
                Of the step's messages together.
    group       varint (gap * 2 + 0), then 2^bits shorts: a range split evenly, and
                what is in each of the parts; or
                varint (gap * 2 + 1), varint n, then n shorts: a range's items
    short       40 bits of a fingerprint, or of a sum of them

A group is about a range that the peer had named in its last step, as part of a
split; *gap* ranges before it, as the peer named them, are equal on both sides and
are passed over, as are those after the last group.  In step 0 the one range is
that of all positions.

A message is self-delimiting bytes, so that a transport need only carry it with
the number of its session.
"""

from collections.abc import Iterator
from struct import Struct
from struct import error as StructError  # noqa: N812 -- its name is lower case
from typing import NamedTuple

from kvnode.core.crdt.varint import decode_varint, encode_varint
from kvnode.core.versions.rolling_digest import TOTAL_END
from kvnode.errors import PeerProtocolError

FORMAT = 1

MESSAGE_BYTES_MAX = 512 * 1024
"""Twice a delta's page: a step of 10,000 differences among a million fits."""

STEPS_MAX = 24
"""All splits but the last take two of 32 bits or more; then a list, and answers."""

BITS_MAX = 6
"""A split into 64 parts."""

LISTED_MAX = 256
"""Items of one range; more than fits there is never listed."""

SHORT_BYTES = 5
"""
Two different ones look alike once in 2^39: a session of 10,000 differences misses
one of them in ten million times, and the next one has another salt.
"""

GROUP_BYTES_MAX = 16 + LISTED_MAX * SHORT_BYTES

_HEAD = Struct(">BBBB")
_U64 = Struct(">Q")
_LAST = 1
_DROPPED_BITS = 64 - 8 * SHORT_BYTES


def short(number: int, salt: int) -> bytes:
    """
    Return 40 bits of *number*, which is 64 bits, by multiply-shift hashing.

    Two numbers give the same for at most one in 2^39 odd salts.

    Source:
        Dietzfelbinger, Hagerup, Katajainen & Penttonen, 1997.  A reliable
        randomized algorithm for the closest-pair problem.  Lemma 2.4.
    """
    return (number * salt % TOTAL_END >> _DROPPED_BITS).to_bytes(SHORT_BYTES)


class Group(NamedTuple):
    """What is said of one range; `shorts` are SHORT_BYTES each, end to end."""

    gap: int
    listed: bool
    shorts: bytes

    def encode(self) -> bytes:
        """Return the group as bytes; the inverse of `read_groups` for one."""
        head = encode_varint(self.gap << 1 | self.listed)
        if self.listed:
            head += encode_varint(len(self.shorts) // SHORT_BYTES)
        return head + self.shorts


class RangeMessage(NamedTuple):
    """A part of a step; `salt` is 0 but in step 0, and odd there."""

    step: int
    last: bool
    salt: int
    bits: int
    answers: bytes
    groups: bytes

    def encode(self) -> bytes:
        """Return the message as bytes; the inverse of `decode`."""
        flags = _LAST if self.last else 0
        return b"".join(
            (
                _HEAD.pack(FORMAT, self.step, flags, self.bits),
                b"" if self.step else _U64.pack(self.salt),
                encode_varint(len(self.answers)),
                self.answers,
                self.groups,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "RangeMessage":
        """
        Return the message that *data* encodes; its groups are not examined.

        Raises:
            PeerProtocolError: No correct peer sends these bytes.
        """
        if len(data) > MESSAGE_BYTES_MAX:
            msg = f"a range message of {len(data)} bytes; {MESSAGE_BYTES_MAX} may be"
            raise PeerProtocolError(msg)
        salt = 0
        try:
            form, step, flags, bits = _HEAD.unpack_from(data)
            at = _HEAD.size
            if form == FORMAT and step == 0:
                (salt,) = _U64.unpack_from(data, at)
                at += _U64.size
            size, at = decode_varint(data, at)
        except (StructError, IndexError, ValueError) as error:
            msg = f"a range message of {len(data)} bytes does not parse: {error}"
            raise PeerProtocolError(msg) from error
        sound = (
            form == FORMAT
            and step <= STEPS_MAX
            and flags <= _LAST
            and bits <= BITS_MAX
            and (step > 0 or salt % 2 == 1)
            and at + size <= len(data)
        )
        if not sound:
            msg = f"a range message of step {step} is out of bounds: {data[:16].hex()}"
            raise PeerProtocolError(msg)
        end = at + size
        return cls(step, bool(flags), salt, bits, data[at:end], data[end:])

    @property
    def size_bytes(self) -> int:
        """Return about how large the message is."""
        return len(self.answers) + len(self.groups) + 16


def read_groups(message: RangeMessage) -> Iterator[Group]:
    """
    Yield the groups of *message*.

    Raises:
        PeerProtocolError: They do not parse, or a list is longer than LISTED_MAX.
    """
    data, at = message.groups, 0
    while at < len(data):
        try:
            head, at = decode_varint(data, at)
            listed = bool(head & 1)
            count = 1 << message.bits
            if listed:
                count, at = decode_varint(data, at)
        except (IndexError, ValueError) as error:
            msg = f"a range group at byte {at} does not parse: {error}"
            raise PeerProtocolError(msg) from error
        end = at + count * SHORT_BYTES
        too_many = count > LISTED_MAX if listed else message.bits == 0
        if too_many or end > len(data):
            msg = f"a range group of {count} at byte {at} is out of bounds"
            raise PeerProtocolError(msg)
        yield Group(head >> 1, listed, data[at:end])
        at = end


def pack(
    step: int, salt: int, bits: int, answers: bytes, groups: list[bytes]
) -> list[RangeMessage]:
    """Return a step as messages of at most MESSAGE_BYTES_MAX; at least one."""
    room = MESSAGE_BYTES_MAX - _HEAD.size - _U64.size - 4
    parts: list[tuple[bytes, bytes]] = []
    while len(answers) > room:
        parts.append((answers[:room], b""))
        answers = answers[room:]
    taken: list[bytes] = []
    size = len(answers)
    for group in groups:
        if size + len(group) > room:
            parts.append((answers, b"".join(taken)))
            answers, taken, size = b"", [], 0
        taken.append(group)
        size += len(group)
    parts.append((answers, b"".join(taken)))
    end = len(parts) - 1
    return [
        RangeMessage(step, at == end, 0 if step else salt, bits, told, grouped)
        for at, (told, grouped) in enumerate(parts)
    ]
