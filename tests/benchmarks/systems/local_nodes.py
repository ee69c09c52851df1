"""
Several `kvnode serve` processes in one place, with fsync, and what they use.

The same processes as `kvnode cluster` starts.  Without a distance a message takes
what loopback takes; with the three cities' it waits as long as the Earth is wide,
in the node that sends it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import psutil

from cluster.convergence import Ask, wait_until_equal
from cluster.processes import ProcessCluster
from cluster.topology import THREE_CITIES, Site, Topology
from kvnode.client import Client
from tests.benchmarks.systems.process import ServerError

CONVERGENCE_SECONDS_MAX = 600.0
DIGEST_SECONDS_MAX = 300.0
"""A digest reads every entry: millions of them on a busy machine."""

POLL_SECONDS = 0.05

DEADLINE_SECONDS = 120.0
"""A load that is too high shows in the spans, and does not end the run."""


SOMEWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Load:
    """What replication is measured under."""

    per_second: int  # writes, at one node
    seconds: float
    has_distances: bool  # those of the three cities, rather than none

    @property
    def three_sites(self) -> Topology:
        """Three sites, as far apart as the load says."""
        return THREE_CITIES if self.has_distances else THREE_CITIES.scaled(0)

    @property
    def place(self) -> str:
        """What a report says of the distances."""
        return "three cities" if self.has_distances else "loopback"


def sites(count: int) -> Topology:
    """Return *count* sites at no distance."""
    names = (f"n{number}" for number in range(count))
    return Topology(tuple(Site(name, SOMEWHERE) for name in names), ())


@asynccontextmanager
async def local_nodes(
    directory: Path, topology: Topology, *running: str
) -> AsyncIterator[ProcessCluster]:
    """Start the nodes called *running*, or all; stop all that run at the end."""
    cluster = ProcessCluster.create(directory / "cluster", topology)
    try:
        await cluster.start(*running)
        yield cluster
    finally:
        await cluster.stop()


def load_client(cluster: ProcessCluster, name: str) -> Client:
    """Return a client of that node alone, which waits where others would give up."""
    return Client(cluster.endpoint(name), deadline=DEADLINE_SECONDS)


def pid_of(cluster: ProcessCluster, name: str) -> int:
    """
    Return the process id of a running node.

    Raises:
        ServerError: It does not run.
    """
    process = cluster.process(name)
    if process is None:
        msg = f"{name} is down"
        raise ServerError(msg)
    return int(process.pid)


def processor_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, to the system's 10 ms."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def resident_bytes(pid: int) -> int:
    """Return the memory of a process that would be free if it ended."""
    return int(psutil.Process(pid).memory_full_info().uss)


async def converge(cluster: ProcessCluster, names: Sequence[str]) -> float:
    """
    Wait until the named nodes hold the same; nobody writes meanwhile.

    Returns:
        After how many seconds they covered the same.  Comparing what they hold
        takes longer, and is not in it.

    Raises:
        NotConvergedError: They do not within ten minutes.
    """
    async with AsyncExitStack() as open_clients:
        clients = [
            await open_clients.enter_async_context(load_client(cluster, name))
            for name in names
        ]
        began = monotonic()
        while monotonic() - began < CONVERGENCE_SECONDS_MAX:
            clocks = {(await client.status()).clock for client in clients}
            if len(clocks) == 1:
                break
            await asyncio.sleep(POLL_SECONDS)
        seconds = monotonic() - began

        def asker(client: Client) -> Ask:
            return lambda: client.digest(deadline=DIGEST_SECONDS_MAX)

        await wait_until_equal(
            {name: asker(client) for name, client in zip(names, clients, strict=True)},
            CONVERGENCE_SECONDS_MAX,
            answer_seconds=DIGEST_SECONDS_MAX,
        )
    return seconds
