"""Objects that live in a region: placed, found from any node, and led at home."""

import asyncio
from functools import partial

import pytest

from kvnode.api.calling import REGION_CHARS_MAX
from kvnode.api.objects_port import Call
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.homes import region_of
from kvnode.errors import (
    DeadlineError,
    IndeterminateError,
    InvalidArgumentError,
    MovedError,
    RejectedError,
    UnavailableError,
)
from kvnode.objects import ObjectId
from kvnode.objects.locating import LOCATE
from kvnode.objects.points import point_calls
from kvnode.objects.telling import told_value
from tests.runtime.objects.cluster_site import (
    REGIONS,
    TARGET,
    ClusterSite,
    home,
    on_three_nodes,
    shard_of,
)


def test_placed_object_is_led_in_its_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever places it; and it is the same one through any node, with any hint."""

    async def main(site: ClusterSite) -> None:
        assert await site.call("a", TARGET, "increment", hint="east") == 1
        assert site.leader(home("east")) == "c"
        for count, (node, hint) in enumerate(
            (("a", ""), ("b", ""), ("c", ""), ("b", "west"), ("c", "west")), start=2
        ):
            assert await site.call(node, TARGET, "increment", hint=hint) == count
        assert not site.leader(home("west"))

    on_three_nodes(monkeypatch, main, REGIONS)


def test_object_that_has_a_home_is_not_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hint that comes later founds nothing."""

    async def main(site: ClusterSite) -> None:
        assert await site.call("a", TARGET, "increment") == 1
        assert await site.call("b", TARGET, "increment", hint="east") == 2
        assert not site.leader(home("east"))
        assert await site.call("c", TARGET, LOCATE) == [shard_of(TARGET), True]

    on_three_nodes(monkeypatch, main, REGIONS)


def test_region_that_nobody_is_in_is_an_error_that_tells_which_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the object may still be placed elsewhere."""

    async def main(site: ClusterSite) -> None:
        with pytest.raises(InvalidArgumentError, match=r"'moon'.*there are east, west"):
            await site.call("b", TARGET, "increment", hint="moon")
        assert await site.call("b", TARGET, "increment", hint="east") == 1

    on_three_nodes(monkeypatch, main, REGIONS)


def test_regions_that_nobody_is_in_leave_nothing_at_the_voters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Any client can name one, and the voters have room for so many rows."""

    async def main(site: ClusterSite) -> None:
        before = len(site.voters["a"].memory.registers)
        for number in range(5):
            with pytest.raises(InvalidArgumentError, match="no member is in region"):
                await site.call("a", TARGET, "increment", hint=f"moon{number}")
            administration = site.nodes["a"].objects.administration
            with pytest.raises(InvalidArgumentError, match="is not in the region"):
                await administration.found(f"r.moon{number}.000")
        assert len(site.voters["a"].memory.registers) == before

    on_three_nodes(monkeypatch, main, REGIONS)


def test_object_is_placed_in_a_region_of_any_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The longest, of characters that its shards cannot have in their names."""
    region = "_" * REGION_CHARS_MAX

    async def main(site: ClusterSite) -> None:
        assert await site.call("a", TARGET, "increment", hint=region) == 1
        assert site.leader(home(region)) == "c"

    on_three_nodes(monkeypatch, main, {**REGIONS, "c": region})


def test_shard_is_kept_by_nodes_that_are_away_when_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With two alone the loss of either would stop it, long after all are back."""

    async def main(site: ClusterSite) -> None:
        await site.stop("b")
        await site.settled(but="b")
        await asyncio.sleep(10)  # the others have forgotten how to reach it
        assert await site.call("a", TARGET, "increment", hint="east") == 1
        site.start("b")
        await site.settled()
        await asyncio.sleep(5)
        await site.stop("a")
        assert await site.call("b", TARGET, "increment") == 2

    on_three_nodes(monkeypatch, main, REGIONS)


