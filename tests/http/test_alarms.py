"""Alarms of objects over HTTP: read, set and deleted at one path."""

from collections.abc import AsyncIterator

import pytest

from kvnode.errors import IndeterminateError, InvalidArgumentError
from kvnode.http.handler import Handler
from kvnode.object_values import Value
from kvnode.objects.alarming import ALARM, SET_ALARM
from kvnode.objects.object_id import ObjectId
from tests.api.objects_server import FakeObjects
from tests.http.asking import COUNTER, SiteObjects, ask, error, now, result
from tests.objects.running.objects import NOW, site

PATH = f"{COUNTER}/alarm"
BELL = "/v1/objects/Bell/b"


@pytest.fixture
async def real() -> AsyncIterator[Handler]:
    """A handler of real objects of one shard."""
    async with site() as made:
        yield Handler(SiteObjects(made), serves=lambda: True, now=now)


async def test_alarm_is_read_set_and_deleted(real: Handler) -> None:
    """Each answer says what is so then, and the object sees the same."""
    path = f"{BELL}/alarm"
    assert result(await ask(real, "GET", path)) is None
    set_ = await ask(real, "PUT", path, {"at_ms": NOW + 5000})
    assert result(set_) == {"at_ms": NOW + 5000}
    assert result(await ask(real, "GET", path)) == {"at_ms": NOW + 5000}
    assert result(await ask(real, "POST", f"{BELL}/call/due")) == NOW + 5000
    assert result(await ask(real, "PUT", path, {"in_ms": 700})) == {"at_ms": NOW + 700}
    assert result(await ask(real, "DELETE", path)) is None
    assert result(await ask(real, "DELETE", path)) is None
    assert result(await ask(real, "POST", f"{BELL}/call/due")) is None


@pytest.mark.parametrize(
    ("method", "body", "asked"),
    [
        ("GET", None, (ALARM, [])),
        ("HEAD", None, (ALARM, [])),
        ("PUT", {"at_ms": 0}, (SET_ALARM, [0])),
        ("PUT", {"in_ms": 0}, (SET_ALARM, [NOW])),
        ("DELETE", None, (SET_ALARM, [None])),
    ],
)
async def test_request_is_one_call_that_no_method_has(
    handler: Handler, objects: FakeObjects, method: str, body: object, asked: object
) -> None:
    """With the patience and the hint of the request."""
    objects.answer = lambda _: None
    headers = {"kvnode_deadline_ms": "70", "kvnode_location_hint": "europe"}

    assert result(await ask(handler, method, PATH, body, **headers)) is None

    (call,) = objects.calls
    assert (call.method, [*call.arguments]) == asked
    assert call.target == ObjectId.from_name("Counter", "c")
    assert (call.patience_ms, call.location_hint) == (70, "europe")


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"{",
        7,
        [7],
        {},
        {"at_ms": None},
        {"at_ms": -1},
        {"at_ms": 1.5},
        {"at_ms": True},
        {"at_ms": "7"},
        {"in_ms": -1},
        {"in_ms": False},
        {"at_ms": 1, "in_ms": 1},
        {"at": 1},
    ],
)
async def test_body_that_is_no_time_is_refused(
    handler: Handler, objects: FakeObjects, body: object
) -> None:
    """With what it takes; to delete it is said by DELETE, not by no time."""
    found = error(await ask(handler, "PUT", PATH, body), 400)

    assert 'it takes a time, such as {"at_ms": 1' in found["message"]
    assert not objects.calls


async def test_class_without_alarm_is_told_as_the_callers_mistake(
    real: Handler,
) -> None:
    """And not as one of the object's code."""
    refused = await ask(real, "PUT", f"{COUNTER}/alarm", {"in_ms": 5})
    found = error(refused, 400)
    assert "has no `async def alarm" in found["message"]
    assert not found["remote"]
    far = await ask(real, "PUT", f"{BELL}/alarm", {"at_ms": (1 << 53) + 1})
    assert "the ms since 1970, 0 to" in error(far, 400)["message"]


async def test_class_that_no_node_serves_is_not_found(
    handler: Handler, objects: FakeObjects
) -> None:
    """As for a call of a method."""
    objects.failures.append(InvalidArgumentError("no class 'Cart' is served here"))

    error(await ask(handler, "GET", "/v1/objects/Cart/c/alarm"), 404)


async def test_doubt_is_told(handler: Handler, objects: FakeObjects) -> None:
    """It may have been set."""
    objects.failures.append(IndeterminateError("the lead was lost"))

    assert error(await ask(handler, "DELETE", PATH), 500)["maybe_happened"]


async def test_idempotency_key_is_refused(
    handler: Handler, objects: FakeObjects
) -> None:
    """It would promise what is not kept."""
    asked = await ask(handler, "PUT", PATH, {"in_ms": 5}, idempotency_key="k")

    assert "takes no idempotency-key" in error(asked, 400)["message"]
    assert not objects.calls


async def test_other_methods_of_http_are_refused(handler: Handler) -> None:
    """With those that there are."""
    response = await ask(handler, "POST", PATH, {"in_ms": 5})

    assert error(response, 405)
    assert response.header("allow") == "GET, HEAD, PUT, DELETE"


@pytest.mark.parametrize("answer", ["soon", True, -1, [7]])
async def test_answer_that_is_no_time_is_an_error(
    handler: Handler, objects: FakeObjects, answer: Value
) -> None:
    """It comes from another node, maybe of a later version."""
    objects.answer = lambda _: answer

    assert "has answered with" in error(await ask(handler, "GET", PATH), 500)["message"]
