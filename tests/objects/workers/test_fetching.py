"""Requests and responses under Cloudflare's names; workerd is the judge elsewhere."""

from collections.abc import AsyncIterator
from http import HTTPMethod, HTTPStatus
from typing import Any

import pytest

from kvnode import fetching
from kvnode.errors import InvalidArgumentError, ObjectRaisedError
from kvnode.objects.workers.fetching.headers import headers_of
from kvnode.objects.workers.fetching.request import Request
from kvnode.objects.workers.fetching.response import Response
from kvnode.objects.workers.importable import DurableObject
from tests.objects.running.objects import Counter, Site, settled
from tests.objects.running.objects import site as site_of
from tests.objects.workers.probe import served

# -- an object that answers ------------------------------------------------------------


class Page(DurableObject):
    """Answers requests, or lets another page do it."""

    async def fetch(self, request: Request) -> Response:
        """Count; tell what was asked, and how often."""
        match request.url.rpartition("/")[2]:
            case "on":
                other = self.env.PAGE.getByName("other")
                answer: Response = await other.fetch(
                    "http://it/", method="PUT", body="x"
                )
                return Response(answer.url + " " + await answer.text(), answer.status)
            case "used":
                await request.text()
                await self.env.PAGE.getByName("other").fetch(request)
            case "text":
                return "text"  # type: ignore[return-value]  # as people do
            case _:
                pass
        count = (await self.ctx.storage.get("count") or 0) + 1
        self.ctx.storage.put("count", count)
        told = [request.method, request.headers.get("X-A"), await request.text(), count]
        made: Response = Response.json(told, 201, headers={"X-Seen": "1"})
        return made

    async def count(self) -> int:
        """Return how many there were."""
        found: int = await self.ctx.storage.get("count") or 0
        return found


class Plain(DurableObject):
    """Answers without awaiting."""

    def fetch(self, request: Request) -> Response:
        """Tell the URL."""
        return Response(request.url)


class Silent(DurableObject):
    """Answers no requests."""


@pytest.fixture(name="pages")
async def _pages() -> AsyncIterator[Site]:
    async with site_of({**served(Page, Plain, Silent), "Counter": Counter}) as made:
        yield made


async def _fetch(
    pages: Site, target: str, request: fetching.Request, key: str = ""
) -> fetching.Response:
    answer = await pages.call(target, "fetch", request.as_value(), key=key)
    return fetching.Response.from_value(answer)


POST = fetching.Request("POST", "http://it/", (("x-a", "b"),), b"body")


async def test_request_is_answered_as_by_any_object(pages: Site) -> None:
    """So it passes the same gates, and happens once under an idempotency key."""
    pages.log.commits.clear()
    asked = pages.call("Page p", "fetch", POST.as_value(), key="k")
    await settled()
    assert not asked.done()
    pages.log.commits.set()

    response = fetching.Response.from_value(await asked)

    assert (response.status, response.json()) == (201, ["POST", "b", "body", 1])
    assert response.headers == (("content-type", "application/json"), ("x-seen", "1"))
    assert await _fetch(pages, "Page p", POST, "k") == response
    assert await pages.call("Page p", "count") == 1


async def test_answer_may_be_given_without_awaiting(pages: Site) -> None:
    """A function that returns it is enough."""
    response = await _fetch(pages, "Plain p", POST)

    assert (response.text(), response.header("content-type")) == (
        "http://it/",
        "text/plain;charset=UTF-8",
    )


async def test_stub_lets_another_object_answer(pages: Site) -> None:
    """The response says where it is from."""
    response = await _fetch(pages, "Page p", fetching.Request("GET", "http://it/on"))

    assert response.status == 201
    assert response.text() == 'http://it/ ["PUT", null, "x", 1]'
    assert await pages.call("Page p", "count") == 0
    assert await pages.call("Page other", "count") == 1


async def test_request_that_was_read_is_not_passed_on(pages: Site) -> None:
    """Its body is gone, there; an empty one would be sent."""
    request = fetching.Request("POST", "http://it/used", (), b"body")
    with pytest.raises(ObjectRaisedError, match="was read before, or passed on"):
        await _fetch(pages, "Page p", request)
    assert await pages.call("Page other", "count") == 0


