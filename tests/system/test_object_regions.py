"""Objects that live in a region of real nodes, whatever happens to it."""

import pytest

from kvnode.client import Location
from kvnode.errors import InvalidArgumentError
from tests.system.counting import all_led
from tests.system.nodes import Fleet, ServedNode

pytestmark = pytest.mark.system

REGIONS = {"a": "europe", "b": "europe", "c": "asia"}


async def _three(fleet: Fleet) -> list[ServedNode]:
    nodes = fleet.add_peers(
        *REGIONS,
        regions=REGIONS,
        objects=["tests.system.shop:Counter"],
        objects_voters=list(REGIONS),
    )
    await fleet.start(nodes)
    await all_led(await fleet.client(nodes[0]))
    return nodes


async def test_first_call_places_an_object_and_any_node_finds_it(fleet: Fleet) -> None:
    """Also after all nodes have been killed, and while its region is gone."""
    nodes = await _three(fleet)
    here, there, far = [await fleet.client(node, deadline=8.0) for node in nodes]

    placed = here.object("Counter", "x", location_hint="asia")
    assert await placed.increment() == 1
    found = await there.object("Counter", "x").locate()
    assert found == Location(found.shard, "asia", "c", is_settled=True)
    assert await far.object("Counter", "x", location_hint="europe").increment() == 2
    with pytest.raises(InvalidArgumentError, match="there are asia, europe"):
        await here.object("Counter", "y", location_hint="moon").increment()

    for node in nodes:
        await node.kill()
    await fleet.start(nodes)
    assert await there.object("Counter", "x").increment() == 3

    await nodes[2].kill()
    assert await placed.increment() == 4
    led_by = (await placed.locate()).leader
    assert led_by in {"a", "b"}
