"""A node that is silent is suspected, dead, and alive again, for all to see (M1)."""

import asyncio
from collections import deque

import pytest

from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.running import run
from kvnode.core.membership.messages import Health
from kvnode.core.node.health import MemberStatus
from tests.cluster.simulated.scenario import rest

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

DETECTED_WITHIN = 40.0
"""Seconds: the longest suspicion in a cluster of three, and a few rounds."""


def believed(cluster: SimulatedCluster, name: str) -> dict[str, MemberStatus]:
    """Return how node *name* sees all members, by their names."""
    node = cluster.node(name).assembly
    assert node is not None
    return {member.name: member for member in node.driver.members()}


def health(cluster: SimulatedCluster, name: str) -> dict[str, Health | None]:
    """Return what node *name* believes of all members."""
    return {of: seen.health for of, seen in believed(cluster, name).items()}


ALL_ALIVE = dict.fromkeys("abc", Health.ALIVE)


def test_frozen_node_is_dead_to_others_and_alive_again_soon_after() -> None:
    """Both others tell so, once for each change; it accuses nobody afterwards."""
    log = deque[str]()

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        await asyncio.sleep(10)
        assert all(health(cluster, name) == ALL_ALIVE for name in "abc")
        seen = believed(cluster, "a")["b"]
        assert seen.connected
        assert seen.rtt_ms is not None
        assert seen.clock_offset_ms is not None
        await cluster.pause("b")
        await asyncio.sleep(DETECTED_WITHIN)
        assert health(cluster, "a") == ALL_ALIVE | {"b": Health.DEAD}
        assert health(cluster, "c") == ALL_ALIVE | {"b": Health.DEAD}
        await cluster.resume("b")
        await asyncio.sleep(10)
        assert all(health(cluster, name) == ALL_ALIVE for name in "abc")
        assert await rest(cluster)
        assert cluster.violations() == ()

    run(main, log=log)

    for name in "ac":
        lines = [line for line in log if f" {name}#" in line and " b " in line]
        for said in ("does not answer", "is taken for dead", "is alive again"):
            assert len([line for line in lines if said in line]) == 1
    assert not [line for line in log if " b#" in line and "taken for dead" in line]


def test_restarted_node_is_taken_back_without_refuting() -> None:
    """Its incarnation is above that of the life before."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        await asyncio.sleep(5)
        await cluster.kill("b")
        await asyncio.sleep(DETECTED_WITHIN)
        assert health(cluster, "a")["b"] is Health.DEAD
        await cluster.start("b")
        await asyncio.sleep(5)
        assert all(health(cluster, name) == ALL_ALIVE for name in "abc")

    run(main)


def test_node_that_is_cut_off_from_one_is_probed_through_the_other() -> None:
    """One broken road kills nobody."""
    log = deque[str]()

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        await asyncio.sleep(5)
        await cluster.cut([("a", "b"), ("b", "a")])
        await asyncio.sleep(120)
        assert (believed(cluster, "a")["b"].heard_ms_ago or 0) > 100_000
        assert all(health(cluster, name) == ALL_ALIVE for name in "abc")

    run(main, log=log)

    assert not [line for line in log if "taken for dead" in line]


def test_death_holds_up_forgetting_and_ends_nobody_s_membership() -> None:
    """M3, G1: a deletion waits for the dead, too."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        a = cluster.client("client", "a")
        await a.put("k", "v")
        await asyncio.sleep(5)
        await cluster.kill("b")
        await a.delete("k")
        await asyncio.sleep(2 * DETECTED_WITHIN)
        assert health(cluster, "a")["b"] is Health.DEAD
        state = cluster.node("a").disk.state()
        assert len(state.roster.members()) == 3
        assert not state.floor.vector.includes(state.clock)
        await cluster.start("b")
        await asyncio.sleep(20)
        state = cluster.node("a").disk.state()
        assert state.floor.vector.includes(state.clock)

    run(main)