async def test_what_is_no_response_is_the_objects_fault(pages: Site) -> None:
    """And what is no request that of whoever calls."""
    with pytest.raises(ObjectRaisedError, match="fetch of Page must return a Response"):
        await _fetch(pages, "Page p", fetching.Request("GET", "http://it/text"))
    with pytest.raises(ObjectRaisedError, match="fetch takes a request"):
        await pages.call("Page p", "fetch", "http://it/")
    with pytest.raises(InvalidArgumentError, match="has no method 'fetch'"):
        await _fetch(pages, "Silent s", POST)


# -- requests --------------------------------------------------------------------------


def test_request_is_made_of_a_url_and_options() -> None:
    """And becomes one of ours, with the length of its body."""
    request = Request(
        "http://it?x#y", method=HTTPMethod.POST, body="ü", headers={"X-A": 1}
    )

    assert request.taken() == fetching.Request(
        "POST",
        "http://it/?x",
        (
            ("content-type", "text/plain;charset=UTF-8"),
            ("x-a", "1"),
            ("content-length", "2"),
        ),
        "ü".encode(),
    )
    assert repr(request) == "Request(method='POST', url='http://it/?x')"


async def test_request_of_another_takes_its_body() -> None:
    """But for the options that are given."""
    first = Request("http://it/", method="PUT", body=b"x", headers=[("a", "b")])
    second = Request(first, headers={"c": "d"})

    assert first.body_used
    assert (second.method, second.url, await second.bytes()) == (
        "PUT",
        "http://it/",
        b"x",
    )
    assert second.headers.items() == [("c", "d")]
    third = Request(first, body="y")
    assert (await third.text(), third.headers["a"]) == ("y", "b")


def test_length_that_is_sent_is_that_of_the_body() -> None:
    """Whatever was said of another one."""
    said = Request("http://it/", method="PUT", body="y", headers={"Content-Length": 5})

    assert said.taken().header("content-length") == "1"


async def test_method_is_one_of_pythons_and_its_text() -> None:
    """Whatever its case was; others are text alone."""
    assert Request("http://it/", method="delete").method is HTTPMethod.DELETE
    assert Request("http://it/").method == "GET"
    assert Request("http://it/", method="PURGE").method == "PURGE"


@pytest.mark.parametrize("read", ["text", "json", "bytes"])
async def test_body_is_read_once(read: str) -> None:
    """Unless there is none, or it was cloned before."""
    request = Request("http://it/", method="POST", body="3")
    copy = request.clone()
    assert not request.body_used
    assert await getattr(request, read)() in {"3", 3, b"3"}
    assert request.body_used
    for again in (request.text, request.json, request.bytes):
        with pytest.raises(InvalidArgumentError, match="was read before"):
            await again()
    with pytest.raises(InvalidArgumentError, match="was read before"):
        request.clone()

    assert await copy.text() == "3"
    bare = Request("http://it/")
    assert (await bare.text(), await bare.text(), bare.body_used) == ("", "", False)


async def test_request_that_came_with_get_and_a_body_can_be_passed_on() -> None:
    """It cannot be made here, but others make it."""
    came = Request.received(fetching.Request("GET", "/x", (), b"body"))

    assert Request(came).taken().body == b"body"
    with pytest.raises(InvalidArgumentError, match="GET has no body"):
        Request("http://it/", body="x")


@pytest.mark.parametrize(
    ("resource", "options", "message"),
    [
        ("/relative", {}, "no absolute URL"),
        ("ftp://it/", {}, "no absolute URL"),
        ("http://[/", {}, "no absolute URL"),
        (3, {}, "no absolute URL"),
        ("http://it/", {"method": "a b"}, "no method of HTTP"),
        ("http://it/", {"headers": {"a": None}}, "unlike"),
        ("http://it/", {"headers": "a: b"}, "headers are a dict"),
        ("http://it/", {"headers": {"a": "b\nc"}}, "line breaks"),
        ("http://it/", {"method": "PUT", "body": {"a": 1}}, "neither text nor bytes"),
        ("http://it/", {"redirect": "follow"}, "redirect='follow' of Request is not"),
        ("http://it/", {"cf": {}}, "'cf' of Request is not there; see docs"),
    ],
)
def test_what_is_no_request_is_refused(
    resource: Any,  # noqa: ANN401 -- as people write
    options: dict[str, Any],
    message: str,
) -> None:
    """When it is made, not when it is sent."""
    with pytest.raises(InvalidArgumentError, match=message):
        Request(resource, **options)


# -- responses -------------------------------------------------------------------------


