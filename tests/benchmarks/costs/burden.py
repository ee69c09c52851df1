"""Putting a number of peers that write nothing on one real node."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from cluster.processes import ProcessCluster
from kvnode.client import Client
from tests.benchmarks.systems.process import ServerProcess


@asynccontextmanager
async def burdened(
    directory: Path, cluster: ProcessCluster, count: int
) -> AsyncIterator[list[int]]:
    """
    Connect *count* peers to the one node of *cluster*, for a while.

    Yields:
        The processes that the peers live in: one, or none for no peers.
    """
    if count == 0:
        yield []
        return
    (name,) = cluster.topology.names
    command = [sys.executable, "-m", "tests.benchmarks.costs.idle_peers"]
    command += [cluster.endpoint(name), cluster.name, str(count)]
    peers = ServerProcess(command, log=directory / f"{count} peers.log")
    try:
        async with Client(cluster.endpoint(name)) as client:
            await peers.wait_until(partial(_has_peers, client, count))
        yield [peers.pid]
    finally:
        await peers.stop()


async def _has_peers(client: Client, count: int) -> bool:
    status = await client.status()
    return sum(peer.connected for peer in status.peers) == count
