"""Alarms of objects that three nodes keep: set through any of them, and not lost."""

import asyncio

import pytest

from kvnode.core.objects.homes import shard_name
from kvnode.errors import InvalidArgumentError
from kvnode.objects import ObjectId
from kvnode.objects.alarming import ALARM, SET_ALARM
from kvnode.objects.locating import LOCATE
from tests.objects.running.objects import NOW
from tests.runtime.objects.cluster_site import (
    SHARDS,
    VOTERS,
    ClusterSite,
    on_three_nodes,
    shard_of,
)

SECOND = 1000
REGIONS = {"a": "west", "b": "west", "c": "east"}


def now() -> int:
    """Return what the clocks of the nodes show."""
    return NOW + int(asyncio.get_running_loop().time() * SECOND)


def bell_of(site: ClusterSite, leader: str) -> str:
    """Return a bell that lives at a node now."""
    names = (f"Bell n{number}" for number in range(60))
    return next(name for name in names if site.leader(shard_of(name)) == leader)


def test_alarm_set_through_any_node_rings_after_its_leader_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once, and not before; whoever leads then tells the same time."""

    async def main(site: ClusterSite) -> None:
        target = bell_of(site, "b")
        due = now() + 20 * SECOND
        for node in VOTERS:
            due += SECOND
            assert await site.call(node, target, SET_ALARM, due) == due
            assert [await site.call(n, target, ALARM) for n in VOTERS] == [due] * 3

        await site.stop("b")
        await site.settled(but="b")

        assert [await site.call(n, target, ALARM) for n in "ac"] == [due] * 2
        await asyncio.sleep((due - now()) / SECOND - 1)
        assert await site.call("a", target, "rung") == 0
        await asyncio.sleep(2)
        assert await site.call("c", target, "rung") == 1
        assert await site.call("a", target, ALARM) is None

    on_three_nodes(monkeypatch, main)


def test_alarm_deleted_through_another_node_does_not_ring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though the one that led when it was set is back; refusals come word for word."""

    async def main(site: ClusterSite) -> None:
        target = bell_of(site, "b")
        await site.call("a", target, SET_ALARM, now() + 15 * SECOND)
        await site.stop("b")
        await site.settled(but="b")
        assert await site.call("c", target, SET_ALARM, None) is None
        site.start("b")
        await asyncio.sleep(20)

        for node in VOTERS:
            assert await site.call(node, target, ALARM) is None
            with pytest.raises(InvalidArgumentError, match="the ms since 1970"):
                await site.call(node, target, SET_ALARM, -1)
        assert await site.call("a", target, "rung") == 0

    on_three_nodes(monkeypatch, main)


def test_alarm_may_be_the_first_that_is_heard_of_an_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To set it places the object, to look does not; it rings where it lives."""

    async def main(site: ClusterSite) -> None:
        target = "Bell far"
        for node in VOTERS:
            assert await site.call(node, target, ALARM, hint="east") is None
        due = now() + 3 * SECOND
        assert await site.call("a", target, SET_ALARM, due, hint="east") == due

        id_ = ObjectId.from_name(*target.split())
        home = shard_name(id_.shard(SHARDS), "east")
        assert await site.call("b", target, LOCATE) == [home, True]
        assert await site.call("b", target, ALARM) == due
        await asyncio.sleep(5)
        assert await site.call("b", target, "rung") == 1

    on_three_nodes(monkeypatch, main, REGIONS)