async def test_response_has_what_it_was_made_of() -> None:
    """By place, or by name."""
    made = Response(b"\xff", HTTPStatus.CREATED, "Created", {"A": "b"})

    assert (made.status, made.status_text, made.ok, made.url) == (
        *(201, "Created"),
        *(True, ""),
    )
    assert made.headers.has("a")
    assert repr(made) == "Response(status=201)"
    assert made.clone().taken() == fetching.Response(201, (("a", "b"),), b"\xff")
    assert await made.bytes() == b"\xff"
    with pytest.raises(InvalidArgumentError, match="of response was read before"):
        made.taken()


async def test_json_is_read_from_a_response_and_made_by_the_class() -> None:
    """Both are called `json`, there."""
    made = Response.json({"a": [1]}, status=202)

    assert made.headers["Content-Type"] == "application/json"
    assert await made.json() == {"a": [1]}
    other = Response.from_json([], headers={"content-type": "a/b"})
    assert other.headers.items() == [("content-type", "a/b")]


async def test_response_that_came_back_has_no_body_where_http_has_none() -> None:
    """Such as an answer to HEAD, whatever the object has answered."""
    answer = fetching.Response(200, (("a", "b"),), b"body")

    head = Response.received(answer, Request("http://it/", method="HEAD"))
    assert (await head.text(), await head.text(), head.headers["a"]) == ("", "", "b")
    got = Response.received(answer, Request("http://it/x"))
    assert (got.url, await got.text(), got.body_used) == ("http://it/x", "body", True)


async def test_body_that_is_empty_is_none_where_http_has_none() -> None:
    """So it has no type, and can be read again."""
    made = Response("", 204)

    assert made.headers.items() == []
    assert (await made.text(), await made.text()) == ("", "")


async def test_text_has_no_byte_order_mark_and_nothing_that_is_no_text() -> None:
    """As a decoder of JavaScript gives it."""
    assert await Response(b"\xef\xbb\xbfA\xff").text() == "A\ufffd"


async def test_body_is_replaced_and_all_else_is_kept() -> None:
    """The type that was said of it, too."""
    made = Response("a", 404, headers={"x": "y"}).replace_body("b")

    assert (made.status, await made.text()) == (404, "b")
    assert made.headers.keys() == ["content-type", "x"]


def test_redirect_says_where_to() -> None:
    """By a status that means it."""
    moved = Response.redirect("http://else/", 308)

    assert moved.taken() == fetching.Response(308, (("location", "http://else/"),))
    with pytest.raises(InvalidArgumentError, match="no status of a redirect"):
        Response.redirect("http://else/", 200)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"status": 199}, "the status is 199"),
        (
            {"status": 101, "web_socket": object()},
            "web_socket of Response is not there",
        ),
        ({"body": "x", "status": 204}, "has no body"),
        ({"body": ["x"]}, "body of Response that is neither text nor bytes: list"),
        ({"headers": {"a b": "c"}}, "a header has a name"),
    ],
)
def test_what_is_no_response_is_refused(options: dict[str, Any], message: str) -> None:
    """When it is made."""
    with pytest.raises(InvalidArgumentError, match=message):
        Response(**options)


def test_what_is_not_there_says_so() -> None:
    """Streams, forms, and what only JavaScript has."""
    for missing in ("body", "form_data", "cf"):
        with pytest.raises(AttributeError, match=rf"request\.{missing} is not there"):
            getattr(Request("http://it/"), missing)
    with pytest.raises(AttributeError, match=r"response\.web_socket is not there"):
        Response().web_socket  # noqa: B018 -- as code looks


# -- headers ---------------------------------------------------------------------------


def test_headers_are_joined_and_sorted_as_by_javascript() -> None:
    """But cookies that are set, which hold commas of their own."""
    headers = headers_of(
        [
            ("X-B", " 1 "),
            ("set-cookie", "a"),
            ("x-b", "2"),
            ("Set-Cookie", "b"),
            ("a", ""),
        ]
    )

    assert headers.items() == [
        ("a", ""),
        ("set-cookie", "a"),
        ("set-cookie", "b"),
        ("x-b", "1, 2"),
    ]
    assert (headers.get("X-b"), headers["X-B"], headers.get("none", 3)) == (
        *("1, 2", "1, 2"),
        3,
    )
    assert "x-B" in headers
    assert not headers.has("none")
    assert headers_of(headers).items() == headers.items()
    assert headers_of(None, content_type="a/b").items() == [("content-type", "a/b")]
