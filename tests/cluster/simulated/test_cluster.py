"""A whole cluster: it repeats, it survives faults, and its judge has teeth."""

import asyncio
import os
import time

import pytest

from cluster.simulated.chance import Chance
from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.running import run
from kvnode.client import Value
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.replication.coverage import WaitingBatches
from kvnode.errors import (
    CorruptRecordError,
    KvError,
    StoreFullError,
    UnavailableError,
)
from kvnode.storage.durability import Durability
from kvnode.types import ReplicaId
from tests.cluster.simulated.scenario import rest, scenario

EXAMPLES = int(os.environ.get("HARNESS_EXAMPLES", "1"))


def test_same_seed_is_the_same_run_and_another_is_not() -> None:
    """To the last byte sent and the last commit."""
    first = scenario(3, trace_lines=100_000)

    assert first == scenario(3, trace_lines=100_000)
    assert first[-1] != scenario(4, trace_lines=100_000)[-1]
    assert sum(" commit " in line for line in first) > 100


def test_seeds_under_faults_break_no_rule_and_come_to_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Kills, cuts, clocks, disks, backups, wipes and attacks."""
    began, seconds = time.perf_counter(), 0.0
    for seed in range(100, 100 + 6 * EXAMPLES):
        *violations, rests, _ = scenario(seed)
        assert violations == [], f"seed {seed}"
        assert rests == "rests", f"seed {seed}"
        seconds += 8.0
    took = time.perf_counter() - began
    with capsys.disabled():
        print(f" {seconds / 3600 / took:.4f} simulated hours a second ", end="")  # noqa: T201 -- a figure for people


def test_calm_streams_make_runs_of_all_seeds_alike() -> None:
    """What a shrinker aims at: nothing left to chance but identities."""

    async def main(cluster: SimulatedCluster) -> tuple[tuple[str, ...], float, bool]:
        await cluster.start_all()
        client = cluster.client("client", "a")
        await client.put("key", "value")
        answered = asyncio.get_running_loop().time()
        await asyncio.sleep(3)
        return cluster.chance.names(), answered, cluster.at_rest()

    names, _, rests = run(main, seed=1)
    calm = [run(main, chance=Chance(n, frozenset(names)))[1:] for n in range(3)]

    assert rests
    assert calm[0][1]
    assert calm == [calm[0]] * 3


def test_killed_node_forgets_nothing_that_it_has_said() -> None:
    """By fsync mode; it is asked again after its restart."""

    async def main(cluster: SimulatedCluster) -> int:
        kept = 0
        for n in range(20):
            await cluster.start("a")
            client = cluster.client("client", "a")
            await client.put(f"key-{n}", "value")
            await cluster.kill("a")
            await cluster.start("a")
            after = cluster.client("another", "a")
            kept += await after.get(f"key-{n}") is not None
        assert cluster.violations() == ()
        return kept

    assert run(main, nodes=("a",)) == 20


def test_killed_relaxed_node_goes_on_as_another_replica() -> None:
    """It may have lost what its peers know of."""

    async def main(cluster: SimulatedCluster) -> tuple[int, int, bool]:
        await cluster.start_all()
        before = cluster.node("a").disk.state().replica
        await cluster.client("client", "a").put("key", "value")
        await cluster.kill("a")
        await cluster.start("a")
        after = cluster.node("a").disk.state().replica
        return before, after, await rest(cluster)

    before, after, rests = run(main, durability=Durability.RELAXED)

    assert before != after
    assert rests


def test_operator_declares_gone_what_no_node_says_of_itself() -> None:
    """A store that goes on as another replica still has what it had; a lost one not."""

    async def main(cluster: SimulatedCluster) -> list[int]:
        await cluster.start_all()
        await cluster.kill("a")
        await cluster.start("a")
        of_a = await cluster.remove_former("a")
        await cluster.wipe("b")
        of_b = await cluster.remove_former("b")
        assert await rest(cluster)
        await asyncio.sleep(10)
        assert cluster.unrest() == ""
        roster = cluster.node("c").disk.state().roster
        return [of_a, of_b, len(roster.gone_for_good), len(roster.members())]

    assert run(main, durability=Durability.RELAXED) == [0, 1, 2, 3]


def test_writes_of_a_node_that_is_declared_gone_too_early_are_put_aside() -> None:
    """It comes back with what nobody else has: nothing of that is lost silently."""

    async def main(cluster: SimulatedCluster) -> list[object]:
        await cluster.start_all()
        await asyncio.sleep(1)
        await cluster.cut(cluster.links())
        await cluster.client("client", "a").put("only here", "value")
        await asyncio.sleep(1)
        former = cluster.node("a").disk.state().replica
        for name in cluster.names:
            await cluster.kill(name)
            await cluster.start(name)
        assert cluster.node("b").remove(former)
        await asyncio.sleep(5)
        await cluster.heal()
        await asyncio.sleep(20)
        assert cluster.violations() == ()
        put_aside = [key.key for key, _ in cluster.node("a").disk.rescued]
        value = await cluster.client("after", "a").get("only here")
        return [cluster.unrest(), put_aside, value]

    done = run(main, nodes=("a", "b"), durability=Durability.RELAXED)

    assert done == ["", [b"only here"], None]


def test_stopped_node_keeps_its_identity_in_relaxed_mode() -> None:
    """A polite end loses nothing."""

    async def main(cluster: SimulatedCluster) -> bool:
        await cluster.start_all()
        before = cluster.node("a").disk.state().replica
        await cluster.stop("a")
        assert not cluster.node("a").runs
        await cluster.start("a")
        return before == cluster.node("a").disk.state().replica

    assert run(main, durability=Durability.RELAXED)


def test_restored_and_wiped_nodes_are_new_replicas_and_catch_up() -> None:
    """An identity used twice loses writes silently."""

    async def main(cluster: SimulatedCluster) -> tuple[set[ReplicaId], list[object]]:
        await cluster.start_all()
        client = cluster.client("client", "a")
        await client.put("old", "1")
        await cluster.take_backup("a")
        await client.put("new", "2")
        await asyncio.sleep(1)
        identities = {cluster.node("a").disk.state().replica}
        assert await cluster.restore_backup("a")
        identities.add(cluster.node("a").disk.state().replica)
        assert await rest(cluster)
        restored = [await client.get("old"), await client.get("new")]
        await cluster.wipe("a")
        identities.add(cluster.node("a").disk.state().replica)
        assert await rest(cluster)
        wiped = [await client.get("old"), await client.get("new")]
        assert cluster.violations() == ()
        return identities, [v.value for v in (*restored, *wiped) if v is not None]

    identities, values = run(main)

    assert len(identities) == 3
    assert values == [b"1", b"2", b"1", b"2"]


def test_founder_that_was_removed_and_begins_anew_is_found_where_it_was() -> None:
    """It knows nobody: who joined by its address goes on dialing that."""

    async def main(cluster: SimulatedCluster) -> list[object]:
        await cluster.start_all()
        await cluster.client("before", "a").put("key", "value")
        await cluster.join("b", "a")
        assert await rest(cluster)
        assert await cluster.remove_member("a")
        await asyncio.sleep(10)
        await cluster.wipe("a")
        assert await rest(cluster)
        assert cluster.violations() == ()
        return [await cluster.client("after", "a").get("key"), cluster.unrest()]

    value, unrest = run(main, nodes=("a",))

    assert isinstance(value, Value)
    assert value.value == b"value"
    assert unrest == ""


def test_nodes_that_take_each_other_for_removed_meet_as_what_they_are_now() -> None:
    """Neither has met the other since both were killed and are other replicas."""

    async def main(cluster: SimulatedCluster) -> str:
        await cluster.start_all()
        await asyncio.sleep(1)
        a, b = map(cluster.node, cluster.names)
        former_a, former_b = a.disk.state().replica, b.disk.state().replica
        for name in cluster.names:
            await cluster.kill(name)
        for name in cluster.names:
            await cluster.start(name)
        assert a.remove(former_b)
        assert b.remove(former_a)
        await asyncio.sleep(10)
        assert cluster.violations() == ()
        return cluster.unrest()

    assert run(main, nodes=("a", "b"), durability=Durability.RELAXED) == ""


def test_paused_node_answers_nothing_and_then_all() -> None:
    """As after SIGSTOP and SIGCONT."""

    async def main(cluster: SimulatedCluster) -> float:
        await cluster.start_all()
        client = cluster.client("client", "a")
        await client.put("key", "before")
        await cluster.pause("a")
        writing = asyncio.create_task(client.put("key", "after", deadline=60.0))
        await asyncio.sleep(5)
        assert not writing.done()
        await cluster.resume("a")
        await writing
        return asyncio.get_running_loop().time()

    assert 5 < run(main) < 6


def test_client_of_a_dead_or_unreachable_node_knows_that_nothing_happened() -> None:
    """And of one that was cut off in the middle, that nobody can know."""

    async def main(cluster: SimulatedCluster) -> list[str]:
        outcomes: list[str] = []

        async def attempt(name: str) -> None:
            try:
                await client.put("key", name, deadline=1.0)
            except KvError as error:
                outcomes.append(type(error).__name__)

        client = cluster.client("client", "a")
        await attempt("nobody listens")
        await cluster.start_all()
        await cluster.cut([("client", "a")])
        await attempt("cut off before")
        await cluster.heal()
        await client.put("key", "here")
        await cluster.cut([("a", "client")])
        await attempt("answer lost")
        await cluster.heal()
        await asyncio.sleep(2)
        value = await client.get("key")
        return [*outcomes, value.value.decode() if value else ""]

    assert run(main) == [
        UnavailableError.__name__,
        UnavailableError.__name__,
        "DeadlineError",
        "answer lost",
    ]


def test_cut_off_peers_notice_by_keepalive_and_meet_again() -> None:
    """Fifteen seconds after they heard of each other last."""

    async def main(cluster: SimulatedCluster) -> tuple[int, int, int]:
        def links() -> int:
            node = cluster.node("a").assembly
            assert node is not None
            return len(node.pool.connected())

        await cluster.start_all()
        await asyncio.sleep(3)
        at_first = links()
        await cluster.cut([("a", "b"), ("b", "a")])
        await asyncio.sleep(40)
        cut = links()
        await cluster.heal()
        await asyncio.sleep(10)
        return at_first, cut, links()

    at_first, cut, healed = run(main, seed=2)

    assert (at_first, healed) == (2, 2)
    assert cut in {1, 2}  # whoever was dialed hears nothing, and does not ask


def test_full_disk_refuses_writes_until_there_is_room() -> None:
    """With nothing done."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        client = cluster.client("client", "a")
        await client.put("key", "before")
        await cluster.fill_disk("a", 0)
        with pytest.raises(StoreFullError):
            await client.put("key", "after" * 100)
        await cluster.free_disk("a")
        await client.put("key", "later")
        assert cluster.violations() == ()

    run(main)


