"""Real nodes behind the proxy: what it cuts is cut, and nobody dials around it."""

import asyncio
from collections.abc import AsyncIterator

import psutil
import pytest

from jepsen_like.adapters.kvnode_processes import KvnodeProcesses
from jepsen_like.nemesis.faults import Cut, Disturb, Heal
from jepsen_like.system import NotPossibleError
from tests.system.kvnode_systems import (
    NODES,
    connected,
    converged,
    knows,
    running,
    soon_reads,
)

pytestmark = pytest.mark.system

BOTH_WAYS = (("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"))
"""All that cuts a off."""

SILENCE_SECONDS = 2.0
"""Twice the time after which nodes compare what they have."""


@pytest.fixture
async def system() -> AsyncIterator[KvnodeProcesses]:
    """Three nodes with a perfect network."""
    async with running() as made:
        yield made


def _listening_ports(system: KvnodeProcesses) -> set[int]:
    return {int(system.cluster.endpoint(n).rpartition(":")[2]) for n in system.nodes}


def _dialed_around(system: KvnodeProcesses) -> list[str]:
    """Return the connections that nodes have made to other nodes directly."""
    ports = _listening_ports(system)
    found = []
    for name in system.nodes:
        process = system.cluster.process(name)
        assert process is not None, "it runs"
        found += [
            f"{name} to {connection.raddr}"
            for connection in process.net_connections(kind="tcp")
            if tuple(connection.raddr)[1:]
            and connection.raddr.port in ports
            and connection.laddr.port not in ports
            and connection.status != psutil.CONN_TIME_WAIT
        ]
    return found


async def _write(system: KvnodeProcesses, node: str, key: str, value: int) -> None:
    client = await system.connect(NODES.index(node), node)
    try:
        await client.invoke("write", key, value)
    finally:
        await client.close()


async def _reads(system: KvnodeProcesses, node: str, key: str) -> object:
    client = await system.connect(99, node)
    try:
        return (await client.invoke("read", key, None)).value
    finally:
        await client.close()


async def test_all_replication_passes_through_the_proxy(
    system: KvnodeProcesses,
) -> None:
    """Every direction carries something, and no node has dialed another."""
    for number, node in enumerate(system.nodes):
        await _write(system, node, f"k{number}", number)
    await converged(system)

    for link in [(x, y) for x in NODES for y in NODES if x != y]:
        assert system.proxy.bytes_passed(link) > 0, link
    assert _dialed_around(system) == []


async def test_cut_node_hears_nothing_and_is_not_reached_around_the_cut(
    system: KvnodeProcesses,
) -> None:
    """Also when its connections have died of the cut; healed, all agree."""
    await system.inject(Cut(BOTH_WAYS))
    await _write(system, "a", "inside", 1)
    await _write(system, "b", "outside", 2)
    await soon_reads(system, "c", "outside", 2)
    await knows(system, "a", set())  # keepalive: 10 s, and 5 s for the answer
    await asyncio.sleep(SILENCE_SECONDS)  # time to dial again, if there is a way

    assert await _reads(system, "a", "outside") is None
    assert await _reads(system, "b", "inside") is None
    assert _dialed_around(system) == []

    await system.inject(Heal())
    await connected(system)
    await converged(system)
    assert await _reads(system, "a", "outside") == 2


async def test_one_way_cut_lets_the_other_way_pass(system: KvnodeProcesses) -> None:
    """What a sends arrives; what is sent to a does not."""
    await system.inject(Cut((("b", "a"), ("c", "a"))))
    await _write(system, "a", "from-a", 1)
    await _write(system, "b", "from-b", 2)

    await soon_reads(system, "b", "from-a", 1)
    await soon_reads(system, "c", "from-b", 2)
    assert await _reads(system, "a", "from-b") is None


async def test_slow_link_delays_what_passes(system: KvnodeProcesses) -> None:
    """By its delay at least; clients of both sides feel nothing."""
    loop = asyncio.get_running_loop()
    links = tuple((x, y) for x in NODES for y in NODES if x != y)
    await system.inject(Disturb(links, delay_ms=300, jitter_ms=50))
    began = loop.time()
    await _write(system, "a", "k", 1)
    written = loop.time()
    await soon_reads(system, "b", "k", 1)

    assert loop.time() - began >= 0.3
    assert written - began < 0.3


async def test_lossy_link_delivers_all_in_the_end(system: KvnodeProcesses) -> None:
    """TCP sends again what was lost, or a new connection is made."""
    links = tuple((x, y) for x in NODES for y in NODES if x != y)
    await system.inject(Disturb(links, loss=0.2))
    for number in range(20):
        await _write(system, "a", f"k{number}", number)

    await converged(system)


async def test_what_tcp_never_does_is_refused(system: KvnodeProcesses) -> None:
    """A planned fault that cannot be must be noted."""
    with pytest.raises(NotPossibleError, match="out of order"):
        await system.inject(Disturb((("a", "b"),), reordering=0.5))
