"""Requests and their answers: health, ids, calls, and what goes wrong."""

import asyncio
import re

import pytest

from kvnode.errors import (
    DamagedRecordError,
    DeadlineError,
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    NotLeaderError,
    ObjectEndedError,
    ObjectRaisedError,
    OverloadedError,
    RejectedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.fetching import Response
from kvnode.http.handler import Handler
from kvnode.object_values import Value
from kvnode.objects.alarming import ALARM_METHODS
from kvnode.objects.locating import LOCATE
from kvnode.objects.object_id import ObjectId
from kvnode.objects.points.point_calls import POINT_METHODS
from kvnode.types import DEFAULT_NAMESPACE, EntryKey
from tests.api.objects_server import FakeObjects
from tests.http.asking import COUNTER, ask, error, now, result

ADD = f"{COUNTER}/call/add"


# -- the node -------------------------------------------------------------------------


@pytest.mark.parametrize(("serves", "status"), [(True, 200), (False, 503)])
@pytest.mark.parametrize("has_objects", [True, False])
async def test_health_is_whether_clients_should_come(
    objects: FakeObjects, *, serves: bool, status: int, has_objects: bool
) -> None:
    """Whatever becomes of objects: keys have no part in that."""
    handler = Handler(objects if has_objects else None, serves=lambda: serves, now=now)

    assert (await ask(handler, "GET", "/healthz")).status == status


async def test_node_without_objects_says_so() -> None:
    """And what to do."""
    handler = Handler(None, serves=lambda: True, now=now)

    found = error(await ask(handler, "POST", ADD), 501)

    assert "start it with --objects" in found["message"]


async def test_overview_tells_classes_and_shards(handler: Handler) -> None:
    """As `kvnode object status` does."""
    found = result(await ask(handler, "GET", "/v1/objects"))

    assert found["classes"] == ["Counter", "Storage"]
    assert found["shards"][0] == {
        "shard": "s000",
        "epoch": 7,
        "led_here": True,
        "committed": 40,
        "applied": 39,
        "instances": 2,
        "leader": "tokyo",
        "fault": "",
    }


async def test_ids_are_those_of_names_or_new(handler: Handler) -> None:
    """Computed as they are for gRPC."""
    named = result(await ask(handler, "GET", f"{COUNTER}/id"))
    drawn = result(await ask(handler, "POST", "/v1/objects/Counter/ids"))
    by_id = result(
        await ask(handler, "GET", f"/v1/objects/Counter/id/{drawn['id']}/id")
    )

    assert named["id"] == str(ObjectId.from_name("Counter", "c"))
    assert named["name"] == "c"
    assert drawn["id"] == str(ObjectId.drawn("Counter", bytes))
    assert by_id == drawn


async def test_ids_of_classes_that_are_not_there_are_refused(handler: Handler) -> None:
    """One that nobody could ever use."""
    found = error(await ask(handler, "POST", "/v1/objects/Cart/ids"), 404)

    assert (
        "no class 'Cart' is served here; there are Counter, Storage" in found["message"]
    )


# -- calls ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "arguments", "named"),
    [
        (None, [], {}),
        (b" ", [], {}),
        ([], [], {}),
        ([1, "ü", None, [True]], [1, "ü", None, [True]], {}),
        ([{"base64": "/w=="}], [b"\xff"], {}),
        ({"by": {"base64": "/w=="}}, [], {"by": b"\xff"}),
    ],
)
async def test_call_has_the_arguments_of_its_body(
    handler: Handler, objects: FakeObjects, body: object, arguments: Value, named: Value
) -> None:
    """By place, or by name; bytes in their one form."""
    await ask(handler, "POST", ADD, body)

    (call,) = objects.calls
    assert call.target == ObjectId.from_name("Counter", "c")
    assert (call.method, [*call.arguments], dict(call.named)) == (
        "add",
        arguments,
        named,
    )
    assert (call.idempotency_key, call.is_forwarded, call.patience_ms) == (
        "",
        False,
        5000,
    )


async def test_result_is_in_its_nearest_form(
    handler: Handler, objects: FakeObjects
) -> None:
    """Sets are lists, and bytes what they are as arguments."""
    objects.answer = lambda _: {"a": {1}, 2: [b"\xff", "ü"]}

    found = result(await ask(handler, "POST", ADD))

    assert found == {"a": [1], "2": [{"base64": "/w=="}, "ü"]}


async def test_headers_say_key_and_patience(
    handler: Handler, objects: FakeObjects
) -> None:
    """Of calls and of fetches."""
    objects.answer = lambda _: Response().as_value()
    given = {
        "idempotency_key": "k",
        "kvnode_deadline_ms": "70",
        "kvnode_location_hint": "europe",
    }

    await ask(handler, "POST", ADD, **given)
    await ask(handler, "GET", f"{COUNTER}/fetch", **given)

    assert [
        (call.idempotency_key, call.patience_ms, call.location_hint)
        for call in objects.calls
    ] == [("k", 70, "europe")] * 2


async def test_place_of_an_object_is_answered(
    handler: Handler, objects: FakeObjects
) -> None:
    """With the node that leads it, as this one knows."""
    objects.answer = lambda _: ["r.europe.003", True]
    assert result(await ask(handler, "GET", f"{COUNTER}/location")) == {
        "region": "europe",
        "shard": "r.europe.003",
        "leader": "osaka",
        "settled": True,
    }
    assert error(await ask(handler, "POST", f"{COUNTER}/location"), 405)


async def test_hint_that_can_be_no_region_is_refused(handler: Handler) -> None:
    """Nothing is asked of the object."""
    found = error(await ask(handler, "POST", ADD, kvnode_location_hint="a b"), 400)
    assert "is no name of a region" in found["message"]


