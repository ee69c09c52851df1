"""What paths are about: names may hold anything, and ids are told from names."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.errors import InvalidArgumentError, RequestRefusedError
from kvnode.http.routes import (
    AlarmOf,
    CallOf,
    FetchOf,
    Health,
    IdOf,
    KeyOf,
    KeysOf,
    NewId,
    Overview,
    Route,
    TransactionOf,
    route_of,
)
from kvnode.objects.object_id import NAME_BYTES_MAX, ObjectId

CART = ObjectId.from_name("Cart", "c")
MAP = ObjectId.from_name("Storage", "m")
DRAWN = ObjectId.drawn("Cart", lambda count: bytes(range(count)))


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/healthz", Health()),
        ("/v1/objects", Overview()),
        ("/v1/objects/", Overview()),
        ("/v1/objects/Cart/ids", NewId("Cart")),
        ("/v1/objects/Cart/c/id", IdOf(CART)),
        ("/v1/objects/Cart/c/alarm", AlarmOf(CART)),
        ("/v1/objects/Cart/alarm/alarm", AlarmOf(ObjectId.from_name("Cart", "alarm"))),
        ("/v1/objects/Cart/c/call/add", CallOf(CART, "add")),
        ("/v1/objects/Cart/c/call/a%2Fb", CallOf(CART, "a/b")),
        ("/v1/objects/Cart/c/fetch", FetchOf(CART, "/")),
        ("/v1/objects/Cart/c/fetch/", FetchOf(CART, "/")),
        ("/v1/objects/Cart/c/fetch/a%2Fb//c/", FetchOf(CART, "/a%2Fb//c/")),
        ("/v1/objects/Storage/m/storage/keys", KeysOf(MAP)),
        ("/v1/objects/Storage/m/storage/keys/", KeyOf(MAP, "")),
        ("/v1/objects/Storage/m/storage/keys/a%2Fb", KeyOf(MAP, "a/b")),
        ("/v1/objects/Storage/m/storage/keys/a/b", KeyOf(MAP, "a/b")),
        ("/v1/objects/Storage/m/storage/transaction", TransactionOf(MAP)),
        (f"/v1/objects/Cart/id/{DRAWN}/id", IdOf(DRAWN)),
        (f"/v1/objects/Cart/id/{DRAWN}/alarm", AlarmOf(DRAWN)),
        (f"/v1/objects/Cart/id/{DRAWN}/call/add", CallOf(DRAWN, "add")),
        (f"/v1/objects/Cart/id/{DRAWN}/fetch/id", FetchOf(DRAWN, "/id")),
    ],
)
def test_path_says_what_is_wanted(path: str, route: Route) -> None:
    """Of which object."""
    assert route_of(path) == route


@pytest.mark.parametrize(
    ("rest", "kind"),
    [
        ("id", IdOf),
        ("alarm", AlarmOf),
        ("call/add", CallOf),
        ("fetch/call/x", FetchOf),
    ],
)
def test_object_may_be_named_like_a_word_of_routes(rest: str, kind: type[Any]) -> None:
    """What follows tells that `id` is no way to an id."""
    for name in ("id", "ids", "alarm", "call", "fetch", "storage"):
        found = route_of(f"/v1/objects/Cart/{name}/{rest}")

        assert isinstance(found, kind)
        assert found.target == ObjectId.from_name("Cart", name)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=NAME_BYTES_MAX // 4))
def test_any_name_can_be_reached(name: str) -> None:
    """Whatever it holds, encoded as JavaScript's encodeURIComponent does."""
    encoded = quote(name, safe="!*'()~")
    target = ObjectId.from_name("Cart", name)

    assert route_of(f"/v1/objects/Cart/{encoded}/call/add") == CallOf(target, "add")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/", "nothing is at '/'"),
        ("*", "nothing is at"),
        ("/healthz/", "nothing is at"),
        ("/v1/objectsCart", "nothing is at"),
        ("/v1/objects/Cart", "go on with ids, or with a name"),
        ("/v1/objects/Cart/c", "go on with ids, or with a name"),
        ("/v1/objects/Cart/ids/", "has no ''"),
        ("/v1/objects/Cart/c/call", "one method"),
        ("/v1/objects/Cart/c/call/a/b", "one method"),
        ("/v1/objects/Cart/c/id/", "has no 'id/'"),
        ("/v1/objects/Cart/c/alarm/1", "has no 'alarm/1'"),
        (
            "/v1/objects/Cart/c/alarms",
            "has no 'alarms'; it has id, location, alarm, call/METHOD",
        ),
        ("/v1/objects/Storage/m/nothing", "storage/keys/KEY"),
        ("/v1/objects/Cart/c/storage/keys", "only class Storage"),
        ("/v1/objects/Storage/m/storage/transaction/", "storage/transaction"),
    ],
)
def test_path_to_nothing_says_where_something_is(path: str, message: str) -> None:
    """404, in words."""
    with pytest.raises(RequestRefusedError, match=message) as caught:
        route_of(path)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v1/objects/1Cart/c/id", "no name of a class"),
        ("/v1/objects/Cart%2Fc/c/id", "no name of a class"),
        ("/v1/objects/Cart//id", "0 bytes; it takes 1 to 1024"),
        (f"/v1/objects/Cart/{'x' * 1025}/id", "1025 bytes"),
        ("/v1/objects/Cart/id/abc/id", "64 hexadecimal digits"),
        (f"/v1/objects/Other/id/{DRAWN}/id", "not the id of an object of class Other"),
    ],
)
def test_names_that_are_none_are_told(path: str, message: str) -> None:
    """With the limit."""
    with pytest.raises(InvalidArgumentError, match=message):
        route_of(path)
