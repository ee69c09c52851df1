"""
A busy run for tests: writers at all nodes, while faults come and go.

Run as a module it prints the digest of a seed's trace, for comparing processes.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from random import Random

from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.line import Trouble
from cluster.simulated.running import run
from kvnode.errors import KvError

NODES = ("a", "b", "c")
SECONDS = 5.0
REST_SECONDS_MAX = 60.0

Fault = Callable[[SimulatedCluster, str], Awaitable[None]]


async def _kill(cluster: SimulatedCluster, name: str) -> None:
    await cluster.kill(name)
    await asyncio.sleep(0.5)
    await cluster.start(name)


async def _pause(cluster: SimulatedCluster, name: str) -> None:
    await cluster.pause(name)
    await asyncio.sleep(1)
    await cluster.resume(name)


async def _cut(cluster: SimulatedCluster, name: str) -> None:
    await cluster.cut(link for link in cluster.links() if name in link)
    await asyncio.sleep(1.5)
    await cluster.heal()


async def _disturb(cluster: SimulatedCluster, name: str) -> None:
    trouble = Trouble(
        delay_ms=20,
        jitter_ms=50,
        loss=0.1,
        duplication=0.1,
        reordering=0.1,
        bytes_per_second=50_000,
    )
    await cluster.disturb((link for link in cluster.links() if name in link), trouble)
    await asyncio.sleep(1)
    await cluster.heal()


async def _clock(cluster: SimulatedCluster, name: str) -> None:
    await cluster.set_clock(name, -1500, 900)


async def _restore(cluster: SimulatedCluster, name: str) -> None:
    await cluster.take_backup(name)
    await asyncio.sleep(0.7)
    await cluster.restore_backup(name)


async def _fill(cluster: SimulatedCluster, name: str) -> None:
    await cluster.fill_disk(name)
    await asyncio.sleep(0.7)
    await cluster.free_disk(name)


async def _attack(cluster: SimulatedCluster, name: str) -> None:
    await cluster.flood(name, 40)
    await cluster.garble(name, 10)


FAULTS: tuple[Fault, ...] = (
    _kill,
    _pause,
    _cut,
    _disturb,
    _clock,
    _restore,
    _fill,
    _attack,
    SimulatedCluster.wipe,
)


async def write(cluster: SimulatedCluster, worker: int, random: Random) -> None:
    """Be one session for a while, talking to one node after the other."""
    loop, token = asyncio.get_running_loop(), b""
    while loop.time() < SECONDS:
        node = random.choice(NODES)
        client = cluster.client(f"client-{worker}", node, token)
        key = f"key-{random.randrange(3)}"
        try:
            await client.put(key, f"{worker}", deadline=1.0)
            await client.get(key, deadline=1.0)
            await client.counter(f"count-{key}").increment(deadline=1.0)
        except KvError:
            pass
        token = client.token
        await client.close()
        await asyncio.sleep(random.uniform(0, 0.3))


async def rest(cluster: SimulatedCluster) -> bool:
    """End all faults; tell whether the nodes come to agree."""
    await cluster.heal()
    for name in cluster.names:
        await cluster.set_clock(name, 0)
        await cluster.resume(name)
        await cluster.free_disk(name)
        await cluster.start(name)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + REST_SECONDS_MAX
    while not cluster.at_rest() and loop.time() < deadline:  # noqa: ASYNC110 -- nothing says when
        await asyncio.sleep(0.2)
    return cluster.at_rest()


def scenario(seed: int, *, workers: int = 2, trace_lines: int = 0) -> tuple[str, ...]:
    """Run one seed; return its violations, whether it rests, digest and trace."""
    random = Random(seed)

    async def main(cluster: SimulatedCluster) -> tuple[str, ...]:
        await cluster.start_all()
        writers = [
            asyncio.create_task(write(cluster, n, Random(f"{seed}/{n}")))
            for n in range(workers)
        ]
        for _ in range(4):
            await asyncio.sleep(random.uniform(0.2, 1))
            await random.choice(FAULTS)(cluster, random.choice(NODES))
        await asyncio.gather(*writers)
        rests = "rests" if await rest(cluster) else "does not rest"
        digest, lines = cluster.trace.digest(), cluster.trace.lines()
        return (*cluster.violations(), rests, digest, *lines)

    return run(main, nodes=NODES, seed=seed, trace_lines=trace_lines)


if __name__ == "__main__":
    print("\n".join(scenario(int(sys.argv[1]), trace_lines=100_000)))  # noqa: T201 -- for another process to read