async def test_call_that_does_not_end_is_told_to_be_open(
    handler: Handler, objects: FakeObjects
) -> None:
    """It may happen yet."""
    objects.hold["add"] = asyncio.Event()

    found = error(await ask(handler, "POST", ADD, kvnode_deadline_ms="1"), 504)

    assert found["maybe_happened"]
    assert "within 1 ms" in found["message"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (b"[3", {}, 400, "is not JSON .* it takes the arguments of add"),
        (b"[NaN]", {}, 400, "NaN is no JSON value"),
        (b"\xff", {}, 400, "is not JSON"),
        (b"[" * 100_000, {}, 400, "is not JSON"),
        (3, {}, 400, "neither an array nor an object"),
        ([{"base64": "!"}], {}, 400, "no base64"),
        (b'["\\ud800"]', {}, 400, "text that is none"),
        ([0] * 257, {}, 400, "257 arguments; at most 256"),
        ([], {"content_encoding": "gzip"}, 415, "packed .gzip."),
        ([], {"kvnode_deadline_ms": "-1"}, 400, "a number of milliseconds"),
        ([], {"kvnode_deadline_ms": "9" * 30}, 400, "at most 3600000"),
    ],
)
async def test_call_that_is_malformed_is_refused(
    handler: Handler,
    objects: FakeObjects,
    *,
    body: object,
    headers: dict[str, str],
    status: int,
    message: str,
) -> None:
    """Before it reaches any object, and with what to do."""
    found = error(await ask(handler, "POST", ADD, body, **headers), status)

    assert not found["maybe_happened"]
    assert objects.calls == []
    assert re.search(message, found["message"])


@pytest.mark.parametrize("method", sorted(POINT_METHODS | ALARM_METHODS | {LOCATE}))
async def test_what_nodes_ask_each_other_for_is_no_method(
    handler: Handler, objects: FakeObjects, method: str
) -> None:
    """An object is restored by those that run the node, not by every caller."""
    asked = await ask(handler, "POST", f"{COUNTER}/call/{method}", ["x"])
    assert "is no method" in error(asked, 400)["message"]
    assert not objects.calls


async def test_method_of_http_that_a_path_does_not_have_is_told(
    handler: Handler,
) -> None:
    """With those that it has."""
    response = await ask(handler, "GET", ADD)

    assert "POST is" in error(response, 405)["message"]
    assert response.header("allow") == "POST"


async def test_class_that_no_node_serves_is_not_found(
    handler: Handler, objects: FakeObjects
) -> None:
    """The node that leads says so, which may know more than the one that is asked."""
    objects.failures.append(InvalidArgumentError("no class 'Cart' is served here"))

    error(await ask(handler, "POST", "/v1/objects/Cart/c/call/add"), 404)

    assert len(objects.calls) == 1


KEY = EntryKey(DEFAULT_NAMESPACE, b"k")
FAILURES = (
    (InvalidArgumentError("x"), 400, False, False, False),
    (RejectedError("x"), 400, False, False, False),
    (OverloadedError("x"), 503, True, True, False),
    (NotLeaderError("x", leader="a"), 503, True, False, False),
    (UnavailableError("x"), 503, True, False, False),
    (ObjectEndedError("x"), 503, True, False, False),
    (StoreFullError("x"), 507, True, False, False),
    (
        DamagedRecordError("x", EntryKey(DEFAULT_NAMESPACE, b"k")),
        503,
        True,
        False,
        False,
    ),
    (IndeterminateError("x"), 500, False, False, True),
    (DeadlineError("x"), 504, False, False, True),
)


@pytest.mark.parametrize(
    ("failure", "status", "retryable", "overloaded", "maybe"), FAILURES
)
async def test_error_says_what_to_do_about_it(
    handler: Handler,
    objects: FakeObjects,
    *,
    failure: KvError,
    status: int,
    retryable: bool,
    overloaded: bool,
    maybe: bool,
) -> None:
    """By its status and exactly."""
    objects.failures.append(failure)

    response = await ask(handler, "POST", ADD)

    assert error(response, status) == {
        "name": type(failure).__name__,
        "message": "x",
        "retryable": retryable,
        "overloaded": overloaded,
        "maybe_happened": maybe,
        "remote": False,
    }
    assert (response.header("retry-after") is not None) == retryable


async def test_what_an_object_raises_is_told_as_its_own(
    handler: Handler, objects: FakeObjects
) -> None:
    """By the name of its type; it may have written before."""
    objects.failures.append(ObjectRaisedError("no apples", type_name="ValueError"))

    assert error(await ask(handler, "POST", ADD), 500) == {
        "name": "ValueError",
        "message": "no apples",
        "retryable": False,
        "overloaded": False,
        "maybe_happened": True,
        "remote": True,
    }


async def test_name_that_is_no_word_stays_out_of_the_headers(
    handler: Handler, objects: FakeObjects
) -> None:
    """A type may have any name."""
    objects.failures.append(ObjectRaisedError("x", type_name="a\r\nb"))

    response = await ask(handler, "POST", ADD)

    assert (response.status, response.header("kvnode-error")) == (500, "Error")
    assert response.json()["error"]["name"] == "a\r\nb"


async def test_what_nobody_foresaw_is_told_to_be_open(
    handler: Handler, objects: FakeObjects, caplog: pytest.LogCaptureFixture
) -> None:
    """And what it was is in the log, not in the answer."""
    objects.failures.append(LookupError("a secret"))

    found = error(await ask(handler, "POST", ADD), 500)

    assert found["maybe_happened"]
    assert "secret" not in found["message"]
    assert "a secret" in caplog.text
