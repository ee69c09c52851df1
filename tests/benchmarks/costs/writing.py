"""
CPU and bytes of one write: where it is made, at a receiver, and for each more peer.

Three real nodes say what a write costs at its origin and at a receiver.  What a
node at rest uses is taken off, so that what is left is the writes'; nobody watches
meanwhile.  What one more peer costs the origin would vanish in the noise there, so
a node with 0, 2 and 4 peers that only acknowledge is put under the same load.

A turn of a node takes all writes that wait, so a write is cheaper at a higher
rate: the figures hold for the rate that they were measured at.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from cluster.processes import ProcessCluster
from tests.benchmarks.costs.burden import burdened
from tests.benchmarks.dataset import KEY_COUNT, draw
from tests.benchmarks.pacing import OpenLoop, Paced
from tests.benchmarks.systems.local_nodes import (
    Load,
    converge,
    load_client,
    local_nodes,
    pid_of,
    processor_seconds,
    sites,
)
from tests.benchmarks.systems.peer_bytes import PeerBytes, is_counting

MICROS_PER_SECOND = 1_000_000
SETTLE_SECONDS = 3.0
NODES = 3
PUSHED_TO = (0, 2, 4)


@dataclass(frozen=True, slots=True)
class WriteCosts:
    """CPU in microseconds and bytes, of one write; None where nobody counts."""

    per_second: float
    origin_micros: float  # with two peers
    receiver_micros: float
    received_bytes: float | None
    idle_micros: float  # a second, of a node with two peers
    idle_bytes: float | None  # a second, that such a node receives


@dataclass(frozen=True, slots=True)
class Pushing:
    """CPU in microseconds of one write at a node that pushes it to *peers*."""

    peers: int
    micros: float
    per_second: float


@dataclass(frozen=True, slots=True)
class _Used:
    """By node, the written first: CPU in microseconds and bytes received."""

    micros: tuple[float, ...]
    received: tuple[int, ...] | None
    answered: int


async def measure_writes(directory: Path, load: Load) -> WriteCosts:
    """
    Return what the writes of *load* cost at three nodes.

    Raises:
        NotConvergedError: The nodes differ in the end.
    """
    async with local_nodes(directory, sites(NODES)) as cluster:
        idle = await _at_rest(cluster, load.seconds)
        busy, paced = await _under(cluster, load)
        await converge(cluster, cluster.topology.names)
    each = [
        (used - rest) / busy.answered
        for used, rest in zip(busy.micros, idle.micros, strict=True)
    ]
    received = idle_bytes = None
    if busy.received is not None and idle.received is not None:
        others = sum(busy.received[1:]) - sum(idle.received[1:])
        received = others / (NODES - 1) / busy.answered
        idle_bytes = sum(idle.received) / NODES / load.seconds
    return WriteCosts(
        per_second=paced.per_second,
        origin_micros=each[0],
        receiver_micros=sum(each[1:]) / (NODES - 1),
        received_bytes=received,
        idle_micros=sum(idle.micros) / NODES / load.seconds,
        idle_bytes=idle_bytes,
    )


async def measure_pushing(directory: Path, load: Load) -> list[Pushing]:
    """Return what a write of *load* costs a node with 0, 2 and 4 peers."""
    found = []
    async with local_nodes(directory, sites(1)) as cluster:
        for count in PUSHED_TO:
            async with burdened(directory, cluster, count):
                idle = await _at_rest(cluster, load.seconds)
                busy, paced = await _under(cluster, load)
            micros = (busy.micros[0] - idle.micros[0]) / busy.answered
            found.append(Pushing(count, micros, paced.per_second))
    return found


async def _at_rest(cluster: ProcessCluster, seconds: float) -> _Used:
    await asyncio.sleep(SETTLE_SECONDS)
    before = _look(cluster)
    await asyncio.sleep(seconds)
    return _since(before, _look(cluster), answered=0)


async def _under(cluster: ProcessCluster, load: Load) -> tuple[_Used, Paced]:
    dataset = draw("costs", KEY_COUNT)
    async with load_client(cluster, cluster.topology.names[0]) as client:

        async def put(number: int) -> None:
            value = dataset.values[(number * 7) % KEY_COUNT]
            await client.put(dataset.keys[number % KEY_COUNT], value)

        loop = OpenLoop(put, per_second=load.per_second)
        await OpenLoop(put, per_second=load.per_second).run_for(SETTLE_SECONDS)
        before = _look(cluster)
        paced = await loop.run_for(load.seconds)
        return _since(before, _look(cluster), answered=paced.answered), paced


def _look(cluster: ProcessCluster) -> _Used:
    pids = [pid_of(cluster, name) for name in cluster.topology.names]
    micros = tuple(processor_seconds(pid) * MICROS_PER_SECOND for pid in pids)
    if not is_counting():
        return _Used(micros, None, 0)
    counted = PeerBytes()
    counted.look(pids)
    return _Used(micros, tuple(map(counted.received, pids)), 0)


def _since(before: _Used, after: _Used, *, answered: int) -> _Used:
    micros = tuple(b - a for a, b in zip(before.micros, after.micros, strict=True))
    if before.received is None or after.received is None:
        return _Used(micros, None, answered)
    received = zip(before.received, after.received, strict=True)
    return _Used(micros, tuple(b - a for a, b in received), answered)
