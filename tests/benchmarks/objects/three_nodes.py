"""Nodes, mostly three, that keep objects together, each with fsync, at no distance."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from time import monotonic
from types import MappingProxyType

from cluster.processes import ProcessCluster
from kvnode.client import Client
from kvnode.core.objects.homes import SHARDS, shard_name
from kvnode.objects.object_id import ObjectId
from tests.benchmarks.systems.local_nodes import sites
from tests.benchmarks.systems.process import ServerError

COUNTER = "tests.system.shop:Counter"
FOUNDED_SECONDS_MAX = 60.0
POLL_SECONDS = 0.05


def three_nodes(
    directory: Path, settings: Mapping[str, object] = MappingProxyType({})
) -> AbstractAsyncContextManager[ProcessCluster]:
    """
    Start three nodes that serve a counter, and wait until all shards are led.

    Args:
        directory: Where they keep it.
        settings: Other than the usual ones, by kvnode's names.
    """
    return serving_nodes(directory, 3, settings)


@asynccontextmanager
async def serving_nodes(
    directory: Path, count: int, settings: Mapping[str, object] = MappingProxyType({})
) -> AsyncIterator[ProcessCluster]:
    """Start so many of them."""
    topology = sites(count)
    cluster = ProcessCluster.create(directory / "objects", topology, objects=[COUNTER])
    for name in topology.names:
        cluster.override(name, settings)
    try:
        await cluster.start()
        await all_led(cluster)
        yield cluster
    finally:
        await cluster.stop()


def client_of(cluster: ProcessCluster, *names: str, deadline: float = 30.0) -> Client:
    """Return a client of the named nodes, or of all; the first is asked first."""
    endpoints = [cluster.endpoint(name) for name in names or cluster.topology.names]
    return Client(*endpoints, deadline=deadline)


async def all_led(cluster: ProcessCluster) -> None:
    """
    Wait until every shard is led.

    Raises:
        ServerError: That does not happen within a minute.
    """
    until = monotonic() + FOUNDED_SECONDS_MAX
    async with client_of(cluster) as client:
        while monotonic() < until:
            status = await client.objects_status()
            if all(shard.leader for shard in status.shards):
                return
            await asyncio.sleep(POLL_SECONDS)
    msg = "not all shards are led after a minute"
    raise ServerError(msg)


async def leader_of(cluster: ProcessCluster, asked: str, name: str) -> str:
    """
    Return the node that leads the counter *name*, as the node *asked* says.

    Raises:
        ServerError: It knows of none within a minute.
    """
    shard = shard_name(ObjectId.from_name("Counter", name).shard(SHARDS))
    until = monotonic() + FOUNDED_SECONDS_MAX
    async with client_of(cluster, asked) as client:
        while monotonic() < until:
            for status in (await client.objects_status()).shards:
                if status.shard == shard and status.leader:
                    return status.leader
            await asyncio.sleep(POLL_SECONDS)
    msg = f"{asked} knows no leader of the counter {name}"
    raise ServerError(msg)
