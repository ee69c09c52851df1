"""Nodes that hold what they should not are told of, and mended, by themselves (D9)."""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest

from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.line import Trouble
from cluster.simulated.running import run
from kvnode.core.node.digest_watch import DigestWatch
from kvnode.core.versions.store_view import Commit, Write
from kvnode.core.versions.version import Entry, Kind, Version
from kvnode.errors import KvError
from kvnode.types import DEFAULT_NAMESPACE, Dot, EntryKey, HlcTimestamp, ReplicaId
from tests.cluster.simulated.scenario import FAULTS, NODES, rest, scenario

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

EXAMPLES = int(os.environ.get("HARNESS_EXAMPLES", "1"))

SETTINGS = {
    "scan_interval_ms": 2000,
    "delta_interval_ms": 200,
    "forget_interval_ms": 3_600_000,  # a deletion is an entry to look for
}
KEYS = tuple(f"key-{n}" for n in range(20))
MENDED_SECONDS_MAX = 60.0


def at(key: str) -> EntryKey:
    """Return a key of the default namespace."""
    return EntryKey(DEFAULT_NAMESPACE, key.encode())


def stored(cluster: SimulatedCluster, name: str) -> dict[EntryKey, Entry]:
    """Return all that *name* has on its disk."""
    with cluster.node(name).disk.undamaged() as view:
        return {
            EntryKey(namespace, key): entry
            for namespace in view.namespaces()
            for key, entry in view.scan(namespace)
        }


def tamper(cluster: SimulatedCluster, name: str, key: str, entry: Entry | None) -> None:
    """Make the disk of *name* hold *entry* under *key*, without anybody's knowledge."""
    disk = cluster.node(name).disk
    with disk.undamaged() as view:
        state, before = view.state(), view.entry(at(key))
    replaced = before.version if before is not None else None
    disk._store.commit(Commit(state, (Write(at(key), entry, replaced),)))


async def mended(cluster: SimulatedCluster) -> bool:
    """Wait until all nodes hold the same, and none is alarmed."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + MENDED_SECONDS_MAX
    while loop.time() < deadline:
        await asyncio.sleep(1)
        first, *others = (stored(cluster, name) for name in cluster.names)
        if all(each == first for each in others) and not alarms(cluster):
            return True
    return False


def alarms(cluster: SimulatedCluster) -> int:
    """Return how many alarms there are."""
    nodes = (cluster.node(name).assembly for name in cluster.names)
    return sum(len(node.driver.node.digests.alarms) for node in nodes if node)


def differences(cluster: SimulatedCluster) -> int:
    """Return how many comparisons have shown a difference."""
    nodes = (cluster.node(name).assembly for name in cluster.names)
    return sum(node.driver.node.digests.differences for node in nodes if node)


async def written(cluster: SimulatedCluster) -> dict[EntryKey, Entry]:
    """Start, write all keys at all nodes in turn, and rest; return what is held."""
    await cluster.start_all()
    for number, key in enumerate(KEYS):
        client = cluster.client("client", NODES[number % 3])
        await client.put(key, f"value of {key}")
        await client.close()
    client = cluster.client("client", "a")
    await client.counter("count").increment(5)
    await client.delete(KEYS[7])
    await client.close()
    assert await rest(cluster)
    return stored(cluster, "b")


def other_value(entry: Entry) -> Entry:
    """Return the same write with another value, larger than the right one."""
    return entry._replace(value=b"\xff" + entry.value)


def older(entry: Entry) -> Entry:
    """Return what was there before, if *entry* had never come."""
    version = entry.version
    dot = Dot(version.dot.replica, version.dot.seq - 1)
    before = Version(Kind.REGISTER, HlcTimestamp(version.hlc - (1 << 16)), dot)
    return Entry(before, b"older")


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("key-3", other_value),
        ("key-4", lambda _: None),
        ("key-5", older),
        ("count", lambda _: None),
        ("key-7", lambda _: None),
    ],
    ids=["other value", "lost", "older", "lost counter", "lost deletion"],
)
@pytest.mark.parametrize("name", ["a", "c"])
def test_store_that_is_wrong_is_found_and_mended(
    name: str, key: str, wrong: Callable[[Entry], Entry | None]
) -> None:
    """It comes to hold what was written, and nobody else takes what is wrong."""

    async def main(cluster: SimulatedCluster) -> None:
        right = await written(cluster)

        tamper(cluster, name, key, wrong(right[at(key)]))

        assert await mended(cluster)
        assert stored(cluster, name) == right
        assert stored(cluster, "b") == right
        assert differences(cluster)

    log: deque[str] = deque()
    run(main, nodes=NODES, settings=SETTINGS, log=log)
    told = "\n".join(log)
    assert "does not hold what was written to it (D9)" in told
    assert "have seen the same writes and hold different entries" in told
    assert "hold the same again" in told


def test_many_differences_are_mended_in_one_repair() -> None:
    """Values, losses and large values together, at two nodes."""

    async def main(cluster: SimulatedCluster) -> None:
        right = await written(cluster)
        for number, key in enumerate(KEYS):
            if at(key) in right and number % 2:
                entry = right[at(key)]
                tamper(cluster, "ac"[number % 4 // 2], key, None)
                assert entry.version.kind in {Kind.REGISTER, Kind.TOMBSTONE}

        assert await mended(cluster)

        assert stored(cluster, "a") == right

    run(main, nodes=NODES, settings=SETTINGS)


def test_entry_that_one_node_has_too_much_comes_to_all() -> None:
    """Whether it was lost there or never belonged here, nobody can say."""

    async def main(cluster: SimulatedCluster) -> None:
        right = await written(cluster)
        extra = older(right[at("key-3")])
        tamper(cluster, "a", "extra", extra)

        assert await mended(cluster)

        assert stored(cluster, "b") == {**right, at("extra"): extra}

    run(main, nodes=NODES, settings=SETTINGS)


def test_entry_under_a_number_that_nobody_gave_stays_where_it_is() -> None:
    """It would collide with the write that gets the number; and the node says why."""

    async def main(cluster: SimulatedCluster) -> None:
        right = await written(cluster)
        version = right[at("key-3")].version
        dot = Dot(version.dot.replica, version.dot.seq + 1000)
        tamper(cluster, "a", "extra", Entry(version._replace(dot=dot), b"extra"))

        await asyncio.sleep(20)

        assert at("extra") not in stored(cluster, "b")
        assert not alarms(cluster)
        node = cluster.node("a").assembly
        assert node is not None
        standing = node.driver.digest_standing()
        assert standing.incomparable == "it holds entries that it does not cover"

    run(main, nodes=NODES, settings=SETTINGS)


def test_page_that_was_sent_before_a_deletion_does_not_undo_it() -> None:
    """
    Nor when all have forgotten the deletion by the time that the page comes.

    The sender hears of the deletion late, and the page is slow; on other ways the news
    that all have it, and the floor, overtake the page.
    """

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        by_identity = sorted(NODES, key=lambda name: replica(cluster, name))
        sender, other, receiver = by_identity
        client = cluster.client("client", other)
        await client.put("gone", "value")
        assert await rest(cluster)
        held = stored(cluster, sender)[at("gone")]
        await cluster.disturb([(other, sender)], Trouble(delay_ms=2000))
        await cluster.disturb([(sender, receiver)], Trouble(delay_ms=8000))

        await client.delete("gone")
        await asyncio.sleep(0.2)  # the receiver has it by now
        node = cluster.node(receiver).assembly
        assert node is not None
        repair = asyncio.create_task(node.driver.repair(sender))
        await asyncio.sleep(7)
        assert at("gone") not in stored(cluster, receiver)
        outcome = await repair

        assert outcome.received == outcome.refused_here == 1
        assert held.version.kind is Kind.REGISTER
        await cluster.heal()
        assert await rest(cluster)
        assert at("gone") not in stored(cluster, receiver)
        assert cluster.violations() == ()

    run(main, nodes=NODES, settings={**SETTINGS, "forget_interval_ms": 300})


def replica(cluster: SimulatedCluster, name: str) -> ReplicaId:
    """Return the identity of a node that runs."""
    node = cluster.node(name).assembly
    assert node is not None
    return node.driver.replica()


async def put_and_delete(
    cluster: SimulatedCluster, random: Random, seconds: float
) -> None:
    """Write few keys at all nodes, and delete them, some of them to expire."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        client = cluster.client(f"writer-{random.random()}", random.choice(NODES))
        key = f"key-{random.randrange(4)}"
        with suppress(KvError):
            match random.randrange(4):
                case 0 | 1:
                    await client.put(key, f"{loop.time()}", deadline=1.0)
                case 2:
                    await client.delete(key, deadline=1.0)
                case _:
                    await client.put(key, "brief", ttl=0.5, deadline=1.0)
        await client.close()
        await asyncio.sleep(random.uniform(0, 0.1))


