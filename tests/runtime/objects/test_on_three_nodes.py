"""Objects of three nodes: called through any, and led by others if one is lost."""

import asyncio

import pytest

from kvnode.errors import (
    IndeterminateError,
    KvError,
    NotLeaderError,
    ObjectEndedError,
    UnavailableError,
)
from tests.objects.running.objects import DOORS, NOW, Counter
from tests.runtime.objects.cluster_site import (
    SHARDS,
    VOTERS,
    ClusterSite,
    on_three_nodes,
    shard_of,
)

TAKEOVER_SECONDS_MAX = 3.0
"""What the design promises from the loss of a leader to the next answer."""


def test_object_is_called_through_any_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same one, wherever the call comes in."""

    async def main(site: ClusterSite) -> None:
        for target in ("Counter x", "Counter y", "Counter z"):
            counts = [
                await site.call(node, target, "increment") for node in (*VOTERS, "a")
            ]
            assert counts == [1, 2, 3, 4]

    on_three_nodes(monkeypatch, main)


def test_status_names_leaders_that_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """All nodes agree on them, and each leads its share."""

    async def main(site: ClusterSite) -> None:
        await asyncio.sleep(1)
        told = {
            name: {each.shard: each.leader for each in node.objects.status()}
            for name, node in site.nodes.items()
        }
        assert told["a"] == told["b"] == told["c"]
        assert sorted(told["a"].values()) == list(VOTERS)
        for name, node in site.nodes.items():
            for each in node.objects.status():
                assert each.is_led_here is (each.leader == name)
                assert each.epoch >= 2
                assert each.committed >= 1
                assert not each.fault

    on_three_nodes(monkeypatch, main)


def test_node_without_replicas_finds_every_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It asks the authority once a shard, and follows a leader that changes."""

    async def main(site: ClusterSite) -> None:
        site.start("d")
        await asyncio.sleep(2)
        for number in range(2 * SHARDS):
            assert await site.call("d", f"Counter n{number}", "increment") == 1
        status = site.nodes["d"].objects.status()
        assert [each.epoch for each in status] == [0] * SHARDS
        assert sorted(each.leader for each in status) == list(VOTERS)

        (target,) = site.led_by("b")
        await site.stop("b")
        before = now()
        assert await site.call("d", target, "increment") == 2
        assert now() - before < TAKEOVER_SECONDS_MAX

    on_three_nodes(monkeypatch, main)


