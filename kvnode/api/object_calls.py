"""
Calls of objects between their messages and the values of `ObjectsPort`.

Whatever a client sends becomes plain values here, or an error: no type that an object
could not store reaches one.
"""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from kvnode._pb import objects_pb2 as pb
from kvnode.api.calling import check_name, check_shape, checked_region
from kvnode.api.limits import checked_patience, no_constant
from kvnode.api.objects_port import Call
from kvnode.errors import (
    CorruptRecordError,
    InvalidArgumentError,
    ObjectRaisedError,
)
from kvnode.object_limits import CALL_BYTES_MAX
from kvnode.object_values import PLAIN_TYPES, Value, decode_value, encode_value
from kvnode.objects.object_id import ObjectId

FORWARDED_BYTES_MAX: Final = 5 * CALL_BYTES_MAX
"""A call between nodes, as CBOR: a number of three characters in JSON takes nine."""

_NONE_NAMED: Final[Mapping[str, Value]] = {}

RESULT_BYTES_MAX: Final = 8 * 1024 * 1024
"""What 1 MiB of an object's values may become if JSON has to escape all of it."""


class Asked(NamedTuple):
    """
    What a client asks for.

    Attributes:
        call: What is to be done.
        form: In what form it wants the result.
    """

    call: Call
    form: "pb.ResultForm.ValueType"


def asked_by(request: bytes) -> Asked:
    """
    Return what *request*, a serialized CallRequest, asks for.

    Raises:
        InvalidArgumentError: It is none, or breaks a rule or a limit.
    """
    try:
        message = pb.CallRequest.FromString(request)
    except DecodeError as error:
        msg = f"{len(request)} bytes are no request of a call: {error}"
        raise InvalidArgumentError(msg) from error
    return asked_of(message)


def asked_of(request: pb.CallRequest) -> Asked:
    """
    Return what *request* asks for.

    Raises:
        InvalidArgumentError: It breaks a rule or a limit.
    """
    patience_ms = checked_patience(request.deadline_ms)
    return Asked(call_of(request, patience_ms=patience_ms), request.result_form)


def is_plain(call: Call) -> bool:
    """Tell whether no argument of *call* can be changed by the method that gets it."""
    arguments = (*call.arguments, *call.named.values())
    return all(type(each) in PLAIN_TYPES for each in arguments)


def call_of(request: pb.CallRequest, *, patience_ms: int = 0) -> Call:
    """
    Return the call that *request* asks for.

    Args:
        request: From a client, or another node.
        patience_ms: For how long whoever has sent it waits; 0 = nobody knows.

    Raises:
        InvalidArgumentError: It breaks a rule or a limit.
    """
    size_bytes = request.ByteSize()
    bytes_max = FORWARDED_BYTES_MAX if request.forwarded else CALL_BYTES_MAX
    if size_bytes > bytes_max:
        msg = f"the call has {size_bytes} bytes; at most {bytes_max} are allowed"
        raise InvalidArgumentError(msg)
    method, is_forwarded = request.method, request.forwarded
    count, count_named = len(request.arguments), len(request.named)
    check_shape(method, count + count_named)
    arguments: list[Value] = []
    if count:
        arguments = [
            _value(argument, f"argument {place} of {method}")
            for place, argument in enumerate(request.arguments, start=1)
        ]
    named: Mapping[str, Value] = _NONE_NAMED
    if count_named:
        named = {
            name: _value(argument, f"argument {name!r} of {method}")
            for name, argument in request.named.items()
        }
    home = ""
    if is_forwarded:
        home = checked_region(request.home)
    else:
        check_name(method)
    location_hint = request.location_hint
    if location_hint:
        checked_region(location_hint)
    return Call(
        target_of(request.target),
        method,
        arguments,
        named,
        request.idempotency_key,
        is_forwarded,
        patience_ms,
        location_hint,
        home,
    )


