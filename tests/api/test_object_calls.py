"""Messages become calls of plain values, and results become messages."""

from datetime import UTC, datetime

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvnode._pb import objects_pb2 as pb
from kvnode.api.object_calls import (
    FORWARDED_BYTES_MAX,
    call_of,
    request_of,
    result_message,
)
from kvnode.api.objects_port import Call
from kvnode.errors import InvalidArgumentError, ObjectRaisedError
from kvnode.object_limits import ARGUMENTS_MAX, CALL_BYTES_MAX
from kvnode.object_values import Value, decode_value
from kvnode.objects.object_id import ObjectId
from tests.test_object_values import VALUES

CART = pb.ObjectTarget(class_name="Cart", name="c")
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)


def _request(*arguments: pb.ObjectValue) -> pb.CallRequest:
    return pb.CallRequest(target=CART, method="add", arguments=arguments)


def _shared(levels: int) -> bytes:
    """Return a list that holds two of the same list, which holds two, and so on."""
    value: list[Value] = []
    for _ in range(levels):
        value = [value, value]
    return cbor2.dumps(value, value_sharing=True)


def test_call_says_what_the_request_says() -> None:
    """Each field reaches its place, in whatever form arguments come."""
    request = _request(
        pb.ObjectValue(json='{"n":[1,null]}'),
        pb.ObjectValue(raw=b"\xff"),
        pb.ObjectValue(cbor=cbor2.dumps({"at": NOON, "tags": {"a"}})),
    )
    request.named["by"].json = "2.5"
    request.idempotency_key = "k1"

    call = call_of(request)

    assert call.target == ObjectId.from_name("Cart", "c")
    assert call.method == "add"
    assert call.arguments == [
        {"n": [1, None]},
        b"\xff",
        {"at": NOON, "tags": {"a"}},
    ]
    assert call.named == {"by": 2.5}
    assert call.idempotency_key == "k1"


def test_object_can_be_named_by_its_id() -> None:
    """The id of another class, or a mistyped one, is refused."""
    found = ObjectId.from_name("Cart", "c")
    request = _request()
    request.target.id = str(found)

    assert call_of(request).target.raw == found.raw

    request.target.class_name = "Counter"
    with pytest.raises(InvalidArgumentError, match="class Counter"):
        call_of(request)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (pb.CallRequest(method="add"), "which object"),
        (pb.CallRequest(target=CART), "0 characters"),
        (pb.CallRequest(target=CART, method="m" * 129), "129 characters"),
        (
            pb.CallRequest(
                target=pb.ObjectTarget(class_name="no class", name="c"), method="add"
            ),
            "no class",
        ),
        (_request(pb.ObjectValue()), "argument 1 of add is not given in any form"),
        (_request(pb.ObjectValue(json="{")), "argument 1 of add is not JSON"),
        (_request(pb.ObjectValue(json="NaN")), "NaN is no JSON value"),
        (_request(pb.ObjectValue(json="[" * 100_000)), "is not JSON"),
        (_request(pb.ObjectValue(json="[" * 70 + "]" * 70)), "nested more than"),
        (_request(pb.ObjectValue(cbor=b"\x81")), "argument 1 of add is not CBOR"),
        (_request(pb.ObjectValue(cbor=b"\x81" * 9999)), "is not CBOR"),
        (_request(pb.ObjectValue(cbor=cbor2.dumps(cbor2.undefined))), "holds a"),
        (
            _request(pb.ObjectValue(raw=bytes(CALL_BYTES_MAX))),
            f"at most {CALL_BYTES_MAX}",
        ),
        (
            _request(*[pb.ObjectValue(json="1")] * (ARGUMENTS_MAX + 1)),
            f"{ARGUMENTS_MAX + 1} arguments",
        ),
    ],
)
def test_request_that_breaks_a_rule_is_refused_by_name(
    request_: pb.CallRequest, message: str
) -> None:
    """The message says what was wrong."""
    with pytest.raises(InvalidArgumentError, match=message):
        call_of(request_)


@pytest.mark.parametrize(
    "data",
    [
        _shared(40),
        b"\xd8\x1c\x81\xd8\x1d\x00",  # a list that is its own element
        cbor2.dumps(["x" * 1000] * 1000, string_referencing=True),
        b"\x82\xd8\x1c\xc2\x59\x03\xe8" + b"\xff" * 1000 + b"\xd8\x1d\x00",
    ],
    ids=["lists", "cycle", "text", "number"],
)
def test_argument_with_more_in_it_than_it_spells_out_is_refused(data: bytes) -> None:
    """A few bytes must not become a value that nobody can walk through."""
    with pytest.raises(InvalidArgumentError, match="argument 1 of add is not CBOR"):
        call_of(_request(pb.ObjectValue(cbor=data)))


