"""Requests and responses: there and back, and what HTTP could not carry."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.errors import InvalidArgumentError
from kvnode.fetching import Request, Response
from kvnode.limits import HTTP_HEADERS_MAX
from kvnode.object_values import decode_value, encode_value

HEADERS = st.lists(
    st.tuples(
        st.text("abcX-", min_size=1), st.text("ab \tüß€", max_size=9).map(str.strip)
    ),
    max_size=5,
).map(tuple)


def _passed(value: object) -> object:
    """Return what another node gets."""
    return decode_value(encode_value(value, "a message"))


@given(HEADERS, st.binary())
def test_request_comes_back(headers: Any, body: bytes) -> None:  # noqa: ANN401 -- drawn
    """As a call passes it on."""
    request = Request("PUT", "http://a/b?c=d", headers, body)

    assert Request.from_value(_passed(request.as_value())) == request


@given(st.sampled_from([200, 404, 599]), HEADERS, st.binary())
def test_response_comes_back(status: int, headers: Any, body: bytes) -> None:  # noqa: ANN401 -- drawn
    """As a call returns it."""
    response = Response(status, headers, body)

    assert Response.from_value(_passed(response.as_value())) == response


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "GE T"},
        {"method": ""},
        {"method": 5},
        {"url": ""},
        {"url": "/a b"},
        {"url": "/a\r\nX: y"},
        {"body": "text"},
        {"headers": (("a", "b\r\nc: d"),)},
        {"headers": (("a\n", "b"),)},
        {"headers": (("", "b"),)},
        {"headers": (("a", " b"),)},
        {"headers": (("a", b"b"),)},
        {"headers": ("ab",)},
        {"headers": (("a", "b"),) * (HTTP_HEADERS_MAX + 1)},
    ],
)
def test_request_that_http_could_not_carry_is_refused(wrong: dict[str, Any]) -> None:
    """Where it is made, so that whoever made it is told."""
    with pytest.raises(InvalidArgumentError):
        Request(**{"method": "GET", "url": "/", **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": 199},
        {"status": 600},
        {"status": "200"},
        {"status": 204, "body": b"x"},
        {"status": 304, "body": b"x"},
        {"body": None},
        {"headers": (("a", "b\x00"),)},
    ],
)
def test_response_that_http_could_not_carry_is_refused(wrong: dict[str, Any]) -> None:
    """By the object that would answer so."""
    with pytest.raises(InvalidArgumentError):
        Response(**wrong)


@pytest.mark.parametrize(
    "value", [None, {}, {"method": "GET", "url": "/", "headers": [], "body": "text"}]
)
def test_argument_that_is_no_request_is_refused(value: object) -> None:
    """Whoever calls `fetch` by its name is told what it takes."""
    with pytest.raises(InvalidArgumentError, match="fetch takes a request"):
        Request.from_value(value)


def test_headers_are_found_in_any_case() -> None:
    """The first of that name counts."""
    request = Request("GET", "/", (("X-Who", "ann"), ("x-who", "bob")))

    assert request.header("x-WHO") == "ann"
    assert request.header("who") is None


def test_bodies_say_text_and_json() -> None:
    """And tell what they are."""
    text, json = Response.of_text("ü", 404), Response.of_json({"a": ["ü"]})

    assert (text.status, text.text(), text.header("content-type")) == (
        404,
        "ü",
        "text/plain;charset=utf-8",
    )
    assert (json.json(), json.header("Content-Type")) == (
        {"a": ["ü"]},
        "application/json",
    )
