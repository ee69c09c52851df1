"""Calls go to the node that leads, once a reply has told which that is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from kvnode._pb import objects_pb2
from kvnode.client import Client
from kvnode.client.leaders import OBJECTS_MAX, Leaders
from kvnode.client.pool import Pool
from kvnode.errors import IndeterminateError, NotLeaderError
from tests.api.objects_server import ServedObjects, served_objects

REFUSED = "127.0.0.1:1"  # nobody listens on tcpmux


@pytest.fixture
async def pair() -> AsyncIterator[tuple[ServedObjects, ServedObjects]]:
    """Two nodes, of which the second leads everything."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(served_objects())
        second = await stack.enter_async_context(served_objects())
        first.objects.leader = second.address
        yield first, second


async def _calls_until(
    client: Client, served: ServedObjects, *, count: int = 1
) -> None:
    """Call until *served* has had so many more calls."""
    until = len(served.objects.calls) + count
    async with asyncio.timeout(20):
        while len(served.objects.calls) < until:
            await client.object("Counter", "c").increment(1)
            await asyncio.sleep(0.005)


async def test_calls_move_to_the_leader(
    pair: tuple[ServedObjects, ServedObjects],
) -> None:
    """The first goes to the endpoint in use, and none waits for the other one."""
    first, second = pair
    async with Client(first.address, second.address) as client:
        await client.object("Counter", "c").increment(1)
        assert not second.objects.calls
        await _calls_until(client, second)
        before = len(first.objects.calls)

        await _calls_until(client, second, count=5)

        assert len(first.objects.calls) == before


async def test_other_objects_go_where_they_went(
    pair: tuple[ServedObjects, ServedObjects],
) -> None:
    """What is known of one says nothing of another."""
    first, second = pair
    async with Client(first.address, second.address) as client:
        await _calls_until(client, second)
        first.objects.leader = ""

        await client.object("Counter", "d").echo()

        assert first.objects.calls[-1].method == "echo"


async def test_leader_that_the_client_was_not_given_is_not_asked(
    pair: tuple[ServedObjects, ServedObjects],
) -> None:
    """What nodes call each other may be out of a client's reach."""
    first, second = pair
    async with Client(first.address, REFUSED) as client:
        for _ in range(5):
            await client.object("Counter", "c").increment(1)
            await asyncio.sleep(0.01)

    assert len(first.objects.calls) == 5
    assert not second.objects.calls


async def test_leader_that_leads_no_more_costs_one_try(
    pair: tuple[ServedObjects, ServedObjects],
) -> None:
    """Nothing was done there, so the call goes the way of all others."""
    first, second = pair
    async with Client(first.address, second.address) as client:
        await _calls_until(client, second)
        first.objects.leader = ""
        second.objects.failures.append(NotLeaderError("not any more"))
        before = len(first.objects.calls)

        await client.object("Counter", "c").increment(1)
        await client.object("Counter", "c").increment(1)

        assert len(first.objects.calls) == before + 2


async def test_what_may_have_happened_there_is_not_repeated(
    pair: tuple[ServedObjects, ServedObjects],
) -> None:
    """Unless it has a key; then it is, at the other node."""
    first, second = pair
    async with Client(first.address, second.address) as client:
        await _calls_until(client, second)
        before = len(first.objects.calls)
        second.objects.failures.append(IndeterminateError("the lead was lost"))
        with pytest.raises(IndeterminateError):
            await client.object("Counter", "c").increment(1)
        assert len(first.objects.calls) == before

        await _calls_until(client, second)
        before = len(first.objects.calls)
        second.objects.failures.append(IndeterminateError("the lead was lost"))
        keyed = client.object("Counter", "c").options(idempotency_key="k")
        await keyed.increment(1)
        assert len(first.objects.calls) == before + 1


async def test_leader_that_dies_is_forgotten(
    pair: tuple[ServedObjects, ServedObjects],
) -> None:
    """Its connection is gone, and calls go on elsewhere."""
    first, second = pair
    async with Client(first.address, second.address) as client:
        await _calls_until(client, second)
        await second.channel.close()
        first.objects.leader = REFUSED
        second.objects.failures.append(NotLeaderError("it stops"))
        await client.object("Counter", "c").increment(1)
        before = len(first.objects.calls)

        await client.object("Counter", "c").increment(1)

        assert len(first.objects.calls) == before + 1


def test_eldest_object_is_forgotten_first() -> None:
    """What is remembered is bounded, and no connection is made for it."""

    def never() -> Pool[objects_pb2.ObjectCallResult]:
        msg = "nobody has asked"
        raise AssertionError(msg)

    leaders = Leaders({"a:1": never})
    for number in range(OBJECTS_MAX + 1):
        leaders.told(f"{number}".encode(), "a:1")

    assert leaders.known(b"0", None) is None
