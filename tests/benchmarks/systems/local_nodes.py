"""
Several `kvnode serve` processes in one place, with fsync, and what they use.

The same processes as `kvnode cluster` starts.  Without a distance a message takes
what loopback takes; with the three cities' it waits as long as the Earth is wide,
in the node that sends it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import psutil

from cluster.convergence import Ask, wait_until_equal
from cluster.processes import HOST, ProcessCluster
from cluster.topology import THREE_CITIES, Site, Topology
from kvnode.client import Client
from tests.benchmarks.systems.process import ServerError, find_program

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
    is_apart: bool = False  # who was down has a processor that nobody else uses

    @property
    def three_sites(self) -> Topology:
        """Three sites, as far apart as the load says."""
        return THREE_CITIES if self.has_distances else THREE_CITIES.scaled(0)

    @property
    def place(self) -> str:
        """What a report says of the distances."""
        place = "three cities" if self.has_distances else "loopback"
        return f"{place}, one apart" if self.is_apart else place


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
    async with running_nodes(cluster, *running):
        yield cluster


@asynccontextmanager
async def running_nodes(cluster: ProcessCluster, *running: str) -> AsyncIterator[None]:
    """Start nodes of *cluster*, all if none is named; stop all that run at the end."""
    try:
        await cluster.start(*running)
        yield
    finally:
        await cluster.stop()


@contextmanager
def kept_apart(cluster: ProcessCluster, name: str) -> Iterator[None]:
    """
    Give a node one processor, and all others, and this process, the rest.

    As if it were a machine of its own: what it takes itself is taken from nobody, and
    what others feel is what they do for it.

    Raises:
        NotInstalledError: There is no `taskset`.
        ServerError: There is one processor alone.
    """
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) == 1:
        msg = "with one processor nothing can be apart"
        raise ServerError(msg)
    *rest, last = usable
    for each in cluster.topology.names:
        mine = [last] if each == name else rest
        launcher = [find_program("taskset"), "-c", ",".join(map(str, mine))]
        cluster.place(each, host=HOST, launcher=launcher)
    os.sched_setaffinity(0, rest)
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


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
