"""
Parts of messages and of stored rows as bytes: electorates, ballots, registers.

    varint      see kvnode.core.crdt.varint
    text        varint n, n bytes of UTF-8
    identity    u64, never 0
    ballot      varint round, u64 proposer; both 0 for the empty one
    electorate  identity lineage, varint number, varint n, then n x (identity, text)
    state       promised ballot, accepted ballot, varint n, n bytes of value
    maybe X     u8 0, or u8 1 and X

Equal values are equal bytes.  What is read is checked against every bound that values
have, so that nothing a peer or a disk says can break an assertion.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final, TypeVar

from kvnode.core.crdt.varint import decode_varint, encode_varint
from kvnode.core.objects.caspaxos import Accepted, Ballot, VoterState
from kvnode.core.objects.voters.electorate import (
    VOTER_NAME_BYTES_MAX,
    VOTERS_MAX,
    Electorate,
    Member,
    View,
)
from kvnode.core.objects.voters.messages import REGISTER_VALUE_BYTES_MAX
from kvnode.errors import CorruptRecordError
from kvnode.types import ReplicaId

NUMBER_END: Final = 1 << 48
"""Of rounds and views: a thousand a second for nine thousand years."""

_U64 = Struct(">Q")

ItemT = TypeVar("ItemT")


class FieldReader:
    """
    Takes values off bytes, from the front to the end.

    Every method may raise IndexError or ValueError: the bytes are not of that form.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, end: int) -> int:
        """Return an integer below *end*."""
        number, self._at = decode_varint(self._data, self._at)
        if number >= end:
            msg = f"{number} is not below {end}"
            raise ValueError(msg)
        return number

    def blob(self, size_max: int) -> bytes:
        """Return bytes that say how many they are."""
        return self._take(self.number(size_max + 1))

    def text(self, size_max: int) -> str:
        """Return a text of at most *size_max* bytes."""
        return self.blob(size_max).decode()

    def identity(self) -> ReplicaId:
        """Return who somebody is."""
        identity = self._u64()
        if identity == 0:
            msg = "0 is nobody"
            raise ValueError(msg)
        return ReplicaId(identity)

    def maybe(self, read: Callable[[], ItemT]) -> ItemT | None:
        """Return what *read* returns, or None if it is not there."""
        return read() if self.number(2) else None

    def view(self) -> View:
        """Return a view."""
        view = View(self.identity(), self.number(NUMBER_END))
        if view.number == 0:
            msg = "views are numbered from 1"
            raise ValueError(msg)
        return view

    def electorate(self) -> Electorate:
        """Return who votes in a view."""
        view = self.view()
        members = tuple(
            Member(self.identity(), self.text(VOTER_NAME_BYTES_MAX))
            for _ in range(self.number(VOTERS_MAX + 1))
        )
        identities = [member.identity for member in members]
        if (
            not members
            or identities != sorted(set(identities))
            or len({member.name for member in members}) != len(members)
        ):
            msg = "the members of an electorate are not in order, or not apart"
            raise ValueError(msg)
        return Electorate(view, members)

    def ballot(self) -> Ballot:
        """Return a ballot, perhaps the empty one."""
        ballot = Ballot(self.number(NUMBER_END), ReplicaId(self._u64()))
        if (ballot.round == 0) is not (ballot.proposer == 0):
            msg = f"{ballot} is half of a ballot"
            raise ValueError(msg)
        return ballot

    def accepted(self) -> Accepted:
        """Return a value and the ballot it came with."""
        return Accepted(self.ballot(), self.blob(REGISTER_VALUE_BYTES_MAX))

    def state(self) -> VoterState:
        """Return what a voter holds of one register."""
        state = VoterState(self.ballot(), self.accepted())
        if state.promised < state.accepted.ballot:
            msg = "what is accepted was not promised"
            raise ValueError(msg)
        return state

    def end(self) -> None:
        """Check that nothing is left."""
        left = len(self._data) - self._at
        if left:
            msg = f"{left} bytes too many"
            raise ValueError(msg)

    def _u64(self) -> int:
        return int(_U64.unpack(self._take(_U64.size))[0])

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            msg = f"they end {end - len(self._data)} bytes too soon"
            raise ValueError(msg)
        taken = self._data[self._at : end]
        self._at = end
        return taken


def encode_blob(data: bytes) -> bytes:
    """Return *data* with its size before it."""
    return encode_varint(len(data)) + data


def encode_text(text: str) -> bytes:
    """Return a text with its size before it."""
    return encode_blob(text.encode())


def encode_identity(identity: ReplicaId) -> bytes:
    """Return who somebody is."""
    assert identity != 0, "0 is nobody"
    return _U64.pack(identity)


def encode_maybe(item: ItemT | None, encode: Callable[[ItemT], bytes]) -> bytes:
    """Return *item* with a mark that it is there, or the mark that it is not."""
    return b"\0" if item is None else b"\1" + encode(item)


def encode_view(view: View) -> bytes:
    """Return a view."""
    return encode_identity(view.lineage) + encode_varint(view.number)


def encode_electorate(electorate: Electorate) -> bytes:
    """Return who votes in a view; also the value of its register of succession."""
    members = electorate.members
    parts = [encode_view(electorate.view), encode_varint(len(members))]
    parts += [
        encode_identity(each.identity) + encode_text(each.name) for each in members
    ]
    return b"".join(parts)


def decode_electorate(data: bytes) -> Electorate:
    """
    Return the electorate that a register of succession holds.

    Raises:
        CorruptRecordError: It holds something else.
    """
    reader = FieldReader(data)
    try:
        electorate = reader.electorate()
        reader.end()
    except (IndexError, ValueError) as error:
        msg = f"{data[:100]!r} is no electorate: {error}"
        raise CorruptRecordError(msg) from error
    return electorate


def encode_ballot(ballot: Ballot) -> bytes:
    """Return a ballot."""
    return encode_varint(ballot.round) + _U64.pack(ballot.proposer)


def encode_accepted(accepted: Accepted) -> bytes:
    """Return a value and the ballot it came with."""
    return encode_ballot(accepted.ballot) + encode_blob(accepted.value)


def encode_state(state: VoterState) -> bytes:
    """Return what a voter holds of one register."""
    return encode_ballot(state.promised) + encode_accepted(state.accepted)
