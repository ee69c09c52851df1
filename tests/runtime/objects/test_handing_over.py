"""A node that stops gives its leads away, and no call is lost or in doubt by it."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from kvnode.core.objects.spreading import Step
from kvnode.errors import (
    RejectedError,
    UnavailableError,
)
from kvnode.runtime.objects import spreading
from kvnode.runtime.objects.handing_over import DRAIN_SECONDS_MAX
from kvnode.runtime.objects.objects import CALLS_SECONDS_MAX
from tests.objects.running.objects import DOORS
from tests.runtime.objects.cluster_site import (
    VOTERS,
    ClusterSite,
    on_three_nodes,
    shard_of,
)
from tests.runtime.objects.test_on_three_nodes import now

GAP_SECONDS_MAX = 0.3
"""A few syncs and round trips, and the pauses of who waits; a lease lasts for 0.6."""


class Caller:
    """Counts up one counter through one node, and what became of that."""

    def __init__(self, site: ClusterSite, node: str, target: str) -> None:
        self.answers: list[float] = [now()]
        self.value = 0
        self.refused = 0
        self._site, self._node, self._target = site, node, target
        self.task = asyncio.create_task(self._count())

    async def _count(self) -> None:
        while self._node in self._site.nodes:
            try:
                value = await self._site.call(self._node, self._target, "increment")
            except UnavailableError:
                self.refused += 1
            else:
                self.value += 1
                assert value == self.value, "one is lost, or was done twice"
                self.answers.append(now())
            await asyncio.sleep(0.01)

    @property
    def gap(self) -> float:
        """Return the longest time without an answer until now."""
        times = [*self.answers, now()]
        return max(b - a for a, b in pairwise(times))


def test_calls_go_on_while_a_leader_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through others without an error; its own callers are told to ask others."""

    async def main(site: ClusterSite) -> None:
        targets = site.led_by("b", count=30)[:2]
        others = [Caller(site, "a", targets[0]), Caller(site, "c", targets[1])]
        own = Caller(site, "b", site.led_by("b", count=30)[2])
        await asyncio.sleep(1)
        began = now()
        await site.stop_in_order("b")
        assert now() - began < 1.0
        await asyncio.sleep(1)
        for caller in others:
            assert not caller.task.done()
            assert caller.refused == 0
            assert caller.gap < GAP_SECONDS_MAX
            caller.task.cancel()
        await asyncio.wait([own.task, *(caller.task for caller in others)])
        assert own.task.result() is None

    on_three_nodes(monkeypatch, main)


def test_leads_go_to_those_that_lead_the_fewest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each in its turn, so that the others share the work."""
    monkeypatch.setattr("tests.runtime.objects.cluster_site.SHARDS", 9)

    async def main(site: ClusterSite) -> None:
        assert await site.nodes["b"].objects._handing.give_all() == ()
        await asyncio.sleep(0.2)
        leaders = [each.leader for each in site.nodes["a"].objects.status()]
        assert sorted(Counter(leaders).items()) == [("a", 5), ("c", 4)]

    on_three_nodes(monkeypatch, main)


def test_method_that_lasts_is_cut_off_and_done_again_if_it_has_done_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stop does not wait for it."""

    async def main(site: ClusterSite) -> None:
        (target,) = site.led_by("b")
        calling = asyncio.create_task(site.call("a", target, "slow", "a"))
        await asyncio.sleep(0.1)
        began = now()
        await site.nodes["b"].objects.hand_over()
        assert DRAIN_SECONDS_MAX < now() - began < DRAIN_SECONDS_MAX + 0.5
        DOORS["a"].set()
        assert await calling == 1
        assert await site.call("a", target, "value") == 1

    on_three_nodes(monkeypatch, main)