@given(data=st.binary(max_size=64))
@example(data=b"\xc1\xfb\x7f\xef\xff\xff\xff\xff\xff\xff")  # a time without end
@example(data=b"\xd8\x1e\x82\x01\x00")  # a fraction over nothing
@example(data=b"\x9b" + b"\xff" * 8)  # a list of 2**64 - 1
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    """No client can bring down a stream, which others may share."""
    try:
        (value,) = call_of(_request(pb.ObjectValue(cbor=data))).arguments
    except InvalidArgumentError:
        return
    result_message(value, pb.RESULT_FORM_CBOR)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, "null"),
        ([1, 2.5, True, "ü"], '[1,2.5,true,"ü"]'),
        ({"a": (1, {})}, '{"a":[1,{}]}'),
    ],
)
def test_result_is_json_if_that_is_asked_for(result: Value, text: str) -> None:
    """Without spaces, and without escapes that nobody needs."""
    assert result_message(result, pb.RESULT_FORM_JSON).json == text


@pytest.mark.parametrize(
    "result",
    [b"x", {"a": [b"x"]}, {"a"}, NOON, float("nan"), float("inf"), {1: "a"}, [{2: 1}]],
)
def test_result_that_json_cannot_say_is_told_as_such(result: Value) -> None:
    """The method has run, so that this is no refusal; as CBOR it can be had."""
    with pytest.raises(ObjectRaisedError, match=r"has run, but .* ask for it as CBOR"):
        result_message(result, pb.RESULT_FORM_JSON)

    again = decode_value(result_message(result, pb.RESULT_FORM_CBOR).cbor)

    assert repr(again) == repr(result)


def test_result_beyond_the_limit_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In either form."""
    monkeypatch.setattr("kvnode.api.object_calls.RESULT_BYTES_MAX", 100)

    for form in (pb.RESULT_FORM_JSON, pb.RESULT_FORM_CBOR):
        with pytest.raises(ObjectRaisedError, match=r"has run, but .* 100"):
            result_message("x" * 101, form)


names = st.text(min_size=1, max_size=10)
targets = st.one_of(
    st.builds(ObjectId.from_name, st.just("Cart"), names),
    st.binary(min_size=24, max_size=24).map(
        lambda drawn: ObjectId.drawn("Cart", lambda _: drawn)
    ),
)


@given(
    target=targets,
    method=names,
    arguments=st.lists(VALUES, max_size=3),
    named=st.dictionaries(names, VALUES, max_size=3),
    key=st.text(max_size=10),
)
def test_call_that_is_sent_on_comes_as_it_was(
    target: ObjectId,
    method: str,
    *,
    arguments: list[Value],
    named: dict[str, Value],
    key: str,
) -> None:
    """And says that another node has sent it, whether or not it did so before."""
    call = Call(target, method, arguments, named, key)
    for each in (call, call._replace(is_forwarded=True)):
        request = pb.CallRequest.FromString(request_of(each).SerializeToString())
        assert call_of(request) == call._replace(is_forwarded=True)


@pytest.mark.parametrize(
    "text",
    [
        "[" + ",".join(["1.5"] * 30_000) + "]",
        "[" + ",".join(["1e9"] * 30_000) + "]",
        "[" + ",".join(["[]"] * 30_000) + "]",
        '"' + "\u00e4" * 100_000 + '"',
        "9" * 4000,
    ],
    ids=["fractions", "exponents", "lists", "escapes", "digits"],
)
def test_whatever_a_client_may_send_in_json_can_be_sent_on(text: str) -> None:
    """Another form of it may be longer, and is allowed to be."""
    call = call_of(_request(pb.ObjectValue(json=text)))
    assert call_of(request_of(call)).arguments == call.arguments


def test_call_of_a_client_is_held_to_its_own_limit() -> None:
    """One that another node has sent may be larger, up to a bound."""
    request = _request(pb.ObjectValue(raw=bytes(CALL_BYTES_MAX)))
    with pytest.raises(InvalidArgumentError, match=f"at most {CALL_BYTES_MAX}"):
        call_of(request)
    request.forwarded = True
    assert call_of(request).is_forwarded

    request = _request(pb.ObjectValue(raw=bytes(FORWARDED_BYTES_MAX)))
    request.forwarded = True
    with pytest.raises(InvalidArgumentError, match=f"at most {FORWARDED_BYTES_MAX}"):
        call_of(request)


def test_argument_that_is_too_large_to_be_sent_on_is_refused() -> None:
    """Before anything is sent."""
    call = Call(ObjectId.from_name("Cart", "c"), "add", ["x" * FORWARDED_BYTES_MAX])
    with pytest.raises(InvalidArgumentError, match="what add is given takes"):
        request_of(call)
