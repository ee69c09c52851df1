"""Clusters of real nodes under the harness, for tests of its faults."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cluster.convergence import Agreement, wait_until_equal
from cluster.local.installation import Installation
from jepsen_like.adapters.kvnode_processes import KvnodeProcesses
from kvnode.client import Client

NODES = ("a", "b", "c")
PATIENCE_SECONDS = 60.0
"""Far more than anything here takes: only a fault makes a test wait so long."""


@asynccontextmanager
async def running(
    *nodes: str, disk_bytes: int = 0, previous: Installation | None = None
) -> AsyncIterator[KvnodeProcesses]:
    """Yield a cluster that is up and connected; nothing is left of it afterwards."""
    system = KvnodeProcesses(
        nodes or NODES, seed=1, disk_bytes=disk_bytes, previous=previous
    )
    try:
        await system.set_up()
        await connected(system)
        yield system
    finally:
        await system.tear_down()


async def peers_of(system: KvnodeProcesses, node: str) -> set[str]:
    """Return to whom a node is connected."""
    async with Client(system.cluster.endpoint(node)) as client:
        return {p.name for p in (await client.status()).peers if p.connected}


async def connected(system: KvnodeProcesses) -> None:
    """Wait until every node is connected to every other one."""
    for node in system.nodes:
        await knows(system, node, set(system.nodes) - {node})


async def knows(system: KvnodeProcesses, node: str, peers: set[str]) -> None:
    """Wait until *node* is connected to exactly *peers*."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if await peers_of(system, node) == peers:
                break
            await asyncio.sleep(0.05)


async def converged(system: KvnodeProcesses) -> Agreement:
    """Wait until all nodes hold the same."""
    clients = {name: Client(system.cluster.endpoint(name)) for name in system.nodes}
    try:
        asks = {name: client.digest for name, client in clients.items()}
        return await wait_until_equal(asks, PATIENCE_SECONDS)
    finally:
        for client in clients.values():
            await client.close()


async def soon_reads(
    system: KvnodeProcesses, node: str, key: str, value: object
) -> None:
    """Wait until *node* shows *value*, to a process that has seen nothing yet."""
    client = await system.connect(10_000, node)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                if (await client.invoke("read", key, None)).value == value:
                    break
                await asyncio.sleep(0.02)
    finally:
        await client.close()
