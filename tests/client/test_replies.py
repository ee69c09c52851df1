"""Replies that no correct node sends are errors, not guesses."""

import pytest

from kvnode._pb import kv_pb2
from kvnode.client.replies import value_of
from kvnode.errors import PeerProtocolError


def test_unknown_type_of_value_is_an_error() -> None:
    """A newer node may know more types."""
    reply = kv_pb2.GetReply.FromString(b"\x08\x63")

    with pytest.raises(PeerProtocolError, match="type 99"):
        value_of(reply)


def test_metadata_that_is_no_json_is_an_error() -> None:
    """The node checks it on the way in."""
    reply = kv_pb2.GetReply(type=kv_pb2.VALUE_TYPE_REGISTER, metadata="{")

    with pytest.raises(PeerProtocolError, match="JSON"):
        value_of(reply)
