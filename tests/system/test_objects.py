"""Objects of a real node: what was answered survives SIGKILL, and clients are told."""

import asyncio
from itertools import count
from random import Random

import pytest

from kvnode.client import Client
from kvnode.errors import IndeterminateError, RejectedError, UnavailableError
from tests.system.nodes import Fleet, ServedNode

pytestmark = pytest.mark.system

COUNTERS = 8
ROUNDS = 4


class Adder:
    """Counts up one counter, and what it was told of that."""

    def __init__(self, client: Client, name: str) -> None:
        self.counter = client.object("Counter", name)
        self.acknowledged = 0
        self.in_doubt = 0
        self.highest = 0

    async def add(self) -> None:
        """Add one, for ever."""
        while True:
            try:
                answer = await self.counter.increment()
            except UnavailableError:
                await asyncio.sleep(0.05)
            except IndeterminateError:
                self.in_doubt += 1
            else:
                self.acknowledged += 1
                assert answer > self.highest, "an answer that went back"
                self.highest = answer


async def _shop(fleet: Fleet, **settings: object) -> ServedNode:
    classes = ["tests.system.shop:Counter", "tests.system.shop:Till"]
    node = fleet.add("shop", objects=classes, **settings)
    await node.start()
    return node


async def test_nothing_answered_is_lost_by_sigkill(fleet: Fleet) -> None:
    """In the middle of writing, again and again; and nothing is done twice."""
    node = await _shop(fleet)
    client = await fleet.client(node, deadline=5.0)
    adders = [Adder(client, f"c{n}") for n in range(COUNTERS)]
    tasks = [asyncio.create_task(adder.add()) for adder in adders]
    rng = Random(5)
    for _ in range(ROUNDS):
        await asyncio.sleep(1.5 + rng.random())
        await node.kill()
        await node.start()
    await asyncio.sleep(2.0)
    for task in tasks:
        assert not task.done(), task.exception()
        task.cancel()
    await asyncio.wait(tasks)

    for adder in adders:
        value = await adder.counter.value()
        # One more may be under way when its caller is cancelled.
        most = adder.acknowledged + adder.in_doubt + 1
        assert adder.acknowledged <= value <= most
        assert adder.acknowledged > 0


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
