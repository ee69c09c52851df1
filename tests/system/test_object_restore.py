"""Mistakes in objects are undone, whichever node is killed in between."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from kvnode.core.objects.homes import SHARDS, shard_name
from kvnode.errors import IndeterminateError
from kvnode.objects.object_id import ObjectId
from tests.system.counting import all_led, leaders
from tests.system.nodes import Fleet

T = TypeVar("T")

pytestmark = pytest.mark.system

NAMES = ("a", "b", "c")
TILLS = tuple(f"till {number}" for number in range(6))
SALES = 5

FAILOVER_SECONDS_MAX = 20.0
"""A takeover lasts 1 to 3 s, and machines under test are slow."""


def _shard_of(till: str) -> str:
    return shard_name(ObjectId.from_name("Till", till).shard(SHARDS))


async def _surely(ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Ask for what changes nothing until there is an answer."""
    while True:
        try:
            return await ask()
        except IndeterminateError:
            pass


async def test_mistake_is_undone_though_the_leader_was_killed(fleet: Fleet) -> None:
    """What was deleted is back, and gone when the restore is undone elsewhere."""
    nodes = fleet.add_peers(
        *NAMES, objects=["tests.system.shop:Till"], objects_voters=list(NAMES)
    )
    await fleet.start(nodes)
    named = dict(zip(NAMES, nodes, strict=True))
    clients = {
        name: await fleet.client(node, deadline=FAILOVER_SECONDS_MAX)
        for name, node in named.items()
    }
    await all_led(clients["a"])
    first = clients["a"]
    bookmarks, closings = {}, {}
    for name in TILLS:
        till = first.object("Till", name)
        for sale in range(SALES):
            await till.sell(f"{name} {sale}", sale + 1)
        bookmarks[name] = await till.bookmark()
        closings[name] = await till.closing()
        await till.burn()

    victim = (await leaders(first))[_shard_of(TILLS[0])]
    await named[victim].kill()
    survivor = next(client for name, client in clients.items() if name != victim)
    undo = {}
    for name in TILLS:
        till = survivor.object("Till", name)
        assert await _surely(till.is_empty)  # and somebody leads again
        restored = await till.restore(bookmarks[name])
        undo[name] = restored.undo
        assert restored.keys == 1
        assert restored.pages > 1
        assert await _surely(till.closing) == closings[name]

    await named[victim].start()
    heir = (await leaders(survivor))[_shard_of(TILLS[0])]
    await named[heir].kill()
    other = next(client for name, client in clients.items() if name != heir)
    for name in TILLS:
        till = other.object("Till", name)
        assert await _surely(till.closing) == closings[name]
        redo = await till.restore(undo[name])
        assert await _surely(till.is_empty)
        await till.restore(redo.undo)
        assert await _surely(till.closing) == closings[name]
        once = till.options(idempotency_key="one more")
        assert await once.sell("one more", 1) == sum(range(1, SALES + 1)) + 1