def test_node_without_an_heir_stops_in_time_and_does_nothing_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call of an object that it leads is answered first; a later one is refused."""

    async def main(site: ClusterSite) -> None:
        (target,) = site.led_by("b")
        calling = asyncio.create_task(site.call("b", target, "slow", "a"))
        await asyncio.sleep(0.1)
        for name in "ac":
            await site.nodes[name].objects.hand_over()
        began = now()
        stopping = asyncio.create_task(site.nodes["b"].objects.hand_over())
        await asyncio.sleep(1)
        assert not stopping.done()
        with pytest.raises(UnavailableError, match="is stopping"):
            await site.call("b", target, "value")
        DOORS["a"].set()
        assert await calling == 1
        await stopping
        assert now() - began < 1.1

        DOORS["a"].clear()
        again = asyncio.create_task(site.nodes["b"].objects.hand_over())
        site.nodes["b"].objects._router.under_way = 1  # a method that never ends
        await again
        assert now() - began == pytest.approx(1 + CALLS_SECONDS_MAX, abs=0.3)

    on_three_nodes(monkeypatch, main)


def test_lead_that_the_heir_does_not_take_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Calls go on here, as if nothing had been."""

    async def main(site: ClusterSite) -> None:
        (target,) = site.led_by("b")
        site.nodes["c"].objects.administration.is_stopping = True
        with pytest.raises(RejectedError, match="is stopping, and takes no lead"):
            await site.nodes["b"].objects._handing.give(shard_of(target), "c")
        assert await site.call("a", target, "increment") == 1
        assert site.leader(shard_of(target)) == "b"

    on_three_nodes(monkeypatch, main)


def test_nodes_that_stop_one_after_another_leave_the_leads_to_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While there is a majority; then calls wait for one."""

    async def main(site: ClusterSite) -> None:
        targets = [f"Counter n{number}" for number in range(6)]
        for target in targets:
            await site.call("a", target, "increment")
        await site.stop_in_order("b")
        for target in targets:
            assert await site.call("a", target, "increment") == 2
        site.start("b")
        await asyncio.sleep(2)
        await site.stop_in_order("a")
        for target in targets:
            assert await site.call("b", target, "increment") == 3
        assert set(VOTERS) - site.nodes.keys() == {"a"}

    on_three_nodes(monkeypatch, main)


def test_node_that_leads_nearly_as_many_takes_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who gives knows less of what others lead than they do themselves."""

    async def main(site: ClusterSite) -> None:
        (target,) = site.led_by("b")
        taking = site.nodes["c"].objects.administration
        with pytest.raises(RejectedError, match="leads 1 shards"):
            await taking.lead(shard_of(target), giver_leads=2)
        assert site.leader(shard_of(target)) == "b"
        await taking.lead(shard_of(target), giver_leads=3)
        assert site.leader(shard_of(target), but="b") == "c"

    on_three_nodes(monkeypatch, main)


def test_node_takes_one_lead_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two givers that have not heard of each other would give it too many."""

    async def main(site: ClusterSite) -> None:
        await site.nodes["c"].objects._handing.give_all()
        taking = site.nodes["c"].objects.administration
        shards = [
            shard_of(target) for name in "ab" for target in site.led_by(name, count=1)
        ]
        results = await asyncio.gather(
            *(taking.lead(shard, giver_leads=2) for shard in shards),
            return_exceptions=True,
        )
        assert [type(each) for each in results] == [type(None), RejectedError]

    on_three_nodes(monkeypatch, main)


def test_overview_names_who_leads_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one leads two more than another; nowhere else."""

    async def main(site: ClusterSite) -> None:
        async def heirs() -> list[str]:
            overviews = [
                await node.objects.administration.overview()
                for node in site.nodes.values()
            ]
            return [led.heir for each in overviews for led in each.led if led.heir]

        assert await heirs() == []
        (target,) = site.led_by("b")
        await site.nodes["b"].objects._handing.give(shard_of(target), "c")
        await asyncio.sleep(0.5)
        assert await heirs() == ["b"]

    on_three_nodes(monkeypatch, main)


def test_lead_that_is_being_given_is_given_before_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node may be stopped while it spreads its leads."""

    async def main(site: ClusterSite) -> None:
        objects = site.nodes["b"].objects
        (target,) = site.led_by("b")
        monkeypatch.setattr(spreading, "WELL_SECONDS_MIN", 0.0)
        monkeypatch.setattr(spreading, "BETWEEN_SECONDS_MIN", 0.0)
        monkeypatch.setattr(
            objects._spreading, "next_step", lambda: Step(shard_of(target), "c")
        )
        calling = asyncio.create_task(site.call("a", target, "slow", "a"))
        await site.until(lambda: bool(objects._host._held), seconds=5)
        await objects.hand_over()
        DOORS["a"].set()
        assert await calling == 1
        assert objects._handing.leads() == []

    on_three_nodes(monkeypatch, main)
