"""Clusters in which pushes go by trees: everybody gets everything, mostly once (D7)."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterable
from random import Random
from unittest.mock import patch

import pytest

from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.running import run
from kvnode._pb import peer_pb2 as pb
from kvnode.core.dissemination import overlay
from kvnode.core.dissemination.overlay import Overlay
from kvnode.core.dissemination.ring import MemberView
from kvnode.core.node import spreading
from kvnode.errors import KvError
from kvnode.types import ReplicaId
from tests.cluster.simulated.scenario import rest, scenario

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

EXAMPLES = int(os.environ.get("HARNESS_EXAMPLES", "1"))
WAN_MS = 40.0
LINES_KEPT = 100_000


class Map:
    """So many nodes, in turn in three regions that are far apart."""

    def __init__(self, count: int) -> None:
        self.names = tuple(f"n{number}" for number in range(count))
        self.regions = {n: "abc"[at % 3] for at, n in enumerate(self.names)}
        self.delays_ms = {
            (one, other): WAN_MS
            for one in self.names
            for other in self.names
            if self.regions[one] != self.regions[other]
        }

    def entries(self, cluster: SimulatedCluster, origin: str) -> list[str]:
        """Return where the pushes of *origin* enter the other regions: their relays."""
        names = {replica_of(cluster, name): name for name in self.names}
        views = [MemberView(r, self.regions[name]) for r, name in names.items()]
        own = replica_of(cluster, origin)
        view = Overlay(own, self.regions[origin], views)
        return [names[entry] for _, entry in view.plan(view.tree(own)).entries]

    def sent(self, lines: Iterable[str]) -> Counter[str]:
        """Count the messages between nodes by their kinds."""
        found = Counter[str]()
        for line in lines:
            _, road, *_, data = line.split(" ")
            if {*road.split(">")} <= self.regions.keys():
                message = pb.PeerMessage.FromString(bytes.fromhex(data))
                found[message.WhichOneof("kind") or ""] += 1
        return found


def replica_of(cluster: SimulatedCluster, name: str) -> ReplicaId:
    """Return who *name* is."""
    return cluster.node(name).disk.state().replica


async def until_covered(
    cluster: SimulatedCluster, names: Iterable[str], origin: str, seconds: float
) -> None:
    """Return when all *names* cover all that *origin* has written; fail if too late."""
    replica = replica_of(cluster, origin)
    waiting, written = set(names), cluster.node(origin).disk.state().seq
    async with asyncio.timeout(seconds):
        while waiting:
            await asyncio.sleep(0.01)
            waiting -= {
                name
                for name in waiting
                if cluster.node(name).disk.state().clock.prefix(replica) >= written
            }


@pytest.mark.parametrize("count", [12, 20])
def test_write_costs_one_push_a_member_and_arrives_in_a_flight(count: int) -> None:
    """Whoever writes; nobody has to ask for anything."""
    where = Map(count)
    writers = where.names[:6]

    async def main(cluster: SimulatedCluster) -> Counter[str]:
        await cluster.start_all()
        await asyncio.sleep(4)
        before = len(cluster.trace.lines())
        for _ in range(3):
            for writer in writers:
                await cluster.client("client", writer).put("key", writer)
                await until_covered(cluster, where.names, writer, 0.1)
        await asyncio.sleep(3)
        assert cluster.at_rest()
        assert cluster.violations() == ()
        return where.sent(cluster.trace.lines()[before:])

    sent = run(
        main,
        nodes=where.names,
        regions=where.regions,
        delays_ms=where.delays_ms,
        trace_lines=LINES_KEPT,
    )

    writes = 3 * len(writers)
    assert writes * (count - 1) <= sent["push"] <= 1.05 * writes * (count - 1)
    assert sent["push_acknowledgement"] == sent["push"]
    assert sent["delta_request"] == 0


@pytest.mark.parametrize("paused", [False, True], ids=["killed", "paused"])
def test_relay_that_dies_amid_writes_costs_its_region_moments(
    paused: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """Nobody else lacks anything for half a second, and no delta is needed."""
    where = Map(12)

    async def main(cluster: SimulatedCluster) -> Counter[str]:
        await cluster.start_all()
        await asyncio.sleep(4)
        before = len(cluster.trace.lines())
        client = cluster.client("client", "n0")
        relay = where.entries(cluster, "n0")[0]
        others = [name for name in where.names if name != relay]
        for number in range(30):
            if number == 10:
                await (cluster.pause(relay) if paused else cluster.kill(relay))
            await client.put(f"key-{number}", "value")
            await asyncio.sleep(0.02)
        await until_covered(cluster, others, "n0", 0.5)
        sent = where.sent(cluster.trace.lines()[before:])
        await (cluster.resume(relay) if paused else cluster.start(relay))
        await until_covered(cluster, [relay], "n0", 5)
        await asyncio.sleep(3)
        assert cluster.at_rest()
        assert cluster.violations() == ()
        return sent

    sent = run(
        main,
        nodes=where.names,
        regions=where.regions,
        delays_ms=where.delays_ms,
        trace_lines=LINES_KEPT,
    )

    assert sent["graft"] > 0
    assert sent["delta_request"] == 0


async def _harm(cluster: SimulatedCluster, random: Random) -> None:
    """Do one thing to one or two nodes, and undo it."""
    name = random.choice(cluster.names)
    match random.choice(("kill", "pause", "cut", "part")):
        case "kill":
            await cluster.kill(name)
            await asyncio.sleep(random.uniform(0.1, 2))
            await cluster.start(name)
        case "pause":
            await cluster.pause(name)
            await asyncio.sleep(random.uniform(0.1, 2))
            await cluster.resume(name)
        case "cut":
            await cluster.cut(link for link in cluster.links() if name in link)
            await asyncio.sleep(random.uniform(0.1, 2))
            await cluster.heal()
        case "part":
            side = set(random.sample(cluster.names, len(cluster.names) // 3))
            parted = (k for k in cluster.links() if len(side & {*k}) == 1)
            await cluster.cut(parted)
            await asyncio.sleep(random.uniform(0.1, 2))
            await cluster.heal()


async def _write(cluster: SimulatedCluster, worker: int, random: Random) -> None:
    """Write at one node after the other, for six seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 6
    while loop.time() < end:
        client = cluster.client(f"client-{worker}", random.choice(cluster.names))
        try:
            await client.put(f"key-{random.randrange(5)}", f"{worker}", deadline=1.0)
            await client.counter("count").increment(deadline=1.0)
        except KvError:
            pass
        await client.close()
        await asyncio.sleep(random.uniform(0, 0.2))