def test_node_that_has_changed_its_region_is_no_trouble_of_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another try finds out where it is; nothing was wrong with the call."""

    async def main(site: ClusterSite) -> None:
        async def elsewhere(shard: str) -> None:
            msg = f"c is not in the region of shard {shard}"
            raise InvalidArgumentError(msg)

        (target,) = site.led_by("a")
        administration = site.nodes["c"].objects.administration
        with monkeypatch.context() as patched:
            patched.setattr(administration, "found", elsewhere)
            with pytest.raises(UnavailableError, match="could not begin: c is not in"):
                await site.call("a", target, "increment", hint="east")
        assert await site.call("a", target, "increment", hint="east") == 1

    on_three_nodes(monkeypatch, main, REGIONS)


def test_first_calls_at_once_find_one_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two regions and none are named for the same objects, at three nodes."""

    async def main(site: ClusterSite) -> None:
        targets = [f"Counter r{number}" for number in range(12)]
        counts = await asyncio.gather(
            *(
                site.call(node, target, "increment", hint=hint)
                for target in targets
                for node, hint in (("a", "west"), ("b", "east"), ("c", ""))
            )
        )
        for place in range(len(targets)):
            assert sorted(counts[3 * place : 3 * place + 3]) == [1, 2, 3]
        shards = [await site.call("a", target, LOCATE) for target in targets]
        regions = {region_of(shard) for shard, _ in shards}
        assert regions == {"", "east", "west"}

    on_three_nodes(monkeypatch, main, REGIONS)


def test_shard_that_was_founded_and_never_begun_is_begun_by_a_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its leader died before anybody had heard of it, and others keep it too."""

    async def main(site: ClusterSite) -> None:
        shard = home("west")
        authority = site.nodes["c"].objects._parts.authority
        monkeypatch.setattr(site.nodes["c"].objects._host, "_found", _nothing)
        for name in "ab":
            monkeypatch.setattr(site.nodes[name].objects._host, "_found", _nothing)
        held = await authority.read(shard_of(TARGET))
        assert held is not None
        (dead,) = (site.stores[name].replica for name in "b")
        first = held.__class__(1, dead, held.replicas)
        assert await authority.swap(shard, None, first) == first
        await site.stop("b")
        await site.settled(but="b")
        assert await site.call("a", TARGET, "increment", hint="west") == 1
        assert site.leader(shard) in {"a", "c"}

    on_three_nodes(monkeypatch, main, REGIONS)


async def _nothing(shard: str) -> None:
    """Somebody has founded it."""
    del shard


def test_shard_of_which_only_the_authority_has_heard_begins_with_the_first_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever told it was told itself that it may have, and went no further."""

    async def main(site: ClusterSite) -> None:
        shard = home("east")
        ensure = site.nodes["a"].objects._homes.ensure
        there = site.nodes["c"].objects
        swap = there._parts.authority.swap

        async def in_doubt(
            shard: str, expected: Configuration | None, desired: Configuration
        ) -> Configuration:
            await swap(shard, expected, desired)
            msg = "the answer was lost"
            raise IndeterminateError(msg)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(there._parts.authority, "swap", in_doubt)
            with pytest.raises(UnavailableError, match="the answer was lost"):
                await ensure(shard)
        assert not there._shards.has_replica(shard)

        await ensure(shard)

        assert there._shards.has_replica(shard)
        await asyncio.sleep(1)
        assert site.leader(shard) == "c"

    on_three_nodes(monkeypatch, main, REGIONS)


