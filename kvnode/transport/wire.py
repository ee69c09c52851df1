"""Peer messages as protobuf, and back."""

from collections.abc import Callable
from typing import assert_never

from kvnode._pb import peer_pb2 as pb
from kvnode.core.dissemination.messages import Absent, Announce, Graft, Prune
from kvnode.core.membership.messages import Ack, Nack, Ping, PingRequest
from kvnode.core.node.events import Message
from kvnode.core.replication.messages import (
    DeltaAcknowledgement,
    DeltaPage,
    DeltaRequest,
    Digest,
    FetchChunk,
    FetchRequest,
    Push,
    PushAcknowledgement,
    RepairAcknowledgement,
    RepairBegin,
    RepairEnd,
    RepairPage,
    RepairRange,
    Report,
)
from kvnode.core.versions.roster import NOT_CLOSED, Member, Standing
from kvnode.core.versions.store_view import PeerAddress
from kvnode.errors import PeerProtocolError
from kvnode.transport.wire_probes import PROBE_DECODERS, encode_probe
from kvnode.transport.wire_repair import decode_repair, encode_repair
from kvnode.transport.wire_spreading import SPREADING_DECODERS, encode_spreading
from kvnode.transport.wire_values import (
    decode_clock,
    decode_entries,
    decode_floor,
    encode_clock,
    encode_entry,
    encode_floor,
)
from kvnode.types import Dot, EntryKey, Millis, Namespace, ReplicaId

PROTOCOL = 2
"""The newest protocol version this node speaks."""

PROTOCOL_MIN = 1
"""The oldest one it still speaks."""

_STANDINGS = frozenset(map(int, Standing))


def encode_address(peer: PeerAddress) -> pb.Address:
    """Return *peer* as a message."""
    return pb.Address(
        name=peer.name, address=peer.address, replica=peer.replica, region=peer.region
    )


def decode_address(message: pb.Address) -> PeerAddress:
    """Return the peer of *message*."""
    return PeerAddress(
        message.name, message.address, ReplicaId(message.replica), message.region
    )


def encode_member(member: Member) -> pb.Member:
    """Return *member* as a message."""
    return pb.Member(
        replica=member.replica,
        name=member.name,
        address=member.address,
        region=member.region,
        incarnation=member.incarnation,
        standing=member.standing,
        closed=0 if member.closed_above == NOT_CLOSED else member.closed_above + 1,
        given_up=member.given_up,
        fenced_from=member.fenced_from,
        lost=0 if member.lost_above == NOT_CLOSED else member.lost_above + 1,
    )


def decode_member(message: pb.Member) -> Member:
    """
    Return the roster's record of *message*.

    Raises:
        PeerProtocolError: It is of nobody, or of no standing that is known.
    """
    if not message.replica or message.standing not in _STANDINGS:
        msg = (
            f"a member record of replica {message.replica:016x} with standing"
            f" {message.standing} means nothing here"
        )
        raise PeerProtocolError(msg)
    return Member(
        ReplicaId(message.replica),
        message.name,
        message.address,
        message.region,
        message.incarnation,
        Standing(message.standing),
        message.closed - 1 if message.closed else NOT_CLOSED,
        message.given_up,
        message.fenced_from,
        message.lost - 1 if message.lost else NOT_CLOSED,
    )


def encode_message(message: Message) -> pb.PeerMessage:  # noqa: PLR0911 -- one each
    """Return *message* in its envelope."""
    match message:
        case Report():
            return pb.PeerMessage(report=_encode_report(message))
        case Digest(view, store, sent_at, unmet):
            digest = pb.Digest(view=view, store=store, sent_at_ms=sent_at, unmet=unmet)
            return pb.PeerMessage(digest=digest)
        case Push(origin, first, last, entries):
            push = pb.Push(
                origin=origin,
                first=first,
                last=last,
                entries=map(encode_entry, entries),
            )
            return pb.PeerMessage(push=push)
        case PushAcknowledgement(origin, first, last):
            acknowledgement = pb.PushAcknowledgement(
                origin=origin, first=first, last=last
            )
            return pb.PeerMessage(push_acknowledgement=acknowledgement)
        case FetchRequest() | FetchChunk():
            return _encode_fetch(message)
        case DeltaRequest() | DeltaPage() | DeltaAcknowledgement():
            return _encode_delta(message)
        case Ping() | PingRequest() | Ack() | Nack():
            return encode_probe(message)
        case Announce() | Graft() | Prune() | Absent():
            return encode_spreading(message)
        case (
            RepairBegin()
            | RepairRange()
            | RepairPage()
            | RepairAcknowledgement()
            | RepairEnd()
        ):
            return pb.PeerMessage(repair=encode_repair(message))
        case _:
            assert_never(message)


def _encode_report(report: Report) -> pb.Report:
    message = pb.Report(
        clock=encode_clock(report.clock),
        sent_at_ms=report.sent_at,
        known=map(encode_address, report.known),
        roster=report.roster,
        members=map(encode_member, report.members),
        filling=report.filling,
        unmet=report.unmet,
    )
    if report.held:
        message.held.CopyFrom(encode_clock(report.held))
    if report.floor:
        message.floor.CopyFrom(encode_floor(report.floor))
    return message


def _encode_fetch(message: FetchRequest | FetchChunk) -> pb.PeerMessage:
    if isinstance(message, FetchRequest):
        request = pb.FetchRequest(
            fetch=message.fetch,
            namespace=message.key.namespace,
            key=message.key.key,
            replica=message.dot.replica,
            seq=message.dot.seq,
            offset=message.offset,
        )
        return pb.PeerMessage(fetch_request=request)
    chunk = pb.FetchChunk(
        fetch=message.fetch,
        offset=message.offset,
        total=message.total,
        data=message.data,
        replica=message.dot.replica,
        seq=message.dot.seq,
    )
    return pb.PeerMessage(fetch_chunk=chunk)


