"""Where objects are to live, and where they do, from the client to what nodes hear."""

from collections.abc import AsyncIterator

import pytest

from kvnode._pb import objects_pb2 as pb
from kvnode.api.object_calls import call_of, request_of
from kvnode.api.object_locations import location_of
from kvnode.client import Client, Location, SyncClient
from kvnode.errors import CorruptRecordError, InvalidArgumentError, KvError
from kvnode.object_values import Value
from kvnode.objects.locating import LOCATE
from tests.api.objects_server import ServedObjects


@pytest.fixture
async def client(served: ServedObjects) -> AsyncIterator[Client]:
    """A client of them."""
    async with Client(served.address, deadline=5.0) as client:
        yield client


async def test_hint_goes_with_each_call(client: Client, served: ServedObjects) -> None:
    """Of a handle that has one, also after other options."""
    near = client.object("Counter", "c", location_hint="europe")
    await near.increment(1)
    await near.options(deadline=1.0).increment(1)
    await near.options(location_hint="asia").increment(1)
    await client.object("Counter", "c").increment(1)

    hints = [call.location_hint for call in served.objects.calls]
    assert hints == ["europe", "europe", "asia", ""]


async def test_hint_of_a_map_goes_with_reads_and_writes(
    client: Client, served: ServedObjects
) -> None:
    """Whichever is the first."""
    served.objects.answer = lambda call: 1 if call.method == "put" else None
    shop = client.storage("shop", location_hint="europe")
    await shop.get("k")
    await shop.put("k", 1)
    await shop.options(location_hint="asia").get("k")

    hints = [call.location_hint for call in served.objects.calls]
    assert hints == ["europe", "europe", "asia"]


@pytest.mark.parametrize("hint", ["a b", "x" * 65, "europe/west", "é"])
async def test_hint_that_can_be_no_region_is_refused(client: Client, hint: str) -> None:
    """The error says what one looks like."""
    with pytest.raises(InvalidArgumentError, match="is no name of a region"):
        await client.object("Counter", "c", location_hint=hint).increment(1)


async def test_client_is_told_where_an_object_lives(
    client: Client, served: ServedObjects
) -> None:
    """With its leader, as the node that was asked knows it."""
    served.objects.answer = lambda _: ["r.europe.003", True]
    found = await client.object("Counter", "c").locate()
    assert found == Location("r.europe.003", "europe", "osaka", is_settled=True)
    served.objects.answer = lambda _: ["s003", False]
    assert await client.storage("m").locate() == Location(
        "s003", "", "osaka", is_settled=False
    )
    assert {call.method for call in served.objects.calls} == {LOCATE}
    assert {call.location_hint for call in served.objects.calls} == {""}


async def test_answer_that_is_no_location_is_an_error(
    client: Client, served: ServedObjects
) -> None:
    """It comes from another node, maybe of a later version."""
    served.objects.answer = lambda _: ["s003"]
    with pytest.raises(KvError, match="has answered with"):
        await client.object("Counter", "c").locate()


async def test_asking_where_is_no_method(client: Client) -> None:
    """Nor is it anybody's to name one so."""
    with pytest.raises(InvalidArgumentError, match="use Bookmark, Restore, Locate"):
        await client.object("Counter", "c").call(LOCATE)


def test_sync_client_says_the_same() -> None:
    """Its handles take hints; nothing is sent."""
    with SyncClient("127.0.0.1:1") as client:
        made = client.object("Counter", "c", location_hint="europe")
        assert made._inner._location_hint == "europe"
        again = client.storage("m", location_hint="asia").options(location_hint="east")
        assert again._inner._writing._location_hint == "east"


def test_home_is_said_between_nodes_alone() -> None:
    """A client cannot send a call past the shard that knows where an object lives."""
    target = pb.ObjectTarget(class_name="Counter", name="c")
    request = pb.CallRequest(target=target, method="increment", home="europe")
    assert call_of(request).home == ""
    call = call_of(request)._replace(home="europe", location_hint="asia")
    passed = call_of(request_of(call))
    assert (passed.home, passed.location_hint) == ("europe", "asia")
    assert passed.is_forwarded


@pytest.mark.parametrize("value", [None, [], ["s003", 1], [3, True], ["s", True, 1]])
def test_other_values_are_no_location(value: Value) -> None:
    """Whoever answers so does not speak our language."""
    with pytest.raises(CorruptRecordError):
        location_of(value)
