"""The `fetch` hook: a call with a request in it, behind the same gates."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kvnode.errors import InvalidArgumentError, ObjectRaisedError
from kvnode.object_values import Value
from kvnode.objects import DurableObject, Request, Response
from tests.objects.running.objects import Counter, Site, settled
from tests.objects.running.objects import site as site_of

GET = Request("GET", "http://it/n", (("a", "b"),))


class Page(DurableObject):
    """Answers requests, and lets others answer some."""

    async def fetch(self, request: Request) -> Response:
        """Count what was asked for; `/other` is for another page to answer."""
        if request.url.endswith("/none"):
            return "no response"  # type: ignore[return-value]  # as people do
        if request.url.endswith("/other"):
            onward = Request("POST", "http://it/n", (), request.body)
            answer: Response = await self.env.object("Page", "other").fetch(onward)
            return answer
        count: int = await self.storage.get("count", 0) + 1
        await self.storage.put("count", count)
        return Response.of_json([request.method, request.text(), count], 201)

    async def count(self) -> int:
        """Return how many there were."""
        found: int = await self.storage.get("count", 0)
        return found


@pytest.fixture(name="pages")
async def served_pages() -> AsyncIterator[Site]:
    """A host of pages, and of counters, which answer no requests."""
    async with site_of({"Page": Page, "Counter": Counter}) as made:
        yield made


async def _fetch(pages: Site, request: Request) -> Response:
    return Response.from_value(await pages.call("Page p", "fetch", request.as_value()))


async def test_fetch_is_answered_once_its_writes_are_durable(pages: Site) -> None:
    """By the output gate of calls."""
    pages.log.commits.clear()
    asked = asyncio.create_task(_fetch(pages, GET))
    await settled()
    assert not asked.done()

    pages.log.commits.set()

    assert (await asked).json() == ["GET", "", 1]
    assert await pages.call("Page p", "count") == 1


async def test_object_fetches_from_another(pages: Site) -> None:
    """Requests and responses come and go as such."""
    response = await _fetch(pages, Request("GET", "http://it/other", (), b"hello"))

    assert (response.status, response.json()) == (201, ["POST", "hello", 1])
    assert await pages.call("Page p", "count") == 0
    assert await pages.call("Page other", "count") == 1


async def test_fetch_with_an_idempotency_key_happens_once(pages: Site) -> None:
    """Both get the same response."""
    answers = [
        await pages.call("Page p", "fetch", GET.as_value(), key="k") for _ in range(2)
    ]

    assert answers[0] == answers[1]
    assert await pages.call("Page p", "count") == 1


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"method": "GET"}, "fetch takes a request"),
        (Request("GET", "/none").as_value(), "Page must return a Response, not str"),
    ],
)
async def test_what_is_no_request_or_response_is_told(
    pages: Site, argument: Value, message: str
) -> None:
    """To whoever called."""
    with pytest.raises(ObjectRaisedError, match=message) as caught:
        await pages.call("Page p", "fetch", argument)
    assert caught.value.type_name == "InvalidArgumentError"


async def test_class_without_the_hook_has_no_such_method(pages: Site) -> None:
    """A call of it is refused like that of any other."""
    with pytest.raises(InvalidArgumentError, match="Counter has no method 'fetch'"):
        await pages.call("Counter c", "fetch", GET.as_value())
