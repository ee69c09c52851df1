"""Ten processes in three regions: more than push to each other directly (D7)."""

import asyncio

import pytest

from tests.system.nodes import Fleet, ServedNode, connected, converged, everything

pytestmark = pytest.mark.system

NAMES = tuple("abcdefghij")
REGIONS = dict(zip(NAMES, 3 * ["asia", "europe", "america"] + ["asia"], strict=True))
WRITES = 20
SECONDS_MAX = 10.0
"""In all, on a machine that has ten processes to run; the flight takes moments."""


async def _has_all(node: ServedNode, prefix: str) -> None:
    """Wait until *node* shows all writes of *prefix*."""
    async with node.client() as client:
        for number in range(WRITES):
            while await client.get(f"{prefix}/{number}") is None:  # noqa: ASYNC110 -- nothing says when
                await asyncio.sleep(0.01)


async def test_write_at_one_of_ten_nodes_is_seen_at_all_and_so_without_a_relay(
    fleet: Fleet,
) -> None:
    """Also with one node of each region killed, which then catches up."""
    nodes = fleet.add_peers(*NAMES, regions=REGIONS)
    await fleet.start(nodes)
    await connected(*nodes)

    for writer in nodes[:3]:
        async with writer.client() as client:
            for number in range(WRITES):
                await client.put(f"{writer.name}/{number}", b"v")
    for writer in nodes[:3]:
        async with asyncio.timeout(SECONDS_MAX):
            await asyncio.gather(*(_has_all(node, writer.name) for node in nodes))
    async with nodes[0].client() as client:
        assert (await client.put("everywhere", b"v", w=len(nodes))).replicas == 10

    for node in nodes[3:6]:
        await node.kill()
    alive = [node for node in nodes if node.alive]
    async with nodes[0].client() as client:
        for number in range(WRITES):
            await client.put(f"later/{number}", b"v")
    async with asyncio.timeout(SECONDS_MAX):
        await asyncio.gather(*(_has_all(node, "later") for node in alive))
    await fleet.start(nodes[3:6])
    await converged(*nodes)
    assert len(await everything(nodes[4])) == 4 * WRITES + 1
