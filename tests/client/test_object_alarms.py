"""Alarms of objects, from the client to what the node is asked."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone

import grpc
import pytest

from kvnode._pb import objects_pb2 as pb
from kvnode._pb.objects_pb2_grpc import add_ObjectsServicer_to_server
from kvnode.api.objects_service import Context, ObjectsServicer
from kvnode.client import Client, SyncClient
from kvnode.errors import (
    ConnectionLostError,
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    NotLeaderError,
    RejectedError,
)
from kvnode.object_values import Value
from kvnode.objects.alarming import ALARM, ALARM_METHODS, SET_ALARM
from tests.api.objects_server import (
    FakeObjects,
    ServedObjects,
    listening,
)
from tests.client.fake_server import FakeNode

NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
NOON_MILLIS = 1_709_208_000_000


@pytest.fixture
async def client(served: ServedObjects) -> AsyncIterator[Client]:
    """A client of them."""
    async with Client(served.address, deadline=5.0) as client:
        yield client


async def test_alarm_is_asked_for(client: Client, served: ServedObjects) -> None:
    """In UTC, to the millisecond; None is none."""
    cart = client.object("Cart", "c", location_hint="europe")
    served.objects.answer = lambda _: NOON_MILLIS + 250
    found = await cart.alarm()
    assert found == NOON + timedelta(milliseconds=250)
    assert found.tzinfo is UTC
    served.objects.answer = lambda _: None
    assert await cart.alarm() is None

    for call in served.objects.calls:
        assert (call.method, [*call.arguments]) == (ALARM, [])
        assert (call.target.name, call.location_hint) == ("c", "")
        assert 0 < call.patience_ms <= 5000


@pytest.mark.parametrize(
    ("when", "asked"),
    [
        (NOON, NOON_MILLIS),
        (NOON.astimezone(timezone(timedelta(hours=9))), NOON_MILLIS),
        (NOON_MILLIS, NOON_MILLIS),
        (0, 0),
        (None, None),
    ],
)
async def test_alarm_is_set_or_deleted(
    client: Client,
    served: ServedObjects,
    when: datetime | int | None,
    asked: int | None,
) -> None:
    """What comes back is what the node says, and the hint goes along."""
    served.objects.answer = lambda _: NOON_MILLIS
    cart = client.object("Cart", "c", location_hint="europe")

    assert await cart.set_alarm(when) == NOON

    (call,) = served.objects.calls
    assert (call.method, [*call.arguments]) == (SET_ALARM, [asked])
    assert call.location_hint == "europe"


async def test_span_is_from_now(client: Client, served: ServedObjects) -> None:
    """By the clock of the client."""
    served.objects.answer = lambda call: call.arguments[0]
    before = datetime.now(UTC) - timedelta(milliseconds=1)  # they are rounded

    found = await client.object("Cart", "c").set_alarm(timedelta(minutes=15))

    assert found is not None
    assert timedelta(0) <= found - before - timedelta(minutes=15) < timedelta(minutes=1)


async def test_alarm_that_no_datetime_can_say_is_at_the_end(
    client: Client, served: ServedObjects
) -> None:
    """An object's own code may have set it."""
    served.objects.answer = lambda _: 1 << 53
    found = await client.object("Cart", "c").alarm()
    assert found == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (NOON.replace(tzinfo=None), "has no time zone"),
        (-1, "is no time"),
        (1 << 63, "is no time"),
        (timedelta.max, "beyond the year 9999"),
        (timedelta(days=-100 * 365), "is no time"),
    ],
)
async def test_what_is_no_time_for_an_alarm_is_refused_here(
    client: Client,
    served: ServedObjects,
    when: datetime | timedelta | int,
    message: str,
) -> None:
    """Nothing is sent."""
    with pytest.raises(InvalidArgumentError, match=message):
        await client.object("Cart", "c").set_alarm(when)
    with pytest.raises(InvalidArgumentError, match="UTF-8"):
        await client.object("Cart", "c", location_hint="\udc80").set_alarm(0)

    assert served.objects.calls == []


async def test_alarm_that_may_have_been_set_is_not_set_again(
    client: Client, served: ServedObjects
) -> None:
    """It may have rung meanwhile; what was not is tried again."""
    served.objects.answer = lambda _: None
    served.objects.failures.append(IndeterminateError("the lead was lost"))
    with pytest.raises(IndeterminateError):
        await client.object("Cart", "c").set_alarm(0)
    assert len(served.objects.calls) == 1

    served.objects.failures.append(NotLeaderError("nobody leads"))
    assert await client.object("Cart", "c").set_alarm(None) is None
    assert len(served.objects.calls) == 3


