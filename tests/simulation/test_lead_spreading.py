"""Leads after failures: who leads too many gives some away, and then all is still."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from cluster.simulated.chance import Chance
from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.loop import VirtualLoop
from cluster.simulated.objects import knobs, node
from cluster.simulated.objects.cluster import ObjectCluster
from cluster.simulated.running import run as run_simulated
from kvnode.api.objects_port import Call
from kvnode.errors import UnavailableError
from kvnode.objects.object_id import ObjectId
from kvnode.runtime.objects import spreading
from kvnode.runtime.objects.objects import Objects
from tests.objects.running.objects import Counter as CounterObject

NAMES = ("a", "b", "c")
SHARDS = 7
WELL_SECONDS = 5.0
BETWEEN_SECONDS = 2.0
"""Less than of real nodes: each second of these tests costs real time."""

TAKEOVER_SECONDS = 3.5
SETTLED_SECONDS = WELL_SECONDS + (SHARDS // 2) * (BETWEEN_SECONDS + 2)
"""From when all is well: half of the leads move at most, one at a time."""

LONG_SECONDS = 30.0
LOOK_SECONDS = 0.25

Leaders = dict[str, tuple[int, str]]
"""Epoch and leader of each shard."""


class Watch:
    """What has happened to leads, as seen from above."""

    def __init__(self, cluster: ObjectCluster) -> None:
        self._cluster = cluster
        self._last = self.leaders()
        self.changes: list[float] = []

    def leaders(self) -> Leaders:
        """Return who leads what, by the word of those who do."""
        return {
            each.shard: (each.epoch, name)
            for name, node in self._cluster.nodes.items()
            for each in node.status()
            if each.is_led_here
        }

    @property
    def counts(self) -> list[int]:
        """Return how many shards each node leads, ascending."""
        counts = Counter(dict.fromkeys(NAMES, 0))
        counts.update(name for _, name in self.leaders().values())
        return sorted(counts.values())

    async def watch(self, seconds: float) -> int:
        """Let time pass; return how many leads have changed meanwhile."""
        before = len(self.changes)
        for _ in range(round(seconds / LOOK_SECONDS)):
            await asyncio.sleep(LOOK_SECONDS)
            now = self.leaders()
            moved = [
                shard
                for shard, (epoch, _) in now.items()
                if epoch != self._last.get(shard, (epoch, ""))[0]
            ]
            self.changes += [asyncio.get_running_loop().time() for _ in moved]
            self._last |= now
        return len(self.changes) - before


Scenario = Callable[[ObjectCluster, Watch], Coroutine[Any, Any, None]]


def simulated(
    monkeypatch: pytest.MonkeyPatch, scenario: Scenario, *, seed: int = 0
) -> None:
    """Run *scenario* once all shards of three nodes are led."""
    monkeypatch.setattr(knobs, "SHARDS", SHARDS)
    monkeypatch.setattr(spreading, "WELL_SECONDS_MIN", WELL_SECONDS)
    monkeypatch.setattr(spreading, "BETWEEN_SECONDS_MIN", BETWEEN_SECONDS)

    async def main(around: SimulatedCluster) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        cluster = ObjectCluster(
            NAMES,
            loop,
            around.network,
            Chance(seed),
            {"Counter": CounterObject},
        )
        await cluster.found()
        await asyncio.sleep(TAKEOVER_SECONDS)
        await scenario(cluster, Watch(cluster))
        assert not cluster.violations()

    with knobs.chosen(has_small_logs=False, has_leases=True):
        run_simulated(main, nodes=(), seed=seed)


def test_cluster_where_nothing_changes_moves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long it runs; as it was founded, so it is led."""

    async def scenario(_cluster: ObjectCluster, watch: Watch) -> None:
        assert watch.counts == [2, 2, 3]
        assert await watch.watch(LONG_SECONDS) == 0

    simulated(monkeypatch, scenario)


