"""Objects of three real nodes whose leaders a real etcd names, whatever fails."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from kvnode.client import Client
from tests.system.counting import (
    GONE_ON_SECONDS,
    Adder,
    adding,
    all_led,
    gone_on,
    leaders,
)
from tests.system.etcd_server import EtcdServer, etcd_server, skip_without_etcd
from tests.system.nodes import Fleet, ServedNode, logged

pytestmark = pytest.mark.system

NAMES = ("a", "b", "c")
COUNTERS = 24
"""More than there are shards: each node leads some of them."""

PAUSE_SECONDS = 0.05
"""Between increments: calls are always under way, and takeovers find a processor."""

AWAY_SECONDS = 6.0
"""That etcd is away: two leases, and several times as long as a takeover takes."""

MUTE_SECONDS = 4.0
"""Without a leader: twice as long as it takes to miss one and follow it."""


@pytest.fixture
async def etcd(tmp_path: Path) -> AsyncIterator[EtcdServer]:
    """An etcd of one member."""
    skip_without_etcd()
    async with etcd_server(tmp_path / "etcd") as server:
        yield server


async def _three(fleet: Fleet, etcd: EtcdServer) -> list[ServedNode]:
    nodes = fleet.add_peers(
        *NAMES,
        objects=["tests.system.shop:Counter"],
        objects_keepers=list(NAMES),
        objects_etcd=[etcd.endpoint],
    )
    await fleet.start(nodes)
    await all_led(await fleet.client(nodes[0]))
    return nodes


def _asked_elsewhere(adders: Sequence[Adder], victim: int) -> list[Adder]:
    """Return those whose client does not ask the node number *victim*."""
    return [a for n, a in enumerate(adders) if n % len(NAMES) != victim]


async def _followed(client: Client, name: str) -> None:
    """Wait until others than the node *name* lead all shards."""
    async with asyncio.timeout(GONE_ON_SECONDS):
        while name in (await leaders(client)).values():  # noqa: ASYNC110 -- a process
            await asyncio.sleep(0.05)


async def test_killed_and_paused_leaders_are_followed(
    fleet: Fleet, etcd: EtcdServer
) -> None:
    """Whoever leads most; nothing that was answered is lost, or goes back."""
    nodes = await _three(fleet, etcd)
    clients = [await fleet.client(node, deadline=5.0) for node in nodes]
    async with adding(clients, COUNTERS, pause_seconds=PAUSE_SECONDS) as adders:
        await gone_on(adders)
        for is_killed in (True, False, True, False):
            led = Counter((await leaders(clients[0])).values())
            place = NAMES.index(led.most_common(1)[0][0])
            if is_killed:
                await nodes[place].kill()
            else:
                nodes[place].pause()
            await gone_on(_asked_elsewhere(adders, place))
            await _followed(clients[place - 1], NAMES[place])
            if is_killed:
                await nodes[place].start()
            else:
                nodes[place].resume()
            await gone_on(adders)


async def test_calls_go_on_while_etcd_is_away(fleet: Fleet, etcd: EtcdServer) -> None:
    """Leaders confirm among the nodes; only who takes over asks etcd."""
    nodes = await _three(fleet, etcd)
    clients = [await fleet.client(node, deadline=5.0) for node in nodes]
    async with adding(clients, COUNTERS, pause_seconds=PAUSE_SECONDS) as adders:
        await gone_on(adders)
        led = await leaders(clients[0])
        await etcd.kill()
        before = [adder.in_doubt for adder in adders]
        until = asyncio.get_running_loop().time() + AWAY_SECONDS
        while asyncio.get_running_loop().time() < until:
            await gone_on(adders)
        assert [adder.in_doubt for adder in adders] == before, "a leader was lost"
        assert await leaders(clients[0]) == led
        assert not etcd.program.alive

        await etcd.start()
        await nodes[0].kill()
        await gone_on(_asked_elsewhere(adders, 0))
        await nodes[0].start()
        await gone_on(adders)


async def test_shards_of_a_dead_leader_wait_for_etcd(
    fleet: Fleet, etcd: EtcdServer
) -> None:
    """Those of the others go on; and nothing was lost when etcd is back."""
    victim, *others = await _three(fleet, etcd)
    clients = [await fleet.client(node, deadline=5.0) for node in others]
    async with adding(clients, COUNTERS, pause_seconds=PAUSE_SECONDS) as adders:
        await gone_on(adders)
        await etcd.kill()
        await victim.kill()
        await asyncio.sleep(MUTE_SECONDS)
        counts = [adder.acknowledged for adder in adders]
        await asyncio.sleep(MUTE_SECONDS)
        went_on = [
            adder.acknowledged > count
            for adder, count in zip(adders, counts, strict=True)
        ]
        assert any(went_on), "leaders that live need no etcd"
        assert not all(went_on), "somebody has taken over without being named"

        await etcd.start()
        await gone_on(adders)
        await victim.start()
        await gone_on(adders)


async def test_etcd_that_is_away_is_told_before_it_is_needed(
    fleet: Fleet, etcd: EtcdServer
) -> None:
    """By a node that starts, and waits for it; then the shards begin."""
    await etcd.kill()
    node = fleet.add(
        "a",
        objects=["tests.system.shop:Counter"],
        objects_keepers=["a"],
        objects_etcd=[etcd.endpoint],
    )
    await node.start()
    await logged(f"{etcd.endpoint} is not well", node)
    await logged("16 shards wait", node)

    await etcd.start()

    client = await fleet.client(node)
    await all_led(client)
    assert await client.object("Counter", "x").increment() == 1
