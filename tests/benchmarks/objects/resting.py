"""What objects cost that nobody calls: memory and CPU of three nodes that keep them."""

import asyncio
from pathlib import Path

from tests.benchmarks.fact import Fact, Facts
from tests.benchmarks.measurement import Section, all_at_most
from tests.benchmarks.objects.three_nodes import client_of, three_nodes
from tests.benchmarks.systems.local_nodes import (
    pid_of,
    processor_seconds,
    resident_bytes,
)

OBJECTS = 10_000
IN_FLIGHT = 64
HIBERNATED_SECONDS = 75.0
"""Objects leave memory after a minute, and are looked for every ten seconds."""

MIB = 1024 * 1024


async def measure_resting(directory: Path, *, seconds: float) -> list[Fact]:
    """Return what a node costs before there are objects, and with many asleep."""
    facts = Facts(Section.OBJECTS, "kvnode, 3 nodes")
    async with three_nodes(directory) as cluster:
        pids = [pid_of(cluster, name) for name in cluster.topology.names]

        async def take_down(what: str) -> None:
            before = [processor_seconds(pid) for pid in pids]
            await asyncio.sleep(seconds)
            used = [
                processor_seconds(pid) - then
                for pid, then in zip(pids, before, strict=True)
            ]
            memory = max(map(resident_bytes, pids))
            facts.add(f"{what}, memory of a node", memory / MIB, "MiB")
            percent = 100 * max(used) / seconds
            facts.add(f"{what}, CPU of a node", percent, "% of a core")

        await take_down("no objects")
        async with client_of(cluster) as client:
            counters = [
                client.object("Counter", f"c{number}") for number in range(OBJECTS)
            ]
            await all_at_most(
                [counter.increment for counter in counters], in_flight=IN_FLIGHT
            )
        await take_down(f"{OBJECTS:,} objects in memory")
        await asyncio.sleep(HIBERNATED_SECONDS)
        await take_down(f"{OBJECTS:,} objects asleep")
    return facts.found