@pytest.mark.parametrize(("lost", "seed"), [("a", 0), ("b", 1), ("c", 2)])
def test_leads_are_spread_again_after_a_failure_and_then_stay(
    monkeypatch: pytest.MonkeyPatch, lost: str, seed: int
) -> None:
    """One after another, no more than the node that was away leads in the end."""

    async def scenario(cluster: ObjectCluster, watch: Watch) -> None:
        cluster.nodes[lost].kill()
        await watch.watch(TAKEOVER_SECONDS)
        assert watch.counts[0] == 0
        cluster.nodes[lost].start()
        assert await watch.watch(WELL_SECONDS - 1.5) == 0

        moved = await watch.watch(SETTLED_SECONDS)

        assert moved <= SHARDS // 2
        assert watch.counts == [2, 2, 3]
        times = watch.changes[-moved:]
        gaps = [later - one for one, later in pairwise(times)]
        assert min(gaps) >= BETWEEN_SECONDS - LOOK_SECONDS
        assert await watch.watch(LONG_SECONDS) == 0

    simulated(monkeypatch, scenario, seed=seed)


def test_nothing_moves_while_anything_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """One node is back and leads nothing; another has gone meanwhile."""

    async def scenario(cluster: ObjectCluster, watch: Watch) -> None:
        cluster.nodes["b"].kill()
        await watch.watch(TAKEOVER_SECONDS)
        cluster.nodes["b"].start()
        cluster.nodes["c"].pause()
        await watch.watch(2 * TAKEOVER_SECONDS)
        assert await watch.watch(SETTLED_SECONDS) == 0

        cluster.nodes["c"].resume()
        await watch.watch(WELL_SECONDS + SETTLED_SECONDS)
        assert watch.counts == [2, 2, 3]

    simulated(monkeypatch, scenario)


def test_node_that_comes_and_goes_is_given_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is never there for as long as all must have been well."""

    async def scenario(cluster: ObjectCluster, watch: Watch) -> None:
        cluster.nodes["b"].kill()
        await watch.watch(TAKEOVER_SECONDS)
        for _ in range(6):
            cluster.nodes["b"].start()
            assert await watch.watch(WELL_SECONDS - 1.5) == 0
            cluster.nodes["b"].kill()
            assert await watch.watch(TAKEOVER_SECONDS) == 0

    simulated(monkeypatch, scenario)


def test_no_call_is_in_doubt_while_leads_are_spread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits for the next leader, for less than a lease would last."""

    async def scenario(cluster: ObjectCluster, watch: Watch) -> None:
        cluster.nodes["a"].kill()
        await watch.watch(TAKEOVER_SECONDS)
        cluster.nodes["a"].start()
        await watch.watch(WELL_SECONDS / 2)
        ended = asyncio.Event()
        longest: list[float] = []

        async def count(number: int) -> None:
            loop = asyncio.get_running_loop()
            target = ObjectId.from_name("Counter", f"n{number}")
            value = 0
            while not ended.is_set():
                began = loop.time()
                call = Call(target, "increment")
                try:
                    answer = await cluster.call("client", NAMES[number % 3], call)
                except UnavailableError:
                    continue
                value += 1
                assert answer == value
                longest.append(loop.time() - began)
                await asyncio.sleep(0.05)

        counting = [asyncio.create_task(count(number)) for number in range(12)]
        assert await watch.watch(SETTLED_SECONDS) > 0
        ended.set()
        await asyncio.gather(*counting)
        assert watch.counts == [2, 2, 3]
        assert max(longest) < 0.6

    simulated(monkeypatch, scenario)


def test_leads_stay_where_they_are_if_that_is_wished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Setting objects_spread is off: an operator may have reasons."""
    monkeypatch.setattr(node, "Objects", partial(Objects, spreads=False))

    async def scenario(cluster: ObjectCluster, watch: Watch) -> None:
        cluster.nodes["b"].kill()
        await watch.watch(TAKEOVER_SECONDS)
        cluster.nodes["b"].start()
        assert await watch.watch(WELL_SECONDS + SETTLED_SECONDS) == 0
        assert watch.counts[0] == 0

    simulated(monkeypatch, scenario)
