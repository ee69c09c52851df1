"""Following a node while it takes in what it has missed."""

import asyncio
from dataclasses import dataclass
from time import perf_counter_ns

from cluster.local.readiness import is_serving
from cluster.processes import ProcessCluster
from kvnode.client import Client
from kvnode.errors import KvError
from kvnode.types import ReplicaId
from tests.benchmarks.measurement import NANOS_PER_SECOND
from tests.benchmarks.systems.local_nodes import load_client, pid_of
from tests.benchmarks.systems.peer_bytes import PeerBytes, is_counting
from tests.benchmarks.systems.process import ServerError

POLL_SECONDS = 0.1
SERVING_POLL_SECONDS = 0.05
COUNT_SECONDS = 1.0
"""Looking at all connections takes 50 ms on a busy machine, so not at every poll."""

PROGRESS_SECONDS_MAX = 3600.0
LEVEL_SECONDS = 0.25
"""Who lacks less than what is written in this time is level: so much is in flight."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Times in ns of the one monotonic clock; bytes are None where nobody counts."""

    began: int
    serving: int
    covered: int  # all that the source covered when the node began to serve
    level: int  # with the source as it is now
    writes: int  # covered of the source's from first to last, those new meanwhile too
    bytes_received: int | None

    @property
    def seconds(self) -> float:
        """From the start of the process until it was level."""
        return (self.level - self.began) / NANOS_PER_SECOND


async def follow(
    cluster: ProcessCluster, name: str, source: str, *, per_second: int
) -> Progress:
    """
    Start the node *name* and follow it until it is level with *source*.

    Args:
        cluster: All other nodes that should run do.
        name: Which is down.
        source: Which is written to.
        per_second: At about what rate it is written to meanwhile.

    Raises:
        ServerError: It is not level within an hour.
    """
    began = perf_counter_ns()
    starting = asyncio.create_task(
        cluster.start(name, patience_seconds=PROGRESS_SECONDS_MAX)
    )
    counted = PeerBytes()
    counting = asyncio.create_task(_count(counted, cluster))
    try:
        while not await is_serving(cluster.endpoint(name)):
            if starting.done():
                starting.result()  # its error, if it has one, says why
            await asyncio.sleep(SERVING_POLL_SECONDS)
        serving = perf_counter_ns()
        async with (
            load_client(cluster, name) as late,
            load_client(cluster, source) as ahead,
        ):
            replica = (await ahead.status()).replica
            first = await covered(late, replica)
            target = await covered(ahead, replica)
            reached = 0
            deadline = serving + int(PROGRESS_SECONDS_MAX * NANOS_PER_SECOND)
            while perf_counter_ns() < deadline:
                newest = await covered(ahead, replica)
                here = await covered(late, replica)
                now = perf_counter_ns()
                if here >= target and not reached:
                    reached = now
                if reached and here >= newest - per_second * LEVEL_SECONDS:
                    await _look(counted, cluster)
                    pid = pid_of(cluster, name)
                    taken = counted.received(pid) if is_counting() else None
                    return Progress(began, serving, reached, now, here - first, taken)
                await asyncio.sleep(POLL_SECONDS)
        msg = f"{name} is not level with {source} after {PROGRESS_SECONDS_MAX:.0f} s"
        raise ServerError(msg)
    finally:
        counting.cancel()
        await starting


async def _count(counted: PeerBytes, cluster: ProcessCluster) -> None:
    while True:
        await _look(counted, cluster)
        await asyncio.sleep(COUNT_SECONDS)


async def _look(counted: PeerBytes, cluster: ProcessCluster) -> None:
    """Count what has come so far, in a thread: clients' loads go on meanwhile."""
    if is_counting():
        processes = map(cluster.process, cluster.topology.names)
        pids = [one.pid for one in processes if one is not None]
        await asyncio.to_thread(counted.look, pids)


async def covered(client: Client, replica: ReplicaId) -> int:
    """Return how many of the replica's writes a node covers; 0 if it is too busy."""
    try:
        status = await client.status()
    except KvError:
        return 0
    entries = [entry for entry in status.clock if entry.replica == replica]
    return entries[0].covered if entries else 0
