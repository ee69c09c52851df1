"""Messages of repairs as protobuf, and back (rule D9)."""

from typing import assert_never

from kvnode._pb import peer_pb2 as pb
from kvnode.core.replication.messages import (
    RepairAcknowledgement,
    RepairBegin,
    RepairEnd,
    RepairMessage,
    RepairPage,
    RepairRange,
)
from kvnode.errors import PeerProtocolError
from kvnode.transport.wire_values import (
    decode_entries,
    decode_floor,
    encode_entry,
    encode_floor,
)


def encode_repair(message: RepairMessage) -> pb.RepairMessage:
    """Return *message* as protobuf has it."""
    said = pb.RepairMessage(session=message.session)
    match message:
        case RepairBegin():
            said.begin.SetInParent()
        case RepairRange(_, data):
            said.range = data
        case RepairPage():
            _fill_page(said.page, message)
        case RepairAcknowledgement(_, changed, refused):
            said.acknowledgement.SetInParent()
            said.acknowledgement.changed = changed
            said.acknowledgement.refused = refused
        case RepairEnd(_, reason):
            said.ended = reason
        case _:
            assert_never(message)
    return said


def _fill_page(said: pb.RepairMessage.Page, page: RepairPage) -> None:
    said.SetInParent()
    said.entries.extend(map(encode_entry, page.entries))
    said.last = page.last
    said.doubtful = page.doubtful
    if page.floor:
        said.floor.CopyFrom(encode_floor(page.floor))


def decode_repair(said: pb.RepairMessage) -> RepairMessage:
    """
    Return the message that protobuf has as *said*.

    Raises:
        PeerProtocolError: It says nothing, or its floor is none.
    """
    session = said.session
    match said.WhichOneof("what"):
        case "begin":
            return RepairBegin(session)
        case "range":
            return RepairRange(session, said.range)
        case "page":
            page = said.page
            return RepairPage(
                session,
                decode_entries(page.entries),
                page.last,
                decode_floor(page.floor),
                page.doubtful,
            )
        case "acknowledgement":
            told = said.acknowledgement
            return RepairAcknowledgement(session, told.changed, told.refused)
        case "ended":
            return RepairEnd(session, said.ended)
        case _:
            msg = "a repair message that says nothing"
            raise PeerProtocolError(msg)