def request_of(call: Call) -> pb.CallRequest:
    """
    Return *call* as one node sends it on to another; the inverse of `call_of`.

    Raises:
        InvalidArgumentError: It is too large.
    """
    subject = f"what {call.method} is given"
    arguments = [_message(each, subject) for each in call.arguments]
    named = {name: _message(each, subject) for name, each in call.named.items()}
    target = pb.ObjectTarget(class_name=call.target.class_name)
    if call.target.name:
        target.name = call.target.name
    else:
        target.id = str(call.target)
    return pb.CallRequest(
        target=target,
        method=call.method,
        arguments=arguments,
        named=named,
        idempotency_key=call.idempotency_key,
        result_form=pb.RESULT_FORM_CBOR,
        forwarded=True,
        location_hint=call.location_hint,
        home=call.home,
    )


def _message(argument: Value, subject: str) -> pb.ObjectValue:
    if isinstance(argument, bytes):
        return pb.ObjectValue(raw=argument)
    data = encode_value(argument, subject, bytes_max=FORWARDED_BYTES_MAX)
    return pb.ObjectValue(cbor=data)


def result_message(result: Value, form: "pb.ResultForm.ValueType") -> pb.ObjectValue:
    """
    Return *result* in the form that the caller wants.

    Raises:
        ObjectRaisedError: It has none; the method has run.
    """
    try:
        if form == pb.RESULT_FORM_CBOR:
            data = encode_value(result, "the result", bytes_max=RESULT_BYTES_MAX)
            return pb.ObjectValue(cbor=data)
        return pb.ObjectValue(json=_json_text(result))
    except InvalidArgumentError as error:
        msg = f"the method has run, but its result cannot be sent: {error}"
        raise ObjectRaisedError(msg, type_name=type(error).__name__) from error


def set_encoded_result(
    message: pb.ObjectValue, result: bytes, form: "pb.ResultForm.ValueType"
) -> None:
    """
    Let *message* say *result*, encoded as values are, in the form the caller wants.

    Raises:
        ObjectRaisedError: It has none; the method has run.
    """
    if form == pb.RESULT_FORM_CBOR and len(result) <= RESULT_BYTES_MAX:
        message.cbor = result
    else:
        message.CopyFrom(result_message(decode_value(result), form))


def target_of(target: pb.ObjectTarget) -> ObjectId:
    """
    Return which object is meant.

    Raises:
        InvalidArgumentError: None is, or its name or id is none.
    """
    class_name, name = target.class_name, target.name
    if name or target.HasField("name"):
        return ObjectId.from_name(class_name, name)
    if target.HasField("id"):
        return ObjectId.parse(class_name, target.id)
    msg = "the call does not say which object: give its name or its id"
    raise InvalidArgumentError(msg)


def _value(message: pb.ObjectValue, subject: str) -> Value:
    match message.WhichOneof("form"):
        case "raw":
            return message.raw
        case "json":
            value = _of_json(message.json, subject)
        case "cbor":
            value = _of_cbor(message.cbor, subject)
        case _:
            msg = f"{subject} is not given in any form: set json, raw or cbor"
            raise InvalidArgumentError(msg)
    # Refuses types that no object can store, and what is nested too deep.
    encode_value(value, subject, bytes_max=FORWARDED_BYTES_MAX)
    return value


def _of_json(text: str, subject: str) -> Value:
    try:
        found: Value = json.loads(text, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        msg = f"{subject} is not JSON: {error}"
        raise InvalidArgumentError(msg) from error
    return found


def _of_cbor(data: bytes, subject: str) -> Value:
    try:
        return decode_value(data)
    except CorruptRecordError as error:
        msg = f"{subject} is not CBOR: {error}"
        raise InvalidArgumentError(msg) from error


def _json_text(result: Value) -> str:
    try:
        _check_keys(result)
        text = json.dumps(
            result, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        size_bytes = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"JSON cannot say it ({error}): ask for it as CBOR"
        raise InvalidArgumentError(msg) from error
    if size_bytes > RESULT_BYTES_MAX:
        msg = f"as JSON it has {size_bytes} bytes; at most {RESULT_BYTES_MAX} can be"
        raise InvalidArgumentError(msg)
    return text


def _check_keys(value: Value) -> None:
    """Refuse maps whose keys JSON would turn into text."""
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                msg = f"keys are text, and {key!r} is {type(key).__name__}"
                raise TypeError(msg)
            _check_keys(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_keys(each)
