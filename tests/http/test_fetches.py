"""Requests that objects answer: what they see of them, and what comes back."""

from typing import Any

import pytest

from kvnode.api.objects_port import Call
from kvnode.fetching import Request, Response
from kvnode.http.handler import Handler
from tests.api.objects_server import FakeObjects
from tests.http.asking import COUNTER, ask, error


def _answering(objects: FakeObjects, response: Response) -> list[Request]:
    """Let objects answer with *response*; return what they will have been asked."""
    asked: list[Request] = []

    def answer(call: Call) -> Any:  # noqa: ANN401 -- any value
        assert call.method == "fetch"
        (argument,) = call.arguments
        asked.append(Request.from_value(argument))
        return response.as_value()

    objects.answer = answer
    return asked


async def test_object_sees_the_request_from_its_own_path(
    handler: Handler, objects: FakeObjects
) -> None:
    """Not decoded, and without what belongs to the connection."""
    asked = _answering(objects, Response())

    await ask(
        handler,
        "PATCH",
        f"{COUNTER}/fetch/a%2Fb//c?x=1&y=+",
        b"\xff",
        host="shop.example",
        x_forwarded_proto="https",
        x_who="ann",
        connection="keep-alive, X-Hop",
        x_hop="1",
        upgrade="websocket",
    )

    assert asked == [
        Request(
            "PATCH",
            "https://shop.example/a%2Fb//c?x=1&y=+",
            (
                ("host", "shop.example"),
                ("x-forwarded-proto", "https"),
                ("x-who", "ann"),
            ),
            b"\xff",
        )
    ]


@pytest.mark.parametrize("proto", ["gopher", ""])
async def test_url_has_a_scheme_of_http(
    handler: Handler, objects: FakeObjects, proto: str
) -> None:
    """Whatever a header says."""
    asked = _answering(objects, Response())

    await ask(handler, "GET", f"{COUNTER}/fetch", x_forwarded_proto=proto)

    assert asked[0].url == "http://localhost/"


async def test_response_of_an_object_is_the_answer(
    handler: Handler, objects: FakeObjects
) -> None:
    """All of it, but for what only the server can say."""
    given = (
        ("Set-Cookie", "a"),
        ("set-cookie", "b"),
        ("Content-Length", "7"),
        ("Transfer-Encoding", "chunked"),
        ("kvnode-error", "MadeUpError"),
    )
    _answering(objects, Response(418, given, b"\xff"))

    response = await ask(handler, "GET", f"{COUNTER}/fetch")

    assert response == Response(418, given[:2], b"\xff")


async def test_answer_that_is_no_response_is_the_nodes_fault(
    handler: Handler, objects: FakeObjects
) -> None:
    """A node of an earlier version may have called a method of that name."""
    objects.answer = lambda _: 3

    found = error(await ask(handler, "GET", f"{COUNTER}/fetch"), 500)

    assert found["name"] == "PeerProtocolError"
