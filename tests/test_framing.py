"""Messages that are put together from parts are what protobuf would have made."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode._pb import objects_pb2 as pb
from kvnode.framing import embedded, frame_element

_PAYLOADS = st.binary(max_size=20_000)


@given(payload=_PAYLOADS)
def test_element_of_a_frame_is_what_protobuf_writes(payload: bytes) -> None:
    """Whatever its size: a length takes one byte or several."""
    value = pb.ObjectValue(cbor=payload)
    call = pb.ObjectCall(call=pb.CallRequest(arguments=[value]))

    element = frame_element(call.SerializeToString())

    assert element == pb.CallFrame(calls=[call]).SerializeToString()


@given(payload=_PAYLOADS, identifier=st.integers(0, 2**64 - 1))
def test_parts_of_a_message_are_merged(payload: bytes, identifier: int) -> None:
    """A request in parts, one of them with the id of its call, is one request."""
    common = pb.CallRequest(method="add", arguments=[pb.ObjectValue(raw=b"first")])
    given_later = pb.CallRequest(arguments=[pb.ObjectValue(cbor=payload)])
    stamp = pb.ObjectCall(id=identifier, call=pb.CallRequest(deadline_ms=7))
    field = pb.ObjectCall.CALL_FIELD_NUMBER

    parts = (
        stamp.SerializeToString()
        + embedded(field, common.SerializeToString())
        + embedded(field, given_later.SerializeToString())
    )

    whole = pb.ObjectCall(id=identifier, call=common)
    whole.call.MergeFrom(given_later)
    whole.call.deadline_ms = 7
    assert pb.ObjectCall.FromString(parts) == whole
