"""The worked examples of objects do what they say."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from pycrdt import Doc, Text

from examples.cart import Cart
from examples.counter import Counter
from examples.document import JOINED_EVERY, Document
from examples.rate_limiter import RateLimiter
from examples.scores import Scores
from kvnode.errors import ObjectRaisedError
from kvnode.objects import Request, Response
from kvnode.runtime.objects.classes import load_classes
from tests.objects.running.objects import NOW, Site, settled


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A host of the examples."""
    classes = (Cart, Counter, Document, RateLimiter, Scores)
    written_for_cloudflare = load_classes(["examples.visits:Visits"])
    made = Site({each.__name__: each for each in classes} | written_for_cloudflare)
    yield made
    made.host.closed("s000", 9)
    await settled()


async def test_rate_limiter_lets_through_what_it_has(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten at once, and one a second afterwards."""
    now = [1000.0]
    monkeypatch.setattr("examples.rate_limiter.time.time", lambda: now[0])
    takes = [site.call("RateLimiter u", "take") for _ in range(15)]
    answers = [await take for take in takes]
    assert sum(answer["allowed"] for answer in answers) == 10
    assert answers[-1]["retry_after"] == pytest.approx(1.0)

    now[0] += 2.5
    again = [(await site.call("RateLimiter u", "take"))["allowed"] for _ in range(3)]
    assert again == [True, True, False]
    never = await site.call("RateLimiter u", "take", 11)
    assert never == {"allowed": False, "remaining": 0.5, "retry_after": None}
    now[0] -= 3600
    assert not (await site.call("RateLimiter u", "take"))["allowed"]


async def test_counter_answers_methods_and_requests(site: Site) -> None:
    """With one sum."""

    async def fetch(method: str, body: bytes = b"") -> tuple[int, str]:
        request = Request(method, "http://it/", (), body)
        answer = await site.call("Counter c", "fetch", request.as_value())
        response = Response.from_value(answer)
        return response.status, response.text()

    assert await site.call("Counter c", "incr", 5) == 5
    assert await fetch("POST", b"3") == (200, "8\n")
    assert await fetch("GET") == (200, "8\n")
    assert await fetch("POST", b"many") == (400, "the body must be a number\n")
    assert (await fetch("DELETE"))[0] == 405
    assert await site.call("Counter c", "value") == 8


async def test_cart_is_ordered_once_and_empties_itself(site: Site) -> None:
    """Whatever is lost on the way."""
    await site.call("Cart v", "add", "apple", 2)
    await site.call("Cart v", "add", "pear")
    prices = {"apple": 30, "pear": 50}
    orders = [
        await site.call("Cart v", "check_out", prices, key="once") for _ in range(2)
    ]
    assert orders[0] == orders[1]
    assert orders[0]["total"] == 110
    assert await site.call("Cart v", "items") == {}
    with pytest.raises(ObjectRaisedError, match="the cart is empty"):
        await site.call("Cart v", "check_out", prices)
    with pytest.raises(ObjectRaisedError, match="1 to 99"):
        await site.call("Cart v", "add", "apple", 100)

    await site.call("Cart v", "add", "plum")
    site.reopen()
    site.now += 10 * 365 * 24 * 3600 * 1000  # the alarm goes by the true time
    async with asyncio.timeout(10):
        while await site.call("Cart v", "items"):  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0.01)
    assert site.now > NOW


async def test_editors_of_a_document_agree(site: Site) -> None:
    """Three of them, in any order, and one that comes late."""
    rng = random.Random(7)
    editors, seen = [Doc[Text]() for _ in range(3)], [0, 0, 0]
    for n in range(2 * JOINED_EVERY + 30):
        place = rng.randrange(3)
        doc = editors[place]
        if rng.random() < 0.5:
            page = await site.call("Document d", "since", seen[place])
            for update in page["updates"]:
                doc.apply_update(update)
            seen[place] = page["last"]
        before = doc.get_state()
        text = doc.get("text", type=Text)
        text.insert(rng.randint(0, len(str(text))), str(n % 10))
        assert await site.call("Document d", "update", doc.get_update(before)) == n + 1
    whole = await site.call("Document d", "text")

    assert len(whole) == 2 * JOINED_EVERY + 30
    for place, doc in enumerate(editors):
        while (page := await site.call("Document d", "since", seen[place]))["updates"]:
            for update in page["updates"]:
                doc.apply_update(update)
            seen[place] = page["last"]
        assert str(doc.get("text", type=Text)) == whole
    late = await site.call("Document d", "since", 0)
    assert len(late["updates"]) == 1
    with pytest.raises(ObjectRaisedError, match="no Yjs update"):
        await site.call("Document d", "update", b"x")


async def test_scores_keep_the_best_of_each_player(site: Site) -> None:
    """Also once the object was in no memory."""
    for player, points in [("ada", 7), ("bob", 9), ("ada", 3), ("eve", 9)]:
        await site.call("Scores chess", "submit", player, points)
    assert await site.call("Scores chess", "submit", "ada", 8) == 8
    site.reopen()

    top = await site.call("Scores chess", "top", 2)
    ranks = [await site.call("Scores chess", "rank", player) for player in ("ada", "x")]
    assert top == [{"player": "bob", "points": 9}, {"player": "eve", "points": 9}]
    assert ranks == [3, None]


async def test_visits_are_noted_by_requests_too(site: Site) -> None:
    """A POST names who has come."""
    posted = Request("POST", "http://kvnode/", (), b"ada")
    for visits in (1, 2):
        answer = await site.call("Visits /home", "fetch", posted.as_value())
        assert Response.from_value(answer).json() == {"visits": visits}
    got = Request("GET", "http://kvnode/").as_value()
    refusal = Response.from_value(await site.call("Visits /home", "fetch", got))
    assert (refusal.status, refusal.header("allow")) == (405, "POST")


async def test_visits_are_reported_and_begin_anew(site: Site) -> None:
    """Written for Cloudflare, and served as it is."""
    assert [await site.call("Visits /home", "note") for _ in range(3)] == [1, 2, 3]
    site.reopen()
    assert await site.call("Visits /home", "note", "ada") == 4

    site.now += 10 * 365 * 24 * 3600 * 1000  # the alarm goes by the true time
    async with asyncio.timeout(10):
        while not (reports := await site.call("Visits /home", "reports")):  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0.01)
    assert list(reports.values()) == [4]
    assert await site.call("Visits /home", "note") == 1