class Cut(ObjectsServicer):
    """A service whose first answers are lost on their way."""

    def __init__(self, cuts: int) -> None:
        super().__init__(FakeObjects(answer=lambda _: None))
        self.asked = 0
        self._cuts = cuts

    async def Alarm(self, request: pb.AlarmRequest, context: Context) -> pb.AlarmReply:  # noqa: D102, N802
        await self._lose(context)
        return await super().Alarm(request, context)

    async def SetAlarm(  # noqa: D102, N802
        self, request: pb.SetAlarmRequest, context: Context
    ) -> pb.AlarmReply:
        await self._lose(context)
        return await super().SetAlarm(request, context)

    async def _lose(self, context: Context) -> None:
        self.asked += 1
        if self.asked <= self._cuts:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")


async def test_alarm_is_looked_at_again_if_the_answer_is_lost_and_not_set_again() -> (
    None
):
    """It may have been set, and to look changes nothing."""
    servicer = Cut(cuts=2)
    async with (
        listening(
            lambda server: add_ObjectsServicer_to_server(servicer, server)
        ) as address,
        Client(address, deadline=5.0) as client,
    ):
        cart = client.object("Cart", "c")
        with pytest.raises(ConnectionLostError):
            await cart.set_alarm(0)
        assert servicer.asked == 1
        assert await cart.alarm() is None
        assert servicer.asked == 3


async def test_refusal_of_an_alarm_comes_as_it_was_said(
    client: Client, served: ServedObjects
) -> None:
    """The class has none, or the hint is no region."""
    served.objects.failures.append(InvalidArgumentError("the class has no alarm"))
    with pytest.raises(InvalidArgumentError, match="the class has no alarm"):
        await client.object("Cart", "c").set_alarm(0)
    with pytest.raises(InvalidArgumentError, match="is no name of a region"):
        await client.object("Cart", "c", location_hint="a b").set_alarm(0)
    assert len(served.objects.calls) == 1


@pytest.mark.parametrize("answer", ["soon", True, -1, [7]])
async def test_answer_that_is_no_alarm_is_an_error(
    client: Client, served: ServedObjects, answer: Value
) -> None:
    """It came from another node, which may have another version."""
    served.objects.answer = lambda _: answer

    with pytest.raises(KvError, match="has answered with"):
        await client.object("Cart", "c").alarm()
    with pytest.raises(KvError, match="has answered with"):
        await client.object("Cart", "c").set_alarm(0)


@pytest.mark.parametrize("method", sorted(ALARM_METHODS))
async def test_alarms_are_no_methods(
    client: Client, served: ServedObjects, method: str
) -> None:
    """Who may call an object's methods need not be one who may silence it."""
    with pytest.raises(InvalidArgumentError, match="Locate, Alarm or SetAlarm"):
        await client.object("Cart", "c").call(method)

    assert served.objects.calls == []


async def test_methods_of_these_names_are_called_by_call(
    client: Client, served: ServedObjects
) -> None:
    """A class may have one that is called `set_alarm`."""
    served.objects.answer = lambda call: call.method
    assert await client.object("Cart", "c").call("set_alarm", 1) == "set_alarm"


async def test_node_without_objects_has_no_alarms() -> None:
    """And says so, not that it is too old a version."""
    async with FakeNode() as node, Client(node.address) as client:
        with pytest.raises(RejectedError, match="serves no objects"):
            await client.object("Cart", "c").alarm()


async def test_target_of_an_alarm_is_checked(served: ServedObjects) -> None:
    """As for any call."""
    for called in (
        served.stub.Alarm(pb.AlarmRequest()),
        served.stub.SetAlarm(pb.SetAlarmRequest()),
    ):
        with pytest.raises(Exception, match="give its name or its id"):
            await called


async def test_threads_have_the_same_alarms(served: ServedObjects) -> None:
    """By the client that blocks."""
    served.objects.answer = lambda _: NOON_MILLIS

    def work() -> list[datetime | None]:
        with SyncClient(served.address) as client:
            cart = client.object("Cart", "c")
            return [cart.alarm(), cart.set_alarm(NOON)]

    assert await asyncio.to_thread(work) == [NOON, NOON]