@pytest.mark.parametrize("loss", ["stopped", "cut off"])
def test_others_go_on_when_a_leader_is_lost_and_nothing_is(
    monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    """What was answered is there, within the time that the design promises."""

    async def main(site: ClusterSite) -> None:
        targets = site.led_by("b", count=3)
        for target in targets:
            for _ in range(5):
                await site.call("a", target, "increment")
        if loss == "stopped":
            await site.stop("b")
        else:
            site.cut("b")
        start = now()
        calls = [
            site.call(node, target, "value") for target in targets for node in "ac"
        ]
        values = await asyncio.gather(*calls, return_exceptions=True)
        if loss == "stopped":
            assert values == [5] * len(calls)
        else:  # sent to who was cut off, they may have happened
            assert all(v == 5 or isinstance(v, IndeterminateError) for v in values)
        await site.settled(but="b", seconds=TAKEOVER_SECONDS_MAX)
        for target in targets:
            assert await site.call("a", target, "increment") == 6
            assert await site.call("c", target, "increment") == 7
        assert now() - start < TAKEOVER_SECONDS_MAX
        leader = site.leader(shard_of(targets[0]), but="b")
        for name in "ac":
            (known,) = (
                each.leader
                for each in site.nodes[name].objects.status()
                if each.shard == shard_of(targets[0])
            )
            assert known == leader

    on_three_nodes(monkeypatch, main)


def test_leader_that_is_cut_off_answers_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither what it would write nor what it has: others may know better."""

    async def main(site: ClusterSite) -> None:
        (target,) = site.led_by("b")
        await site.call("a", target, "increment")
        site.cut("b")
        await asyncio.sleep(0.7)  # what leases are left have run out
        calls = [
            asyncio.create_task(site.call("b", target, method))
            for method in ("increment", "value")
        ]
        await site.settled(but="b", seconds=TAKEOVER_SECONDS_MAX)
        assert await site.call("a", target, "value") == 1
        assert await site.call("a", target, "increment") == 2
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(error, KvError) for error in errors)

        site.cut("b", blocked=False)
        await asyncio.sleep(3)
        assert await site.call("b", target, "value") == 2

    on_three_nodes(monkeypatch, main)


def test_nothing_that_was_answered_is_lost_in_failovers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though one node after another is lost and comes back while calls go on."""

    async def main(site: ClusterSite) -> None:
        answered = 0
        unsure = 0
        ended = asyncio.Event()

        async def increments(node: str) -> None:
            nonlocal answered, unsure
            while not ended.is_set():
                try:
                    if node in site.nodes:
                        await site.call(node, "Counter x", "increment")
                        answered += 1
                except IndeterminateError:
                    unsure += 1
                except UnavailableError:
                    pass
                await asyncio.sleep(0.05)

        tasks = [asyncio.create_task(increments(node)) for node in VOTERS]
        for name in (site.leader(shard_of("Counter x")), "a", "c"):
            await asyncio.sleep(0.5)
            if name == "a":
                site.cut(name)
                await asyncio.sleep(3)
                site.cut(name, blocked=False)
            else:
                await site.stop(name)
                await asyncio.sleep(3)
                site.start(name)
            await site.settled()
        ended.set()
        await asyncio.gather(*tasks)
        value = await site.call("a", "Counter x", "value")
        assert answered <= value <= answered + unsure
        assert answered > 50

    on_three_nodes(monkeypatch, main)


def test_object_calls_an_object_of_another_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through the node that leads it, and on to the one that leads the other."""

    async def main(site: ClusterSite) -> None:
        (here,), (there,) = site.led_by("a"), site.led_by("b")
        other = there.split()[1]
        assert await site.call("c", here, "ask", other) == 10
        assert await site.call("c", here, "value") == 1
        assert await site.call("c", there, "value") == 10

        await site.stop("b")
        assert await site.call("c", here, "ask", other) == 20

    on_three_nodes(monkeypatch, main)


def test_alarm_rings_though_its_leader_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is in the log, and whoever leads next finds it."""

    async def main(site: ClusterSite) -> None:
        bell = next(
            f"Bell n{number}"
            for number in range(60)
            if site.leader(shard_of(f"Bell n{number}")) == "b"
        )
        due = NOW + int(now() * 1000) + 1000
        await site.call("a", bell, "set", due)
        await site.stop("b")
        await site.settled(seconds=TAKEOVER_SECONDS_MAX)
        await asyncio.sleep(1)
        assert await site.call("a", bell, "rung") == 1
        assert await site.call("c", bell, "due") is None

    on_three_nodes(monkeypatch, main)


@pytest.mark.parametrize("loss", ["stopped", "cut off"])
def test_call_with_a_key_happens_once_across_a_failover(
    monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    """The node that has taken it in sends it on to the next leader."""

    async def main(site: ClusterSite) -> None:
        (target,) = site.led_by("b")
        assert await site.call("a", target, "increment", key="one") == 1
        calling = asyncio.create_task(site.call("a", target, "slow", "a", key="two"))
        await asyncio.sleep(0.1)
        if loss == "stopped":
            await site.stop("b")
        else:
            site.cut("b")
        await asyncio.sleep(0.1)
        DOORS["a"].set()
        assert await calling == 2
        assert await site.call("c", target, "increment", key="one") == 1
        assert await site.call("c", target, "slow", "a", key="two") == 2
        assert await site.call("c", target, "value") == 2

    on_three_nodes(monkeypatch, main)


def test_call_without_a_key_that_is_lost_with_its_leader_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At once, and it is not done a second time."""

    async def main(site: ClusterSite) -> None:
        (target,) = site.led_by("b")
        calling = asyncio.create_task(site.call("a", target, "slow", "a"))
        await asyncio.sleep(0.1)
        await site.stop("b")
        with pytest.raises(IndeterminateError):
            async with asyncio.timeout(0.1):
                await calling
        DOORS["a"].set()
        assert await site.call("a", target, "value") == 0

    on_three_nodes(monkeypatch, main)


@pytest.mark.parametrize("node", ["a", "b"])
def test_call_that_ends_its_object_runs_once(
    monkeypatch: pytest.MonkeyPatch, node: str
) -> None:
    """Whether its node leads it or sends it on: this is no takeover."""

    async def main(site: ClusterSite) -> None:
        (target,) = site.led_by("b")
        before, start = Counter.ended, now()
        with pytest.raises(ObjectEndedError, match="has ended itself"):
            await site.call(node, target, "end")
        assert Counter.ended == before + 1
        assert now() - start <= 0.5
        assert await site.call(node, target, "increment") == 1

    on_three_nodes(monkeypatch, main)


def test_without_a_majority_calls_fail_and_nothing_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within a few seconds; and it goes on once there is one again."""

    async def main(site: ClusterSite) -> None:
        targets = [f"Counter n{number}" for number in range(6)]
        for target in targets:
            await site.call("a", target, "increment")
        await site.stop("b")
        await site.stop("c")
        await asyncio.sleep(3)
        start = now()
        calls = [
            site.call("a", target, method)
            for target in targets
            for method in ("increment", "value")
        ]
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(error, UnavailableError) for error in errors)
        assert {type(error) for error in errors} <= {NotLeaderError, UnavailableError}
        assert now() - start <= 3.5

        site.start("b")
        await site.settled()
        for target in targets:
            assert await site.call("a", target, "increment") == 2

    on_three_nodes(monkeypatch, main)


def test_all_nodes_that_start_again_have_what_they_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is founded a second time."""

    async def main(site: ClusterSite) -> None:
        for number in range(6):
            await site.call("a", f"Counter n{number}", "increment", number)
        for name in VOTERS:
            await site.stop(name)
        site.start(*VOTERS)
        await site.settled()
        for number in range(6):
            assert await site.call("c", f"Counter n{number}", "value") == number

    on_three_nodes(monkeypatch, main)


def now() -> float:
    """Return virtual seconds."""
    return asyncio.get_running_loop().time()