async def keep_repairing(cluster: SimulatedCluster, random: Random) -> None:
    """Repair between any two nodes, again and again."""
    while True:
        node = cluster.node(random.choice(NODES)).assembly
        if node is not None:
            with suppress(KvError):
                async with asyncio.timeout(5):
                    await node.driver.repair(random.choice(NODES))
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("seed", range(EXAMPLES))
def test_repairs_bring_nothing_back_that_was_deleted(seed: int) -> None:
    """Nor break another rule, whenever they run, with faults and forgetting beside."""
    repairs: list[int] = []

    async def main(cluster: SimulatedCluster) -> None:
        random = Random(seed)
        await cluster.start_all()
        repairing = asyncio.create_task(keep_repairing(cluster, random))
        writing = asyncio.create_task(put_and_delete(cluster, random, 8.0))
        for _ in range(3):
            await asyncio.sleep(random.uniform(1, 3))
            await random.choice(FAULTS)(cluster, random.choice(NODES))
        await writing
        assert await rest(cluster)
        await asyncio.sleep(3)
        repairing.cancel()
        for name in NODES:
            node = cluster.node(name).assembly
            assert node is not None
            repairs.append(node.repairs.repairs)
        assert cluster.violations() == ()

    settings = {**SETTINGS, "forget_interval_ms": 300}
    run(main, nodes=NODES, seed=seed, settings=settings)
    assert sum(repairs) > 10


@pytest.mark.parametrize("seed", range(EXAMPLES))
def test_sound_nodes_never_differ(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever faults there are: a difference means something."""
    watches: list[DigestWatch] = []
    original = DigestWatch.__init__

    def remembered(watch: DigestWatch, own: ReplicaId, *, repairs: bool) -> None:
        watches.append(watch)
        original(watch, own, repairs=repairs)

    monkeypatch.setattr(DigestWatch, "__init__", remembered)

    scenario(seed)

    assert sum(watch.comparisons for watch in watches)
    assert not sum(watch.differences for watch in watches)
