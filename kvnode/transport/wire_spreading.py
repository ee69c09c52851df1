"""What nodes say about pushes without carrying one, as protobuf, and back (D7)."""

from collections.abc import Callable, Mapping
from typing import assert_never

from kvnode._pb import peer_pb2 as pb
from kvnode.core.dissemination.messages import (
    ANNOUNCED_MAX,
    Absent,
    Announce,
    Control,
    Graft,
    Prune,
    PushId,
)
from kvnode.errors import PeerProtocolError
from kvnode.types import ReplicaId


def encode_spreading(message: Control) -> pb.PeerMessage:
    """Return *message* in its envelope."""
    match message:
        case Announce(ids):
            announce = pb.Announce(ids=map(_encode_id, ids))
            return pb.PeerMessage(announce=announce)
        case Graft(name, keep):
            return pb.PeerMessage(graft=pb.Graft(id=_encode_id(name), keep=keep))
        case Prune(origin):
            return pb.PeerMessage(prune=pb.Prune(origin=origin))
        case Absent(name):
            return pb.PeerMessage(absent=pb.Absent(id=_encode_id(name)))
        case _:
            assert_never(message)


def _encode_id(name: PushId) -> pb.PushId:
    return pb.PushId(origin=name.origin, first=name.first, last=name.last)


def _decode_id(message: pb.PushId) -> PushId:
    """
    Return the name of *message*.

    Raises:
        PeerProtocolError: It names no push.
    """
    if not message.origin or not 1 <= message.first <= message.last:
        msg = (
            f"there is no push of seqs {message.first}..{message.last}"
            f" of replica {message.origin:016x}"
        )
        raise PeerProtocolError(msg)
    return PushId(ReplicaId(message.origin), message.first, message.last)


def _decode_announce(envelope: pb.PeerMessage) -> Announce:
    ids = envelope.announce.ids
    if not 1 <= len(ids) <= ANNOUNCED_MAX:
        msg = f"an announcement of {len(ids)} pushes: 1 to {ANNOUNCED_MAX} are allowed"
        raise PeerProtocolError(msg)
    return Announce(tuple(map(_decode_id, ids)))


def _decode_graft(envelope: pb.PeerMessage) -> Graft:
    return Graft(_decode_id(envelope.graft.id), envelope.graft.keep)


def _decode_prune(envelope: pb.PeerMessage) -> Prune:
    if not envelope.prune.origin:
        msg = "a prune is of nobody's tree"
        raise PeerProtocolError(msg)
    return Prune(ReplicaId(envelope.prune.origin))


def _decode_absent(envelope: pb.PeerMessage) -> Absent:
    return Absent(_decode_id(envelope.absent.id))


SPREADING_DECODERS: Mapping[str, Callable[[pb.PeerMessage], Control]] = {
    "announce": _decode_announce,
    "graft": _decode_graft,
    "prune": _decode_prune,
    "absent": _decode_absent,
}
