"""
Requests and answers as bytes: one field of a message between nodes.

A u8 says which it is, and the rest are its parts, in the order of their fields; see
kvnode.core.objects.voters.fields.

    registers   varint n, then n x (text name, state), by name, ascending
    standing    voter, varint n, n x text configured, u8 barred, then maybe an
                electorate three times: pledge, electorate, successor

No message takes more than MESSAGE_BYTES_MAX.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final, TypeVar, assert_never

from kvnode.core.crdt.varint import encode_varint
from kvnode.core.objects import caspaxos
from kvnode.core.objects.caspaxos import (
    NO_BALLOT,
    Accept,
    Answer,
    Ballot,
    Look,
    Prepare,
    Promise,
    Refusal,
    Shown,
    Stored,
    VoterState,
)
from kvnode.core.objects.voters.electorate import VOTER_NAME_BYTES_MAX, VOTERS_MAX
from kvnode.core.objects.voters.fields import (
    FieldReader,
    encode_accepted,
    encode_ballot,
    encode_blob,
    encode_electorate,
    encode_identity,
    encode_maybe,
    encode_state,
    encode_text,
    encode_view,
)
from kvnode.core.objects.voters.messages import (
    REGISTER_NAME_BYTES_MAX,
    REGISTER_VALUE_BYTES_MAX,
    REGISTERS_MAX,
    Enlist,
    Inquire,
    Install,
    Report,
    Seal,
    Standing,
    Vote,
    Voted,
    VoterAnswer,
    VoterRequest,
)
from kvnode.errors import PeerProtocolError
from kvnode.types import ReplicaId

TRANSFER_REGISTERS_MAX: Final = (REGISTERS_MAX + 1) * VOTERS_MAX
"""Voters may hold different ones: who was not asked knows nothing of a register."""

MESSAGE_BYTES_MAX: Final = 12 * 1024 * 1024
"""All registers that can be, with the longest names and values."""

_STATE_OVERHEAD = 40
_KINDS_END = 256
assert MESSAGE_BYTES_MAX > TRANSFER_REGISTERS_MAX * (
    REGISTER_NAME_BYTES_MAX + REGISTER_VALUE_BYTES_MAX + _STATE_OVERHEAD
)

MessageT = TypeVar("MessageT")


class _Kind(IntEnum):
    """The first byte."""

    INQUIRE = 1
    PREPARE = 2
    ACCEPT = 3
    SEAL = 4
    INSTALL = 5
    ENLIST = 6
    LOOK = 7
    STANDING = 16
    PROMISE = 17
    STORED = 18
    REFUSAL = 19
    REPORT = 20
    SHOWN = 21


def encode_request(request: VoterRequest) -> bytes:
    """Return *request* as bytes; equal ones give equal bytes."""
    match request:
        case Inquire():
            return bytes((_Kind.INQUIRE,))
        case Vote(view, register, inner):
            head = encode_view(view) + encode_text(register)
            return _encode_voting(inner, head + encode_ballot(inner.ballot))
        case Enlist():
            return bytes((_Kind.ENLIST,))
        case Seal(successor):
            return bytes((_Kind.SEAL,)) + encode_electorate(successor)
        case Install(electorate, registers):
            head = bytes((_Kind.INSTALL,)) + encode_electorate(electorate)
            return head + _encode_registers(registers)
        case _:
            assert_never(request)


def _encode_voting(request: caspaxos.Request, head: bytes) -> bytes:
    match request:
        case Look():
            return bytes((_Kind.LOOK,)) + head
        case Prepare():
            return bytes((_Kind.PREPARE,)) + head
        case Accept(_, value):
            return bytes((_Kind.ACCEPT,)) + head + encode_blob(value)
        case _:
            assert_never(request)


def decode_request(data: bytes) -> VoterRequest:
    """
    Return the request that *data* stands for.

    Raises:
        PeerProtocolError: These are no such bytes, or they say what cannot be.
    """
    return _decoded(data, _read_request, "request")


def encode_answer(answer: VoterAnswer) -> bytes:
    """Return *answer* as bytes; equal ones give equal bytes."""
    match answer:
        case Standing():
            return bytes((_Kind.STANDING,)) + _encode_standing(answer)
        case Voted(voter, view, inner):
            head = encode_identity(voter) + encode_view(view)
            head += encode_ballot(inner.ballot)
            match inner:
                case Shown(_, state):
                    return bytes((_Kind.SHOWN,)) + head + encode_state(state)
                case Promise(_, accepted):
                    return bytes((_Kind.PROMISE,)) + head + encode_accepted(accepted)
                case Stored():
                    return bytes((_Kind.STORED,)) + head
                case Refusal(_, promised):
                    return bytes((_Kind.REFUSAL,)) + head + encode_ballot(promised)
                case _:
                    assert_never(inner)
        case Report(voter, electorate, registers):
            head = bytes((_Kind.REPORT,)) + encode_identity(voter)
            head += encode_electorate(electorate)
            return head + _encode_registers(registers)
        case _:
            assert_never(answer)


def decode_answer(data: bytes) -> VoterAnswer:
    """
    Return the answer that *data* stands for.

    Raises:
        PeerProtocolError: These are no such bytes, or they say what cannot be.
    """
    return _decoded(data, _read_answer, "answer")


def _decoded(
    data: bytes, read: Callable[[FieldReader], MessageT], what: str
) -> MessageT:
    if len(data) > MESSAGE_BYTES_MAX:
        msg = f"{len(data)} bytes are more than a voter's {what} can have"
        raise PeerProtocolError(msg)
    reader = FieldReader(data)
    try:
        message = read(reader)
        reader.end()
    except (IndexError, ValueError) as error:
        msg = f"{data[:100]!r} is no {what} of voters: {error}"
        raise PeerProtocolError(msg) from error
    return message


def _read_request(reader: FieldReader) -> VoterRequest:
    match _Kind(reader.number(_KINDS_END)):
        case _Kind.INQUIRE:
            return Inquire()
        case _Kind.ENLIST:
            return Enlist()
        case _Kind.LOOK | _Kind.PREPARE | _Kind.ACCEPT as kind:
            view, register = reader.view(), reader.text(REGISTER_NAME_BYTES_MAX)
            return Vote(view, register, _read_voting(reader, kind))
        case _Kind.SEAL:
            return Seal(reader.electorate())
        case _Kind.INSTALL:
            return Install(reader.electorate(), _read_registers(reader))
        case kind:
            msg = f"{kind.name} is no request"
            raise ValueError(msg)


def _read_voting(reader: FieldReader, kind: _Kind) -> caspaxos.Request:
    ballot = _own_ballot(reader)
    if kind is _Kind.LOOK:
        return Look(ballot)
    if kind is _Kind.PREPARE:
        return Prepare(ballot)
    return Accept(ballot, reader.blob(REGISTER_VALUE_BYTES_MAX))


def _own_ballot(reader: FieldReader) -> Ballot:
    """Return the ballot of who asks, which is never the empty one."""
    ballot = reader.ballot()
    if ballot == NO_BALLOT:
        msg = "the empty ballot is nobody's"
        raise ValueError(msg)
    return ballot


def _read_answer(reader: FieldReader) -> VoterAnswer:
    kind = _Kind(reader.number(_KINDS_END))
    voter = reader.identity()
    if kind is _Kind.STANDING:
        return _read_standing(reader, voter)
    if kind is _Kind.REPORT:
        return Report(voter, reader.electorate(), _read_registers(reader))
    view, ballot = reader.view(), reader.ballot()
    inner: Answer
    match kind:
        case _Kind.SHOWN:
            inner = Shown(ballot, reader.state())
        case _Kind.PROMISE:
            inner = Promise(ballot, reader.accepted())
        case _Kind.STORED:
            inner = Stored(ballot)
        case _Kind.REFUSAL:
            inner = Refusal(ballot, reader.ballot())
        case _:
            msg = f"{kind.name} is no answer"
            raise ValueError(msg)
    return Voted(voter, view, inner)


def _read_standing(reader: FieldReader, voter: ReplicaId) -> Standing:
    count = reader.number(VOTERS_MAX + 1)
    configured = tuple(reader.text(VOTER_NAME_BYTES_MAX) for _ in range(count))
    barred = bool(reader.number(2))
    pledge, electorate, successor = (reader.maybe(reader.electorate) for _ in range(3))
    if successor is not None and (
        electorate is None or electorate.view.next != successor.view
    ):
        msg = "a view is followed by the next of its lineage"
        raise ValueError(msg)
    return Standing(voter, configured, barred, pledge, electorate, successor)


def _encode_standing(standing: Standing) -> bytes:
    configured = standing.configured
    return b"".join(
        (
            encode_identity(standing.voter),
            encode_varint(len(configured)),
            *map(encode_text, configured),
            bytes((standing.barred,)),
            encode_maybe(standing.pledge, encode_electorate),
            encode_maybe(standing.electorate, encode_electorate),
            encode_maybe(standing.successor, encode_electorate),
        )
    )


def _encode_registers(registers: Mapping[str, VoterState]) -> bytes:
    assert len(registers) <= TRANSFER_REGISTERS_MAX, "voters take no more"
    parts = [encode_varint(len(registers))]
    parts += [
        encode_text(name) + encode_state(registers[name]) for name in sorted(registers)
    ]
    return b"".join(parts)


def _read_registers(reader: FieldReader) -> Mapping[str, VoterState]:
    registers: dict[str, VoterState] = {}
    before: str | None = None
    for _ in range(reader.number(TRANSFER_REGISTERS_MAX + 1)):
        name = reader.text(REGISTER_NAME_BYTES_MAX)
        if before is not None and name <= before:
            msg = f"register {name!r} stands behind {before!r}"
            raise ValueError(msg)
        registers[name] = reader.state()
        before = name
    return registers