def _encode_delta(
    message: DeltaRequest | DeltaPage | DeltaAcknowledgement,
) -> pb.PeerMessage:
    match message:
        case DeltaRequest(session, clock, whole, after):
            request = pb.DeltaRequest(
                session=session, clock=encode_clock(clock), whole=whole
            )
            if after is not None:
                request.after_namespace, request.after_key = after
            return pb.PeerMessage(delta_request=request)
        case DeltaPage():
            return pb.PeerMessage(delta_page=_encode_page(message))
        case DeltaAcknowledgement(session, number, abandoned):
            acknowledgement = pb.DeltaAcknowledgement(
                session=session, number=number, abandoned=abandoned
            )
            return pb.PeerMessage(delta_acknowledgement=acknowledgement)
        case _:
            assert_never(message)


def _encode_page(page: DeltaPage) -> pb.DeltaPage:
    message = pb.DeltaPage(
        session=page.session,
        number=page.number,
        snapshot_clock=encode_clock(page.snapshot_clock),
        entries=map(encode_entry, page.entries),
        last=page.last,
        refused=page.refused,
        before_floor=page.before_floor,
        expected=page.expected,
    )
    if page.floor:
        message.floor.CopyFrom(encode_floor(page.floor))
    if page.until is not None:
        message.last_namespace, message.last_key = page.until
    return message


def decode_message(envelope: pb.PeerMessage) -> Message:
    """
    Return the message inside *envelope*.

    Raises:
        PeerProtocolError: It is empty, of an unknown kind, or does not parse.
    """
    kind = envelope.WhichOneof("kind")
    decoder = _DECODERS.get(kind or "")
    if decoder is None:
        msg = f"a peer message of kind {kind} is not known here"
        raise PeerProtocolError(msg)
    return decoder(envelope)


def _decode_report(envelope: pb.PeerMessage) -> Report:
    m = envelope.report
    return Report(
        decode_clock(m.clock),
        Millis(m.sent_at_ms),
        tuple(map(decode_address, m.known)),
        decode_clock(m.held),
        m.roster,
        tuple(map(decode_member, m.members)),
        decode_floor(m.floor),
        m.filling,
        m.unmet,
    )


def _decode_digest(envelope: pb.PeerMessage) -> Digest:
    m = envelope.digest
    return Digest(m.view, m.store, Millis(m.sent_at_ms), m.unmet)


def _decode_push(envelope: pb.PeerMessage) -> Push:
    m = envelope.push
    return Push(ReplicaId(m.origin), m.first, m.last, decode_entries(m.entries))


def _decode_push_acknowledgement(envelope: pb.PeerMessage) -> PushAcknowledgement:
    m = envelope.push_acknowledgement
    if not 1 <= m.first <= m.last:
        msg = f"an acknowledgement of seqs {m.first}..{m.last} is empty"
        raise PeerProtocolError(msg)
    return PushAcknowledgement(ReplicaId(m.origin), m.first, m.last)


def _decode_delta_request(envelope: pb.PeerMessage) -> DeltaRequest:
    m = envelope.delta_request
    after = _decode_place(m.after_namespace, m.after_key)
    return DeltaRequest(m.session, decode_clock(m.clock), m.whole, after)


def _decode_place(namespace: str, key: bytes) -> EntryKey | None:
    return EntryKey(Namespace(namespace), key) if namespace else None


def _decode_delta_page(envelope: pb.PeerMessage) -> DeltaPage:
    m = envelope.delta_page
    entries = decode_entries(m.entries)
    clock = decode_clock(m.snapshot_clock)
    return DeltaPage(
        m.session,
        m.number,
        clock,
        entries,
        m.last,
        m.refused,
        decode_floor(m.floor),
        m.before_floor,
        _decode_place(m.last_namespace, m.last_key),
        m.expected,
    )


def _decode_delta_acknowledgement(envelope: pb.PeerMessage) -> DeltaAcknowledgement:
    m = envelope.delta_acknowledgement
    return DeltaAcknowledgement(m.session, m.number, m.abandoned)


def _decode_fetch_request(envelope: pb.PeerMessage) -> FetchRequest:
    m = envelope.fetch_request
    key = EntryKey(Namespace(m.namespace), m.key)
    return FetchRequest(m.fetch, key, Dot(ReplicaId(m.replica), m.seq), m.offset)


def _decode_fetch_chunk(envelope: pb.PeerMessage) -> FetchChunk:
    m = envelope.fetch_chunk
    dot = Dot(ReplicaId(m.replica), m.seq)
    return FetchChunk(m.fetch, dot, m.offset, m.total, m.data)


def _decode_repair(envelope: pb.PeerMessage) -> Message:
    return decode_repair(envelope.repair)


_DECODERS: dict[str, Callable[[pb.PeerMessage], Message]] = {
    "report": _decode_report,
    "digest": _decode_digest,
    "push": _decode_push,
    "push_acknowledgement": _decode_push_acknowledgement,
    "delta_request": _decode_delta_request,
    "delta_page": _decode_delta_page,
    "delta_acknowledgement": _decode_delta_acknowledgement,
    "fetch_request": _decode_fetch_request,
    "fetch_chunk": _decode_fetch_chunk,
    **PROBE_DECODERS,
    **SPREADING_DECODERS,
    "repair": _decode_repair,
}

__all__ = [
    "PROTOCOL",
    "PROTOCOL_MIN",
    "decode_address",
    "decode_clock",
    "decode_floor",
    "decode_member",
    "decode_message",
    "encode_address",
    "encode_clock",
    "encode_floor",
    "encode_member",
    "encode_message",
]
