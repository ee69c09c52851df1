"""The built-in map over HTTP, key by key; the real class on a log that is none."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from kvnode.http.handler import Handler
from tests.http.asking import SiteObjects, ask, error, now, result
from tests.objects.running.objects import site

MAP = "/v1/objects/Storage/m/storage"
KEYS = ["a", "a/b", "b", "ü", "\U0001f913"]  # in the order of their bytes


@pytest.fixture
async def objects() -> AsyncIterator[SiteObjects]:
    """Objects of one shard."""
    async with site() as made:
        yield SiteObjects(made)


@pytest.fixture
def handler(objects: SiteObjects) -> Handler:
    """A handler of them."""
    return Handler(objects, serves=lambda: True, now=now)


async def _pages(handler: Handler, query: str) -> list[list[str]]:
    """Return the keys of all pages."""
    pages: list[list[str]] = []
    cursor = ""
    while len(pages) < 10:
        page = result(await ask(handler, "GET", f"{MAP}/keys?{query}&cursor={cursor}"))
        pages.append([item["key"] for item in page["items"]])
        assert page["list_complete"] == ("cursor" not in page)
        if page["list_complete"]:
            break
        cursor = page["cursor"]
    return pages


async def test_key_is_put_read_and_deleted(handler: Handler) -> None:
    """Each answer says what the method of the class would."""
    key = f"{MAP}/keys/a%2Fb"

    assert result(await ask(handler, "GET", key)) is None
    assert result(await ask(handler, "PUT", key, {"n": [{"base64": "/w=="}]})) == 1
    found = result(await ask(handler, "GET", key))
    assert found == {"value": {"n": [{"base64": "/w=="}]}, "version": 1}
    assert result(await ask(handler, "GET", f"{MAP}/keys/a/b")) == found
    assert result(await ask(handler, "DELETE", key)) is True
    assert result(await ask(handler, "DELETE", key)) is False


async def test_key_is_put_once_under_an_idempotency_key(handler: Handler) -> None:
    """As any call."""
    for _ in range(2):
        answer = await ask(handler, "PUT", f"{MAP}/keys/a", 1, idempotency_key="k")
        assert result(answer) == 1


@pytest.mark.parametrize(
    ("query", "pages"),
    [
        ("limit=2", [KEYS[:2], KEYS[2:4], KEYS[4:]]),
        ("limit=5", [KEYS]),
        ("limit=2&reverse=true", [KEYS[:2:-1], KEYS[2:0:-1], KEYS[:1]]),
        ("limit=1&prefix=a", [["a"], ["a/b"]]),
        ("limit=1&start=a%2Fb&end=%C3%BC", [["a/b"], ["b"]]),
        ("limit=1&start=b&reverse=true&end=%C3%BC", [["b"]]),
        ("prefix=none", [[]]),
    ],
)
async def test_keys_are_listed_page_by_page(
    handler: Handler, query: str, pages: list[list[str]]
) -> None:
    """Nothing twice, nothing left out, and the last page says that it is."""
    for key in KEYS:
        result(await ask(handler, "PUT", f"{MAP}/keys/{quote(key, safe='')}", key))

    assert await _pages(handler, query) == pages


async def test_page_shows_values_and_versions(handler: Handler) -> None:
    """So that a condition can be made of them."""
    result(await ask(handler, "PUT", f"{MAP}/keys/a", [1]))

    assert result(await ask(handler, "GET", f"{MAP}/keys"))["items"] == [
        {"key": "a", "value": [1], "version": 1}
    ]


async def test_transaction_tells_what_a_condition_saw(handler: Handler) -> None:
    """And changes nothing then."""
    result(await ask(handler, "PUT", f"{MAP}/keys/a", 1))
    steps = [{"if": "a", "version": 0}, {"put": "a", "value": 2}]

    lost = result(await ask(handler, "POST", f"{MAP}/transaction", steps))
    steps[0]["version"] = 1
    won = result(await ask(handler, "POST", f"{MAP}/transaction", steps))

    assert (lost["applied"], lost["seen"]) == (
        False,
        {"a": {"value": 1, "version": 1}},
    )
    assert (won["applied"], won["version"]) == (True, 2)


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("PUT", "keys/a", b"", "is not JSON .* a value"),
        ("PUT", "keys/a", "x" * 200_000, "200021 bytes; at most 131072"),
        ("PUT", f"keys/{'x' * 2048}", 1, "2048 bytes; it takes at most 2047"),
        ("GET", "keys?limit=0", None, "limit is '0'; it takes 1 to 1000"),
        ("GET", "keys?limit=1001", None, "1 to 1000"),
        ("GET", f"keys?limit={'1' * 5000}", None, "1 to 1000"),
        ("GET", "keys?reverse=yes", None, "true or false"),
        ("GET", "keys?cursor=a", None, "no cursor"),
        ("GET", "keys?cursor=_w", None, "no cursor"),
        ("GET", "keys?offset=1", None, "no parameter 'offset'"),
        ("POST", "transaction", {"put": "a"}, "no array of objects"),
        ("POST", "transaction", ["put"], "no array of objects"),
        ("POST", "transaction", [{"puts": "a"}], "a step says one of"),
        ("POST", "transaction", [{"get": "a"}] * 129, "129 steps; at most 128"),
    ],
)
async def test_what_a_map_cannot_do_is_told(
    handler: Handler, method: str, path: str, body: object, message: str
) -> None:
    """As the caller's mistake, although it is an object that finds some."""
    response = await ask(handler, method, f"{MAP}/{path}", body)

    found = error(response, 400)
    assert not found["maybe_happened"]
    assert re.search(message, found["message"])


async def test_what_other_objects_refuse_is_their_own_fault(handler: Handler) -> None:
    """They may have written before: nobody may think that nothing has happened."""
    bell = "/v1/objects/Bell/b/call/set"

    found = error(await ask(handler, "POST", bell, ["soon"]), 500)

    assert found["maybe_happened"]
