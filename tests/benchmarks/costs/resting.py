"""
What a peer costs that has nothing to say: CPU, memory and bytes, by their number.

One real node, burdened with a growing number of idle peers of another process;
see `idle_peers`.  Then clusters of real nodes at rest, to see whether those agree.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.processes import ProcessCluster
from tests.benchmarks.costs.burden import burdened
from tests.benchmarks.costs.writing import MICROS_PER_SECOND, SETTLE_SECONDS
from tests.benchmarks.systems.local_nodes import (
    local_nodes,
    pid_of,
    processor_seconds,
    resident_bytes,
    sites,
)
from tests.benchmarks.systems.peer_bytes import PeerBytes, is_counting

PEER_COUNTS = (0, 10, 30, 50, 100, 200)
"""With up to 32 digests are compared every second, with more in turn."""

CLUSTER_SIZES = (2, 4, 8)


@dataclass(frozen=True, slots=True)
class Rest:
    """One node at rest: CPU and bytes received are of a second."""

    peers: int
    micros: float
    memory_bytes: int
    received_bytes: float | None


async def measure_burdened(directory: Path, *, seconds: float) -> list[Rest]:
    """Return what one node takes with each number of idle peers."""
    found = []
    async with local_nodes(directory, sites(1)) as cluster:
        for count in PEER_COUNTS:
            async with burdened(directory, cluster, count) as burden:
                found.append(await _rest(cluster, burden, count, seconds))
    return found


async def measure_clusters(directory: Path, *, seconds: float) -> list[Rest]:
    """Return what a node takes on average in clusters of 2, 4 and 8 at rest."""
    found = []
    for size in CLUSTER_SIZES:
        async with local_nodes(directory / str(size), sites(size)) as cluster:
            found.append(await _rest(cluster, [], size - 1, seconds))
    return found


async def _rest(
    cluster: ProcessCluster, burden: Sequence[int], peers: int, seconds: float
) -> Rest:
    pids = [pid_of(cluster, name) for name in cluster.topology.names]
    counted = PeerBytes()

    def received() -> int:
        counted.look([*pids, *burden])
        return sum(map(counted.received, pids))

    await asyncio.sleep(SETTLE_SECONDS)
    used = sum(map(processor_seconds, pids))
    before = received() if is_counting() else 0
    await asyncio.sleep(seconds)
    used = sum(map(processor_seconds, pids)) - used
    each = len(pids) * seconds
    return Rest(
        peers,
        used * MICROS_PER_SECOND / each,
        sum(map(resident_bytes, pids)) // len(pids),
        (received() - before) / each if is_counting() else None,
    )
