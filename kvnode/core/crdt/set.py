"""
A set in which a concurrent addition wins over a removal, without tombstones.

Every addition tags the members it adds with the dot of its write.  A removal
takes away the tags that its replica has seen, and no others; so a member that
was added elsewhere at the same time stays, by its unseen tag.

A tag that one of two states lacks was either removed there or has never arrived
there.  The *context* tells which: it holds, for each replica, the newest dot that
tagged anything in this set as far as the state knows.

    a tag stays in the merge  if both states have it,
                              or if one has it and the other's context does
                              not cover it

One number a replica is enough for a context, though dots of the store number
writes to *all* keys and those of one set are far apart: full states always
travel.  Whoever covers the dot (r, n) merged a state that comes, by whatever
road, from r's own state after its write n; and that one held the effect of
every earlier write of r to this set.  So nothing of r at or below n is
missing, and a gap cannot be.  With deltas this would not hold.

A removal that adds nothing tags nothing, and needs no new dot in the context: the
context covers what it removed already, since it was seen.

    encoding:
    format    u8       FORMAT
    context   varint   number of replicas, then for each, ascending:
      replica   u64
      seq       varint
    members   varint   their number, then for each, ascending:
      member    varint size, bytes
      dots      varint number, then for each, ascending:
        replica   varint   position in the context, from 0
        seq       varint

References:
    Bieniusa, Zawirski, Preguica, Shapiro, Baquero, Balegas & Duarte, 2012.  An
        optimized conflict-free replicated set.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from struct import Struct
from struct import error as StructError  # noqa: N812 -- its name is lower case
from typing import Self

from kvnode.core.crdt.varint import decode_varint, encode_varint
from kvnode.errors import CorruptRecordError, InvalidArgumentError
from kvnode.limits import SET_MEMBER_BYTES_MAX, VALUE_BYTES_MAX
from kvnode.types import Dot, ReplicaId

FORMAT = 1

_U64 = Struct(">Q")

Dots = frozenset[Dot]
"""The tags of one member; never empty."""


@dataclass(frozen=True, slots=True)
class ObservedRemoveSet:
    """
    A set's state; the two mappings must not be changed.

    Attributes:
        tags: Members with the dots of the additions that keep them in.
        context: Newest dot seen of each replica that ever added; covers every
            tag.
    """

    tags: Mapping[bytes, Dots] = field(default_factory=dict)
    context: Mapping[ReplicaId, int] = field(default_factory=dict)

    @property
    def value(self) -> list[bytes]:
        """Return the members, ascending."""
        return sorted(self.tags)

    def update(
        self, dot: Dot, *, add: Iterable[bytes], remove: Iterable[bytes]
    ) -> Self:
        """
        Return the set after the write *dot* removed and then added members.

        Removing takes away what this state has seen; a member that is both
        removed and added is in.  An addition replaces the tags it has seen
        by its own.

        Args:
            dot: Of the write; above all earlier ones of its replica.
            add: Members of 1 to limits.SET_MEMBER_BYTES_MAX bytes.
            remove: Members; those not in the set make no difference.

        Raises:
            InvalidArgumentError: A member breaks its limit, or all together
                pass limits.VALUE_BYTES_MAX.
        """
        assert dot.seq > self.context.get(dot.replica, 0), "a dot is used once"
        tags, context = dict(self.tags), dict(self.context)
        for member in remove:
            _check_member(member)
            tags.pop(member, None)
        own = frozenset((dot,))
        for member in add:
            _check_member(member)
            tags[member] = own
            context[dot.replica] = dot.seq
        size_bytes = sum(map(len, tags))
        if size_bytes > VALUE_BYTES_MAX:
            msg = (
                f"the set's members would take {size_bytes} bytes, the limit is"
                f" {VALUE_BYTES_MAX} (VALUE_BYTES_MAX); spread them over several keys"
            )
            raise InvalidArgumentError(msg)
        return type(self)(tags, context)

    def merge(self, other: Self) -> Self:
        """Return the members that either state has and the other did not remove."""
        if self == other:
            return self
        tags: dict[bytes, Dots] = {}
        for member, mine in self.tags.items():
            theirs = other.tags.get(member, frozenset())
            kept = mine if mine == theirs else self._kept(mine, other, theirs)
            if kept:
                tags[member] = kept
        for member, theirs in other.tags.items():
            if member not in self.tags and (kept := _unseen(theirs, self.context)):
                tags[member] = kept
        context = dict(self.context)
        for replica, seq in other.context.items():
            context[replica] = max(seq, context.get(replica, 0))
        return type(self)(tags, context)

    def _kept(self, mine: Dots, other: Self, theirs: Dots) -> Dots:
        unseen_there = _unseen(mine - theirs, other.context)
        unseen_here = _unseen(theirs - mine, self.context)
        return (mine & theirs) | unseen_there | unseen_here

    def encode(self) -> bytes:
        """Return the state as bytes, equal for equal states."""
        positions = {r: encode_varint(i) for i, r in enumerate(sorted(self.context))}
        parts = [bytes((FORMAT,)), encode_varint(len(positions))]
        for replica in positions:
            parts.append(_U64.pack(replica))
            parts.append(encode_varint(self.context[replica]))
        parts.append(encode_varint(len(self.tags)))
        for member, dots in sorted(self.tags.items()):
            parts.append(encode_varint(len(member)))
            parts.append(member)
            parts.append(encode_varint(len(dots)))
            for replica, seq in sorted(dots) if len(dots) > 1 else dots:
                parts.append(positions[replica])
                parts.append(encode_varint(seq))
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
            state = cls(*_decode_parts(data))
        except (IndexError, ValueError, StructError) as error:
            msg = f"set state of {len(data)} bytes does not parse: {error}"
            raise CorruptRecordError(msg) from error
        # One comparison stands for every rule of the canonical form.
        if state.encode() != data:
            msg = f"set state of {len(data)} bytes is not in canonical form"
            raise CorruptRecordError(msg)
        return state


def _unseen(dots: Dots, context: Mapping[ReplicaId, int]) -> Dots:
    return frozenset(dot for dot in dots if context.get(dot.replica, 0) < dot.seq)


def _check_member(member: bytes) -> None:
    if not 1 <= len(member) <= SET_MEMBER_BYTES_MAX:
        msg = (
            f"a set member has {len(member)} bytes; it must have 1 to"
            f" {SET_MEMBER_BYTES_MAX} (SET_MEMBER_BYTES_MAX)"
        )
        raise InvalidArgumentError(msg)


def _decode_parts(data: bytes) -> tuple[dict[bytes, Dots], dict[ReplicaId, int]]:
    if data[0] != FORMAT:
        msg = f"format {data[0]} is unknown; this version reads {FORMAT}"
        raise ValueError(msg)
    replica_count, at = decode_varint(data, 1)
    replicas: list[ReplicaId] = []
    context: dict[ReplicaId, int] = {}
    for _ in range(replica_count):
        replica = ReplicaId(_U64.unpack_from(data, at)[0])
        context[replica], at = decode_varint(data, at + _U64.size)
        replicas.append(replica)
    tags: dict[bytes, Dots] = {}
    member_count, at = decode_varint(data, at)
    for _ in range(member_count):
        size, at = decode_varint(data, at)
        member = data[at : at + size]
        dot_count, at = decode_varint(data, at + size)
        dots: list[Dot] = []
        for _ in range(dot_count):
            position, at = decode_varint(data, at)
            seq, at = decode_varint(data, at)
            dots.append(Dot(replicas[position], seq))
            if not 1 <= seq <= context[replicas[position]]:
                msg = f"the context does not cover {dots[-1]}"
                raise ValueError(msg)
        if not dots or not member:
            msg = "a member is empty or has no tag"
            raise ValueError(msg)
        tags[member] = frozenset(dots)
    return tags, context