def test_node_that_keeps_no_copy_lets_those_begin_that_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was asked because it is in the region, too."""

    async def main(site: ClusterSite) -> None:
        shard = "r.west.001"
        objects = {name: site.nodes[name].objects for name in "ab"}
        own = {name: each._shards.own for name, each in objects.items()}
        kept = Configuration(1, own["a"], (own["a"],))
        await objects["a"]._parts.authority.swap(shard, None, kept)

        await objects["b"].administration.found(shard)

        assert objects["a"]._shards.has_replica(shard)
        assert not objects["b"]._shards.has_replica(shard)
        await objects["a"]._parts.authority.swap("r.west.002", None, kept)
        site.cut("a")
        await asyncio.sleep(10)
        with pytest.raises((UnavailableError, DeadlineError)):
            await objects["b"].administration.found("r.west.002")

    on_three_nodes(monkeypatch, main, REGIONS)


def test_shard_that_was_led_is_there_whoever_of_its_region_can_be_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was moved away from home, or its nodes at home are down."""

    async def main(site: ClusterSite) -> None:
        shard = "r.east.001"
        objects = {name: site.nodes[name].objects for name in "abc"}
        own = {name: each._shards.own for name, each in objects.items()}
        kept = Configuration(5, own["a"], (own["a"],))
        await objects["a"]._parts.authority.swap(shard, None, kept)

        await objects["c"]._homes.ensure(shard)
        await site.stop("c")
        await asyncio.sleep(10)  # the others have forgotten how to reach it
        await objects["b"]._homes.ensure(shard)

    on_three_nodes(monkeypatch, main, REGIONS)


def test_node_founds_nothing_but_of_its_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is elsewhere does not know who is near."""

    async def main(site: ClusterSite) -> None:
        administration = site.nodes["c"].objects.administration
        with pytest.raises(InvalidArgumentError, match="is not in the region"):
            await administration.found("r.west.000")
        with pytest.raises(InvalidArgumentError, match="there is no shard"):
            await administration.found("r.east.777")
        with pytest.raises(InvalidArgumentError, match="is of no region"):
            await administration.found("s000")

    on_three_nodes(monkeypatch, main, REGIONS)


def test_shard_that_the_authority_has_forgotten_is_not_founded_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Epochs would be given out twice."""

    async def main(site: ClusterSite) -> None:
        objects = site.nodes["c"].objects
        objects._shards.replica("r.east.001")  # it has been heard of

        async def unknown(shard: str) -> None:
            del shard

        monkeypatch.setattr(objects._parts.authority, "read", unknown)
        with pytest.raises(RejectedError, match="has lost what it held"):
            await objects.administration.found("r.east.001")

    on_three_nodes(monkeypatch, main, REGIONS)


def test_call_that_was_sent_on_is_told_where_the_object_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the leader of where its name falls, whatever that node knows itself."""

    async def main(site: ClusterSite) -> None:
        assert await site.call("a", TARGET, "increment", hint="east") == 1
        leader = site.leader(shard_of(TARGET))
        target = ObjectId.from_name(*TARGET.split())
        call = Call(target, "increment", is_forwarded=True)
        with pytest.raises(MovedError) as caught:
            await told_value(partial(site.nodes[leader].objects.begin, call))
        assert caught.value.region == "east"
        call = call._replace(home="east")
        assert await told_value(partial(site.nodes["c"].objects.begin, call)) == 2

    on_three_nodes(monkeypatch, main, REGIONS)


def test_node_of_a_region_that_cannot_be_reached_places_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The caller can try again, and then the object is placed."""

    async def main(site: ClusterSite) -> None:
        (target,) = site.led_by("a")
        site.cut("c")
        for seconds in (0, 10):  # while it is still held to be there, and later
            await asyncio.sleep(seconds)
            with pytest.raises(UnavailableError):
                await site.call("a", target, "increment", hint="east")
        site.cut("c", blocked=False)
        await asyncio.sleep(5)
        assert await site.call("a", target, "increment", hint="east") == 1
        assert site.leader(home("east", target)) == "c"

    on_three_nodes(monkeypatch, main, REGIONS)


def test_bookmark_from_before_an_object_was_placed_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It names an entry of the log where its name falls, and of another one here."""

    async def main(site: ClusterSite) -> None:
        before = await site.call("a", TARGET, point_calls.CURRENT)
        assert await site.call("a", TARGET, "increment", hint="east") == 1
        with pytest.raises(InvalidArgumentError, match="before the object was placed"):
            await site.call("b", TARGET, point_calls.RESTORE, before)
        after = await site.call("b", TARGET, point_calls.CURRENT)
        assert await site.call("a", TARGET, "increment") == 2
        await site.call("c", TARGET, point_calls.RESTORE, after)
        assert await site.call("a", TARGET, "increment") == 2

    on_three_nodes(monkeypatch, main, REGIONS)
