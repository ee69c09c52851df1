"""Objects of a real node: what was answered survives SIGKILL, and clients are told."""

import asyncio
from datetime import timedelta
from itertools import count
from random import Random

import pytest

from kvnode.errors import IndeterminateError, RejectedError, UnavailableError
from tests.system.counting import adding
from tests.system.nodes import Fleet, ServedNode

pytestmark = pytest.mark.system

COUNTERS = 8
ROUNDS = 3


async def _shop(fleet: Fleet, **settings: object) -> ServedNode:
    classes = ["tests.system.shop:Counter", "tests.system.shop:Till"]
    node = fleet.add("shop", objects=classes, **settings)
    await node.start()
    return node


async def test_nothing_answered_is_lost_by_sigkill(fleet: Fleet) -> None:
    """In the middle of writing, again and again; and nothing is done twice."""
    node = await _shop(fleet)
    client = await fleet.client(node, deadline=5.0)
    rng = Random(5)
    async with adding([client], COUNTERS):
        for _ in range(ROUNDS):
            await asyncio.sleep(1.5 + rng.random())
            await node.kill()
            await node.start()
        await asyncio.sleep(2.0)


async def test_sql_and_keys_survive_sigkill_together(fleet: Fleet) -> None:
    """In the middle of writing both: the database is whole and fits the key."""
    node = await _shop(fleet)
    client = await fleet.client(node, deadline=5.0)
    till = client.object("Till", "t")
    sold: list[str] = []

    async def sell(seller: int) -> None:
        for number in count():
            receipt = f"{seller}/{number}"
            try:
                await till.sell(receipt, number)
            except UnavailableError:
                await asyncio.sleep(0.05)
            except IndeterminateError:
                pass
            else:
                sold.append(receipt)

    sellers = [asyncio.create_task(sell(seller)) for seller in range(4)]
    for _ in range(2):
        await asyncio.sleep(1.0)
        await node.kill()
        await node.start()
    await asyncio.sleep(1.0)
    for task in sellers:
        assert not task.done(), task.exception()
        task.cancel()
    await asyncio.wait(sellers)

    closing = await till.closing()
    assert closing["check"] == "ok"
    assert closing["sold"] == closing["total"]
    assert set(sold) <= set(closing["receipts"])
    assert len(sold) > 20


async def test_node_without_objects_says_so(fleet: Fleet) -> None:
    """In words."""
    node = fleet.add("plain")
    await node.start()
    client = await fleet.client(node)

    with pytest.raises(RejectedError, match="serves no objects"):
        await client.object("Counter", "c").increment()


async def test_class_that_is_not_there_is_told_before_the_node_starts(
    fleet: Fleet,
) -> None:
    """As any setting that is wrong."""
    node = fleet.add("wrong", objects=["tests.system.shop:Cart"])
    node.spawn()
    await node.ended()

    assert "has no 'Cart'" in node.log
    assert "Traceback" not in node.log


async def test_class_written_for_cloudflare_is_served_as_it_is(fleet: Fleet) -> None:
    """Its module is there in the node's process, and what it has written stays."""
    node = fleet.add("visits", objects=["examples.visits:Visits"])
    await node.start()
    client = await fleet.client(node)
    visits = client.object("Visits", "/home")
    assert [await visits.note(), await visits.note("ada")] == [1, 2]
    due = await visits.set_alarm(timedelta(hours=1))
    assert due is not None

    await node.kill()
    await node.start()
    assert await visits.alarm() == due
    assert await visits.note() == 3