def test_flipped_bit_is_noticed_when_it_is_read() -> None:
    """By the checksum of the record, as on a real disk."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start("a")
        client = cluster.client("client", "a")
        await client.put("key", "value")
        key = await cluster.flip_bits("a")
        assert key is not None
        assert key.key == b"key"
        with (
            cluster.node("a").disk.snapshot() as view,
            pytest.raises(CorruptRecordError, match="fails its checksum"),
        ):
            view.entry(key)
        with pytest.raises(UnavailableError, match="checksum"):
            await client.get("key")

    run(main, nodes=("a",))


def test_clock_may_go_wrong_in_every_way() -> None:
    """Ahead, behind and at another pace, which the node's stamps show."""

    async def main(cluster: SimulatedCluster) -> list[int]:
        await cluster.start("a")
        clock, times = cluster.node("a").clock, []
        for offset, drift in ((0, 0), (100_000, 0), (-100_000, 0), (0, 500_000)):
            await cluster.set_clock("a", offset, drift)
            before = asyncio.get_running_loop().time()
            await asyncio.sleep(10)
            times.append(clock() - 1_700_000_000_000 - int(1000 * before))
        return times

    assert run(main, nodes=("a",)) == [10_000, 110_000, -90_000, 15_000]


def test_watch_tells_of_changes_across_a_restart() -> None:
    """By its token, at whatever node."""

    async def main(cluster: SimulatedCluster) -> list[bytes]:
        await cluster.start_all()
        seen: list[bytes] = []

        async def watch() -> None:
            async for changes in cluster.client("watcher", "a").watch("k"):
                seen.extend(change.key for change in changes.changes)

        watching = asyncio.create_task(watch())
        await asyncio.sleep(1)
        writer = cluster.client("writer", "b")
        await writer.put("k1", "v")
        await asyncio.sleep(1)
        await cluster.kill("a")
        await writer.put("k2", "v")
        await cluster.start("a")
        await asyncio.sleep(5)
        watching.cancel()
        return seen

    assert run(main) == [b"k1", b"k2"]


def test_judge_sees_coverage_that_comes_too_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch that is covered before what it depends on (I2)."""

    def at_once(self: WaitingBatches, clock: VersionVector) -> VersionVector:
        for batch in self:
            clock = clock.with_range(batch.origin, batch.first, batch.last)
        self._rows.clear()
        return clock

    monkeypatch.setattr(WaitingBatches, "advance", at_once)

    found = [v for seed in range(100, 104) for v in scenario(seed)[:-2]]

    assert any(violation.startswith("I") for violation in found)


def test_node_of_no_cluster_is_named() -> None:
    """With those that there are."""

    async def main(cluster: SimulatedCluster) -> None:
        with pytest.raises(ValueError, match="no node 'd'; there are a, b, c"):
            await cluster.start("d")

    run(main)
