"""Points in time of objects that three nodes keep: through any of them, for any."""

import asyncio

import pytest

from kvnode.errors import InvalidArgumentError
from kvnode.objects.points.point_calls import AT, CURRENT, RESTORE
from kvnode.runtime.shards.state import compaction
from tests.objects.running.objects import NOW
from tests.runtime.objects.cluster_site import (
    VOTERS,
    ClusterSite,
    on_three_nodes,
    shard_of,
)

WRITES = 150


def test_object_is_restored_through_any_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the refusal comes from the node that leads, word for word."""

    async def main(site: ClusterSite) -> None:
        (target,) = site.led_by("b")
        await site.call("a", target, "increment")
        points = [await site.call(node, target, CURRENT) for node in VOTERS]
        assert len(set(points)) == 1
        await site.call("a", target, "increment")

        for node in VOTERS:
            undo, *_ = await site.call(node, target, RESTORE, points[0])
            assert await site.call(node, target, "value") == 1
            await site.call(node, target, RESTORE, undo)
            assert await site.call(node, target, "value") == 2
            with pytest.raises(InvalidArgumentError, match="those look like"):
                await site.call(node, target, RESTORE, "no bookmark")
            with pytest.raises(InvalidArgumentError, match="is in the future"):
                await site.call(node, target, AT, NOW * 2)

    on_three_nodes(monkeypatch, main)


def test_bookmarks_hold_after_their_leader_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of a time, too: times are in the log."""

    async def main(site: ClusterSite) -> None:
        (target,) = site.led_by("b")
        await site.call("a", target, "increment")
        await asyncio.sleep(1)
        loop = asyncio.get_running_loop()
        time = NOW + int(loop.time() * 1000)
        point = await site.call("a", target, CURRENT)
        await asyncio.sleep(1)
        await site.call("a", target, "increment", 10)

        await site.stop("b")
        await site.settled(but="b")

        undo, *_ = await site.call("a", target, RESTORE, point)
        assert await site.call("a", target, "value") == 1
        await site.call("c", target, RESTORE, undo)
        assert await site.call("a", target, "value") == 11
        then = await site.call("c", target, AT, time)
        await site.call("c", target, RESTORE, then)
        assert await site.call("a", target, "value") == 1

    on_three_nodes(monkeypatch, main)


def test_replica_that_was_sent_the_state_restores_like_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has not seen the entries, and has what they put down."""
    monkeypatch.setattr(compaction, "KEPT_ENTRIES", 20)
    monkeypatch.setattr(compaction, "CHECKPOINT_ENTRIES", 40)

    async def main(site: ClusterSite) -> None:
        (target,) = site.led_by("b")
        shard = shard_of(target)
        points = [await site.call("a", target, CURRENT)]
        await site.stop("c")
        for number in range(WRITES):
            assert await site.call("a", target, "increment") == number + 1
            points.append(await site.call("a", target, CURRENT))
        site.start("c")
        state = site.states["c"].open(shard)
        await site.until(lambda: state.replaced_count > 0, seconds=30)
        await site.until(
            lambda: state.applied == site.states["a"].open(shard).applied, seconds=30
        )
        assert state.scan(b"", None, limit=100_000) == site.states["a"].open(
            shard
        ).scan(b"", None, limit=100_000)

        await site.nodes["c"].objects.administration.lead(shard)
        await site.until(lambda: site.leader(shard) == "c", seconds=30)

        for number in (0, 1, WRITES // 2, WRITES):
            await site.call("a", target, RESTORE, points[number])
            assert await site.call("a", target, "value") == number

    on_three_nodes(monkeypatch, main)
