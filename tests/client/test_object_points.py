"""Points in time of objects, from the client to what the node is asked."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from kvnode._pb import objects_pb2 as pb
from kvnode.client import Client, Restored, SyncClient
from kvnode.errors import (
    DeadlineError,
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    NotLeaderError,
    RejectedError,
)
from kvnode.object_values import Value
from kvnode.objects.points import point_calls
from tests.api.objects_server import ServedObjects
from tests.client.fake_server import FakeNode

NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)


@pytest.fixture
async def client(served: ServedObjects) -> AsyncIterator[Client]:
    """A client of them."""
    async with Client(served.address, deadline=5.0) as client:
        yield client


async def test_bookmark_of_now_and_of_a_time_is_asked_for(
    client: Client, served: ServedObjects
) -> None:
    """A time in another zone is the same time."""
    served.objects.answer = lambda _: "mark"
    zone = NOON.astimezone().tzinfo
    cart = client.object("Cart", "c")

    assert await cart.bookmark() == "mark"
    assert await cart.bookmark_at(NOON.astimezone(zone)) == "mark"
    assert await cart.bookmark_at(0) == "mark"

    asked = [(call.method, list(call.arguments)) for call in served.objects.calls]
    assert asked == [
        (point_calls.CURRENT, []),
        (point_calls.AT, [int(NOON.timestamp() * 1000)]),
        (point_calls.AT, [0]),
    ]
    assert {call.target.name for call in served.objects.calls} == {"c"}


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (NOON.replace(tzinfo=None), "has no time zone"),
        (-1, "is no time"),
        (1 << 63, "is no time"),
        (datetime(1969, 12, 31, tzinfo=UTC), "is no time"),
    ],
)
async def test_what_is_no_time_is_refused_here(
    client: Client, served: ServedObjects, when: datetime | int, message: str
) -> None:
    """Nothing is sent."""
    with pytest.raises(InvalidArgumentError, match=message):
        await client.object("Cart", "c").bookmark_at(when)

    assert served.objects.calls == []


async def test_restore_tells_what_has_changed(
    client: Client, served: ServedObjects
) -> None:
    """And goes to the object with the bookmark as it is."""
    served.objects.answer = lambda _: ["undo", 3, 2, True, False]

    restored = await client.object("Cart", "c").restore("mark")

    assert restored == Restored("undo", 3, 2, alarm=True, is_more=False)
    (call,) = served.objects.calls
    assert (call.method, list(call.arguments)) == (point_calls.RESTORE, ["mark"])
    assert 0 < call.patience_ms <= 5000


async def test_restore_that_may_have_happened_is_not_repeated(
    client: Client, served: ServedObjects
) -> None:
    """A second one would take back what was written in between."""
    served.objects.failures.append(IndeterminateError("the lead was lost"))

    with pytest.raises(IndeterminateError):
        await client.object("Cart", "c").restore("mark")

    assert len(served.objects.calls) == 1


async def test_restore_that_did_not_happen_is_tried_again(
    client: Client, served: ServedObjects
) -> None:
    """Nobody led for a moment."""
    served.objects.failures.append(NotLeaderError("nobody leads"))
    served.objects.answer = lambda _: ["undo", 0, 0, False, False]

    assert (await client.object("Cart", "c").restore("mark")).undo == "undo"


async def test_refusal_comes_as_it_was_said(
    client: Client, served: ServedObjects
) -> None:
    """It tells what is kept."""
    served.objects.failures.append(InvalidArgumentError("too old: from noon on"))

    with pytest.raises(InvalidArgumentError, match="too old: from noon on"):
        await client.object("Cart", "c").bookmark_at(NOON - timedelta(days=999))


async def test_restore_that_takes_too_long_goes_on(
    served: ServedObjects,
) -> None:
    """Who has waited knows nothing."""
    async with Client(served.address, deadline=0.3) as client:
        served.objects.answer = lambda _: ["undo", 0, 0, False, False]
        served.objects.hold[point_calls.RESTORE] = asyncio.Event()

        with pytest.raises(DeadlineError):
            await client.object("Cart", "c").restore("mark")

        served.objects.hold[point_calls.RESTORE].set()


@pytest.mark.parametrize("answer", [None, 7, ["undo"], ["undo", 1, 2, 3, 4]])
async def test_answer_of_another_kind_is_an_error(
    client: Client, served: ServedObjects, answer: Value
) -> None:
    """It came from another node, which may have another version."""
    served.objects.answer = lambda _: answer

    with pytest.raises(KvError, match="has answered with"):
        await client.object("Cart", "c").restore("mark")
    with pytest.raises(KvError, match="has answered with"):
        await client.object("Cart", "c").bookmark()


@pytest.mark.parametrize("method", sorted(point_calls.POINT_METHODS))
async def test_points_are_no_methods(
    client: Client, served: ServedObjects, method: str
) -> None:
    """Who may call an object's methods need not be one who may restore it."""
    with pytest.raises(InvalidArgumentError, match="use Bookmark, Restore, Locate"):
        await client.object("Cart", "c").call(method)
    with pytest.raises(RejectedError):
        await client.object("Cart", "c").call(method, "mark")

    assert served.objects.calls == []


async def test_node_without_objects_says_so() -> None:
    """And not that it is too old a version."""
    async with FakeNode() as node, Client(node.address) as client:
        with pytest.raises(RejectedError, match="serves no objects"):
            await client.object("Cart", "c").restore("mark")


async def test_target_is_checked(served: ServedObjects) -> None:
    """As for any call."""
    with pytest.raises(Exception, match="give its name or its id"):
        await served.stub.Bookmark(pb.BookmarkRequest())


async def test_threads_have_the_same(served: ServedObjects) -> None:
    """By the client that blocks."""

    def work() -> tuple[str, str]:
        with SyncClient(served.address) as client:
            cart = client.object("Cart", "c")
            served.objects.answer = lambda _: "mark"
            marks = cart.bookmark() + cart.bookmark_at(NOON)
            served.objects.answer = lambda _: ["undo", 0, 0, False, False]
            return marks, cart.restore("mark").undo

    assert await asyncio.to_thread(work) == ("markmark", "undo")
