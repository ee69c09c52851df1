"""What failure detectors say to each other (M1) as protobuf, and back."""

from collections.abc import Callable, Iterable
from typing import assert_never

from kvnode._pb import peer_pb2 as pb
from kvnode.core.membership.messages import (
    INCARNATION_MAX,
    UPDATES_MAX,
    Ack,
    Health,
    Message,
    Nack,
    Ping,
    PingRequest,
    Update,
)
from kvnode.errors import PeerProtocolError
from kvnode.types import Millis, ReplicaId

_HEALTHS = {int(health): health for health in Health}


def _encode_claims(updates: Iterable[Update]) -> list[pb.HealthClaim]:
    return [
        pb.HealthClaim(
            replica=replica, incarnation=incarnation, health=health, accuser=accuser
        )
        for replica, incarnation, health, accuser in updates
    ]


def _decode_claims(messages: "Iterable[pb.HealthClaim]") -> tuple[Update, ...]:
    updates = tuple(map(_decode_claim, messages))
    if len(updates) > UPDATES_MAX:
        msg = f"{len(updates)} claims in one message; at most {UPDATES_MAX} may be"
        raise PeerProtocolError(msg)
    return updates


def _decode_claim(message: pb.HealthClaim) -> Update:
    health = _HEALTHS.get(message.health)
    if not message.replica or health is None:
        msg = (
            f"a claim that replica {message.replica:016x} is of health"
            f" {message.health} means nothing here"
        )
        raise PeerProtocolError(msg)
    if message.incarnation > INCARNATION_MAX:
        msg = f"incarnation {message.incarnation} is above all that there can be"
        raise PeerProtocolError(msg)
    return Update(
        ReplicaId(message.replica),
        message.incarnation,
        health,
        ReplicaId(message.accuser),
    )


def encode_probe(message: Message) -> pb.PeerMessage:
    """Return *message* in its envelope."""
    match message:
        case Ping(number, target, updates):
            claims = _encode_claims(updates)
            ping = pb.Ping(number=number, target=target, claims=claims)
            return pb.PeerMessage(ping=ping)
        case PingRequest(number, target, updates):
            claims = _encode_claims(updates)
            request = pb.PingRequest(number=number, target=target, claims=claims)
            return pb.PeerMessage(ping_request=request)
        case Ack(number, received_at, updates):
            claims = _encode_claims(updates)
            ack = pb.Ack(number=number, received_at_ms=received_at, claims=claims)
            return pb.PeerMessage(ack=ack)
        case Nack(number):
            return pb.PeerMessage(nack=pb.Nack(number=number))
        case _:
            assert_never(message)


def _decode_ping(envelope: pb.PeerMessage) -> Ping:
    m = envelope.ping
    return Ping(m.number, ReplicaId(m.target), _decode_claims(m.claims))


def _decode_ping_request(envelope: pb.PeerMessage) -> PingRequest:
    m = envelope.ping_request
    return PingRequest(m.number, ReplicaId(m.target), _decode_claims(m.claims))


def _decode_ack(envelope: pb.PeerMessage) -> Ack:
    m = envelope.ack
    return Ack(m.number, Millis(m.received_at_ms), _decode_claims(m.claims))


def _decode_nack(envelope: pb.PeerMessage) -> Nack:
    return Nack(envelope.nack.number)


PROBE_DECODERS: dict[str, Callable[[pb.PeerMessage], Message]] = {
    "ping": _decode_ping,
    "ping_request": _decode_ping_request,
    "ack": _decode_ack,
    "nack": _decode_nack,
}
"""By kind; each raises PeerProtocolError for what no correct peer sends."""
