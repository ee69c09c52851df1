"""Homes of objects while nodes come and go: lost, wiped, moved, under other names."""

import asyncio

import pytest

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.homes import shard_name
from kvnode.errors import InvalidArgumentError
from kvnode.runtime.objects import spreading
from tests.runtime.objects.cluster_site import (
    REGIONS,
    SHARDS,
    TARGET,
    VOTERS,
    ClusterSite,
    home,
    on_three_nodes,
    shard_of,
)


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let leads go home soon after all is well."""
    monkeypatch.setattr(spreading, "WELL_SECONDS_MIN", 2.0)
    monkeypatch.setattr(spreading, "BETWEEN_SECONDS_MIN", 0.5)


def test_placed_object_survives_the_loss_of_its_region(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others keep it too, and lead it meanwhile; a node back home leads it again."""

    async def main(site: ClusterSite) -> None:
        assert await site.call("a", TARGET, "increment", hint="east") == 1
        await site.stop("c")
        assert await site.call("b", TARGET, "increment") == 2
        assert site.leader(home("east")) in {"a", "b"}
        site.start("c")
        await site.until(lambda: site.leader(home("east")) == "c", seconds=30)
        assert await site.call("a", TARGET, "increment") == 3

    on_three_nodes(monkeypatch, main, REGIONS)


def test_node_that_restarts_leads_a_shard_of_which_its_disk_has_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It founded the shard, and died before it could begin: nobody has to call."""

    async def main(site: ClusterSite) -> None:
        shard = home("east")
        authority = site.nodes["a"].objects._parts.authority
        like = await authority.read(shard_of(TARGET))
        assert like is not None
        first = Configuration(1, site.stores["c"].replica, like.replicas)
        await authority.swap(shard, None, first)
        await asyncio.sleep(5)
        assert not site.leader(shard)

        await site.stop("c")
        site.start("c")

        await site.until(lambda: site.leader(shard) == "c", seconds=10)

    on_three_nodes(monkeypatch, main, REGIONS)


def test_node_with_a_new_disk_leads_its_region_once_the_shard_was_moved_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As docs/operations.md has it; that it leads comes by itself."""
    shards = [shard_name(number) for number in range(SHARDS)]

    async def main(site: ClusterSite) -> None:
        assert await site.call("a", TARGET, "increment", hint="east") == 1
        await site.stop("c")
        for disks in (site.stores, site.states, site.voters):
            del disks["c"]
        site.start("c")
        assert await site.call("b", TARGET, "increment") == 2
        await site.nodes["a"].objects.administration.replace_voter("c", "c")
        for shard in (*shards, home("east")):
            while not site.leader(shard):  # noqa: ASYNC110 -- in virtual time
                await asyncio.sleep(0.05)
            leader = site.nodes[site.leader(shard)].objects.administration
            await leader.move(shard, VOTERS, is_forwarded=False)
        await site.until(lambda: site.leader(home("east")) == "c", seconds=60)
        await site.stop("a")
        assert await site.call("b", TARGET, "increment") == 3

    on_three_nodes(monkeypatch, main, REGIONS)


def test_shard_that_was_moved_elsewhere_stays_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody at home keeps it, so no lead goes home; its objects are found there."""

    async def main(site: ClusterSite) -> None:
        assert await site.call("a", TARGET, "increment", hint="east") == 1
        await site.nodes["a"].objects.administration.lead(home("east"))
        leader = site.nodes["a"].objects.administration
        await leader.move(home("east"), ("a", "b"), is_forwarded=False)
        await site.until(lambda: site.leader(home("east")) != "", seconds=10)
        epochs = []
        for _ in range(2):
            await asyncio.sleep(20)
            (status,) = (
                each
                for each in site.nodes["a"].objects.status()
                if each.shard == home("east")
            )
            epochs.append(status.epoch)
        assert epochs[0] == epochs[1], "the lead rests"
        assert site.leader(home("east")) in {"a", "b"}
        assert await site.call("c", TARGET, "increment", hint="east") == 2

    on_three_nodes(monkeypatch, main, REGIONS)


def test_region_that_has_another_name_keeps_what_was_placed_under_the_former(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is found and led, and no lead of it goes to and fro; nothing more comes."""
    regions = dict(REGIONS)

    async def main(site: ClusterSite) -> None:
        (placed,) = site.led_by("a")
        assert await site.call("a", placed, "increment", hint="east") == 1
        regions["c"] = "north"
        await site.stop("c")
        site.start("c")
        await site.settled()
        assert await site.call("c", placed, "increment") == 2
        await asyncio.sleep(20)
        before = [each.epoch for each in site.nodes["a"].objects.status()]
        await asyncio.sleep(20)
        assert [each.epoch for each in site.nodes["a"].objects.status()] == before
        names = (f"Counter m{number}" for number in range(60))
        target = next(name for name in names if shard_of(name) == shard_of(placed))
        with pytest.raises(InvalidArgumentError, match="there are north, west"):
            await site.call("a", target, "increment", hint="east")
        assert await site.call("a", target, "increment", hint="north") == 1
        assert site.leader(home("north", target)) == "c"

    on_three_nodes(monkeypatch, main, regions)


def test_claim_survives_all_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so does the shard of the region, of which their settings say nothing."""

    async def main(site: ClusterSite) -> None:
        assert await site.call("a", TARGET, "increment", hint="east") == 1
        for name in "abc":
            await site.stop(name)
        site.start("a", "b", "c")
        await site.settled()
        assert await site.call("b", TARGET, "increment") == 2
        assert site.leader(home("east"))

    on_three_nodes(monkeypatch, main, REGIONS)