@pytest.mark.parametrize("seed", range(EXAMPLES))
def test_large_cluster_under_faults_breaks_no_rule_and_comes_to_rest(seed: int) -> None:
    """Kills, pauses, cuts and partitions, two at a time, amid writes."""
    where, random = Map(12), Random(seed)

    async def main(cluster: SimulatedCluster) -> tuple[tuple[str, ...], bool]:
        async def harm_thrice() -> None:
            for _ in range(3):
                await _harm(cluster, random)

        await cluster.start_all()
        await asyncio.gather(
            *(_write(cluster, n, Random(f"{seed}/{n}")) for n in range(3)),
            harm_thrice(),
            harm_thrice(),
        )
        rests = await rest(cluster)
        return cluster.violations(), rests

    violations, rests = run(
        main,
        nodes=where.names,
        regions=where.regions,
        delays_ms=where.delays_ms,
        seed=seed,
    )

    assert violations == ()
    assert rests


def test_small_cluster_that_spreads_by_trees_survives_every_fault() -> None:
    """Restored and wiped nodes, attacks, full disks and clocks; old identities too."""
    with (
        patch.object(overlay, "DIRECT_MEMBERS_MAX", 1),
        patch.object(spreading, "DIRECT_MEMBERS_MAX", 1),
    ):
        for seed in range(4 * EXAMPLES):
            *violations, rests, _ = scenario(seed)
            assert violations == [], f"seed {seed}"
            assert rests == "rests", f"seed {seed}"
