"""The order of the steps, from three empty nodes to the proof."""

from contextlib import AsyncExitStack
from time import monotonic

from cluster.demo.cities import City
from cluster.demo.conflict import cause_conflict
from cluster.demo.counting import count_everywhere
from cluster.demo.loading import load_cities
from cluster.demo.narrator import Narrator
from cluster.demo.outage import survive_outage
from cluster.demo.proof import prove_equal
from cluster.demo.propagation import measure_propagation
from cluster.demo.stage import Stage
from cluster.processes import ProcessCluster
from kvnode.client import Client


async def tell(cluster: ProcessCluster, cities: list[City], narrator: Narrator) -> bool:
    """
    Start *cluster* and go through all steps; return whether every claim held.

    The cluster is left running.

    Raises:
        ClusterError: A node did not start.
        KvError: A node failed in a way that is no part of the story.
    """
    began = monotonic()
    await _start(cluster, narrator)
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(Client(cluster.endpoint(name)))
            for name in cluster.topology.names
        }
        stage = Stage(cluster, clients, narrator)
        await load_cities(stage, cities)
        await measure_propagation(stage)
        await cause_conflict(stage)
        await count_everywhere(stage)
        await survive_outage(stage)
        await prove_equal(stage)
    return narrator.verdict(monotonic() - began)


async def _start(cluster: ProcessCluster, narrator: Narrator) -> None:
    topology = cluster.topology
    narrator.step(
        "Start three nodes",
        "Three processes of this machine; what each sends to another is held back by"
        " the one-way distance.",
    )
    began = monotonic()
    await cluster.start()
    took = monotonic() - began
    for name in topology.names:
        process = cluster.process(name)
        narrator.say(
            f"[bold]{name:<10}[/] {cluster.endpoint(name)}"
            f"  process {process.pid if process else '-'}"
        )
    narrator.say(
        ", ".join(f"{a} - {b} {topology.delay(a, b)} ms" for a, b in topology.pairs())
    )
    narrator.claim(
        "all three answer their health checks", f"after {took:.1f} s", holds=True
    )
