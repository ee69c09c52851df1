"""
A counter that every replica may raise and lower: the PN-counter.

Each replica keeps two sums of its own, of what it added and of what it took
away.  Both only grow, so the larger of two reports of a replica's sums is the
newer, and merging is the pointwise maximum.  The value is the sum of all
increments less that of all decrements.

    state    replica -> (increments, decrements), without (0, 0)

    encoding:
    format       u8       FORMAT
    replicas     varint   then for each, ascending:
      replica      u64
      increments   varint
      decrements   varint

References:
    Shapiro, Preguica, Baquero & Zawirski, 2011.  A comprehensive study of
        convergent and commutative replicated data types.  Specification 7.
"""

from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from struct import error as StructError  # noqa: N812 -- its name is lower case
from typing import NamedTuple, Self

from kvnode.core.crdt.varint import decode_varint, encode_varint
from kvnode.errors import CorruptRecordError, InvalidArgumentError
from kvnode.limits import COUNTER_ABS_MAX
from kvnode.types import ReplicaId

FORMAT = 1

_U64 = Struct(">Q")


class Sums(NamedTuple):
    """What one replica has added and taken away; both >= 0, not both 0."""

    replica: ReplicaId
    increments: int
    decrements: int


@dataclass(frozen=True, slots=True)
class PnCounter:
    """A counter's state: the sums of each replica, ascending by replica."""

    sums: tuple[Sums, ...] = ()

    @property
    def value(self) -> int:
        """
        Return the count.

        Replicas that add at the same time do not see each other's sums, so the
        value of many can exceed COUNTER_ABS_MAX, and 64 bits, for a while.
        """
        return sum(plus - minus for _, plus, minus in self.sums)

    def add(self, replica: ReplicaId, delta: int) -> Self:
        """
        Return the counter after *replica* added *delta*, which may be negative.

        Raises:
            InvalidArgumentError: The replica's sum, or the value, would pass
                limits.COUNTER_ABS_MAX.
        """
        if delta == 0:
            return self
        own = Sums(replica, 0, 0)
        others: list[Sums] = []
        for entry in self.sums:
            if entry.replica == replica:
                own = entry
            else:
                others.append(entry)
        increments = own.increments + max(delta, 0)
        decrements = own.decrements + max(-delta, 0)
        value = self.value
        # A value that concurrent additions took too far may still be brought back.
        too_far = abs(value + delta) > max(COUNTER_ABS_MAX, abs(value))
        if max(increments, decrements) > COUNTER_ABS_MAX or too_far:
            msg = (
                f"adding {delta} takes the counter, now {value}, past the limit of"
                f" {COUNTER_ABS_MAX} (COUNTER_ABS_MAX), which holds for its value and"
                " for the sum of all that one node has ever added or taken away;"
                " add less, or start a new counter"
            )
            raise InvalidArgumentError(msg)
        return type(self)(
            tuple(sorted((*others, Sums(replica, increments, decrements))))
        )

    def merge(self, other: Self) -> Self:
        """Return the pointwise maximum."""
        if self.sums == other.sums:
            return self
        best = {entry.replica: entry for entry in self.sums}
        for entry in other.sums:
            replica, plus, minus = entry
            mine = best.get(replica)
            if mine is not None:
                plus, minus = max(plus, mine.increments), max(minus, mine.decrements)
            best[replica] = Sums(replica, plus, minus)
        return type(self)(tuple(sorted(best.values())))

    def encode(self) -> bytes:
        """Return the state as bytes, equal for equal states."""
        parts = [bytes((FORMAT,)), encode_varint(len(self.sums))]
        for replica, plus, minus in self.sums:
            parts.append(_U64.pack(replica))
            parts.append(encode_varint(plus))
            parts.append(encode_varint(minus))
        return b"".join(parts)

    def fingerprint(self) -> bytes:
        """Return a hash of the encoding, which is canonical."""
        return sha256(self.encode()).digest()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """
        Return the state that *data* encodes.

        Raises:
            CorruptRecordError: No correct node wrote these bytes.
        """
        try:
            state = cls(_decode_sums(data))
        except (IndexError, ValueError, StructError) as error:
            msg = f"counter state of {len(data)} bytes does not parse: {error}"
            raise CorruptRecordError(msg) from error
        # One comparison stands for every rule of the canonical form.
        if state.encode() != data:
            msg = f"counter state of {len(data)} bytes is not in canonical form"
            raise CorruptRecordError(msg)
        return state


def _decode_sums(data: bytes) -> tuple[Sums, ...]:
    if data[0] != FORMAT:
        msg = f"format {data[0]} is unknown; this version reads {FORMAT}"
        raise ValueError(msg)
    count, at = decode_varint(data, 1)
    sums: dict[ReplicaId, Sums] = {}
    for _ in range(count):
        replica = ReplicaId(_U64.unpack_from(data, at)[0])
        plus, at = decode_varint(data, at + _U64.size)
        minus, at = decode_varint(data, at)
        if max(plus, minus) > COUNTER_ABS_MAX or plus == minus == 0:
            msg = f"sums {plus} and {minus} of replica {replica:x} are out of range"
            raise ValueError(msg)
        sums[replica] = Sums(replica, plus, minus)
    return tuple(sorted(sums.values()))
