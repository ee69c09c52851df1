"""
How soon a leader is followed: from its last reply to the first of another.

One caller counts without a pause, by way of the nodes that stay; it is told of each
call that may have happened, and goes on.  The leader is killed, stopped, or cut off;
then it comes back, and the next round begins when it has caught up.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import monotonic

from cluster.processes import ProcessCluster
from kvnode.client import Client
from kvnode.errors import IndeterminateError, UnavailableError
from tests.benchmarks.fact import Fact, Facts
from tests.benchmarks.measurement import Section
from tests.benchmarks.objects.three_nodes import (
    all_led,
    client_of,
    leader_of,
    three_nodes,
)

STEADY_SECONDS = 1.0
GONE_SECONDS = 6.0
"""Longer than a takeover; what comes after it is the way back."""

BACK_SECONDS = 3.0
PAUSE_SECONDS = 0.002

Harm = Callable[[ProcessCluster, str], Awaitable[None]]


async def measure_failover(directory: Path, *, rounds: int) -> list[Fact]:
    """Return median and worst of *rounds* for each kind of harm."""
    facts = Facts(Section.OBJECTS, "kvnode, 3 nodes")
    async with three_nodes(directory) as cluster:
        for name, harm, heal in (
            ("SIGTERM", _stop, _start),
            ("SIGKILL", _kill, _start),
            ("SIGSTOP", _pause, _resume),
            ("partition", _cut, _heal),
        ):
            gaps = [await _gap(cluster, harm, heal) for _ in range(rounds)]
            facts.add(f"leader gone by {name}, median", median(gaps), "s")
            facts.add(f"leader gone by {name}, worst of {rounds}", max(gaps), "s")
    return facts.found


async def _gap(cluster: ProcessCluster, harm: Harm, heal: Harm) -> float:
    """Return the longest time without a reply around the loss of a leader."""
    names = cluster.topology.names
    leader = await leader_of(cluster, names[0], "c0")
    others = [name for name in names if name != leader]
    replies: list[float] = []
    async with client_of(cluster, *others, deadline=5.0) as client:
        counting = asyncio.create_task(_count(client, replies))
        await asyncio.sleep(STEADY_SECONDS)
        harmed_at = monotonic()
        await harm(cluster, leader)
        await asyncio.sleep(GONE_SECONDS)
        healed_at = monotonic()
        await heal(cluster, leader)
        await asyncio.sleep(BACK_SECONDS)
        counting.cancel()
        await asyncio.wait([counting])
    await all_led(cluster)
    around = [at for at in replies if harmed_at - STEADY_SECONDS <= at <= healed_at]
    pairs = zip(around, [*around[1:], healed_at], strict=True)
    return max(later - earlier for earlier, later in pairs)


async def _count(client: Client, replies: list[float]) -> None:
    counter = client.object("Counter", "c0")
    while True:
        try:
            await counter.increment()
        except (UnavailableError, IndeterminateError):
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            replies.append(monotonic())


async def _stop(cluster: ProcessCluster, name: str) -> None:
    await cluster.stop(name)


async def _kill(cluster: ProcessCluster, name: str) -> None:
    await cluster.kill(name)


async def _start(cluster: ProcessCluster, name: str) -> None:
    await cluster.start(name)


async def _pause(cluster: ProcessCluster, name: str) -> None:
    await cluster.pause(name)


async def _resume(cluster: ProcessCluster, name: str) -> None:
    await cluster.resume(name)


async def _cut(cluster: ProcessCluster, name: str) -> None:
    await cluster.partition([[name]])


async def _heal(cluster: ProcessCluster, name: str) -> None:
    del name
    await cluster.heal()
