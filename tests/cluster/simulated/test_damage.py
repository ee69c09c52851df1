"""Records that bits are flipped in are pulled again, and hold up nothing else."""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from random import Random
from typing import TypeVar

import pytest

from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.running import run
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node import healing
from kvnode.core.node.healing import PATIENCE_WITH_ABSENT, Healed
from kvnode.core.node.incoming import Incoming
from kvnode.core.node.turn import Turn
from kvnode.errors import KvError, UnavailableError
from kvnode.types import EntryKey
from tests.cluster.simulated.scenario import NODES, rest

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

EXAMPLES = int(os.environ.get("HARNESS_EXAMPLES", "1"))

KEYS = tuple(f"key-{n}" for n in range(4))
COUNTS = ("count-0", "count-1")
SECONDS = 8.0

T = TypeVar("T")
Harm = Callable[[SimulatedCluster, Random], Awaitable[None]]


async def damage(cluster: SimulatedCluster, name: str, key: str) -> None:
    """Flip bits of *name* until the record of *key* is damaged."""
    while (found := await cluster.flip_bits(name)) is None or found.key != key.encode():
        pass


async def cut_off(cluster: SimulatedCluster, name: str) -> None:
    """Let *name* hear nobody, and nobody hear it, nor what it has just said."""
    await cluster.kill(name)
    await cluster.cut(link for link in cluster.links() if name in link)
    await cluster.start(name)


async def again(call: Callable[[], Awaitable[T]], *, seconds: float = 2.0) -> T:
    """Do as a client's library does: try again while the node says that it may help."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while True:
        try:
            return await call()
        except UnavailableError:
            if loop.time() > until:
                raise
        await asyncio.sleep(0.1)


async def rests(cluster: SimulatedCluster) -> bool:
    """Read all keys everywhere, as clients do, until the nodes come to agree."""
    for name in cluster.names:
        client = cluster.client(f"reader-{name}", name)
        for key in (*KEYS, *COUNTS):
            await again(partial(client.get, key), seconds=60)
        await client.close()
    return await rest(cluster)


def test_damaged_record_is_pulled_when_it_is_read() -> None:
    """The reader tries again, and gets what was written."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        client = cluster.client("client", "a")
        await client.put("key", "value")
        assert await rest(cluster)

        await damage(cluster, "a", "key")
        found = await again(lambda: client.get("key"))

        assert found is not None
        assert found.value == b"value"
        assert cluster.violations() == ()

    run(main)


def test_damaged_record_is_pulled_when_it_is_written_over() -> None:
    """The write is refused, and passes when it is tried again."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        client = cluster.client("client", "a")
        await client.counter("count").increment(5)
        assert await rest(cluster)

        await damage(cluster, "a", "count")

        counter = client.counter("count")
        assert await again(lambda: counter.increment(2)) == 7
        assert await rest(cluster)
        assert cluster.violations() == ()

    run(main)


def test_damaged_record_holds_up_no_other_key() -> None:
    """The peer that writes to the key is not blamed, and all else goes on."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        theirs = cluster.client("two", "b")
        await theirs.put("key", "value")
        assert await rest(cluster)

        await damage(cluster, "a", "key")
        await theirs.put("key", "newer")
        await theirs.put("other", "value")

        mine = cluster.client("one", "a", theirs.token)
        found = await mine.get("other", deadline=2.0)
        assert found is not None
        assert await rest(cluster)
        assert cluster.violations() == ()

    run(main)


def test_what_only_a_damaged_record_held_is_lost_alone() -> None:
    """The key gets an older value again; later writes of the node spread."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        client = cluster.client("client", "a")
        await client.put(KEYS[0], "old")
        assert await rest(cluster)
        await cut_off(cluster, "a")
        client = cluster.client("client", "a")
        await client.put(KEYS[0], "lost")
        await client.put("other", "kept")

        await damage(cluster, "a", KEYS[0])
        await cluster.heal()
        assert await rests(cluster)

        for name in cluster.names:
            reader = cluster.client(f"at-{name}", name)
            old, kept = await reader.get(KEYS[0]), await reader.get("other")
            assert old is not None
            assert kept is not None
            assert (old.value, kept.value) == (b"old", b"kept")
        assert await client.put(KEYS[0], "new")
        assert await rest(cluster)
        assert cluster.violations() == ()

    run(main)


def test_what_an_absent_member_has_is_taken_when_it_comes_back() -> None:
    """Though the lost write had superseded it: the node does not claim it (I1)."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        client = cluster.client("client", "a")
        await client.put(KEYS[0], "old")
        assert await rest(cluster)
        await cut_off(cluster, "b")
        await client.put(KEYS[0], "at c alone")
        await asyncio.sleep(1)
        await cluster.kill("c")
        await cut_off(cluster, "a")
        client = cluster.client("client", "a")
        await client.put(KEYS[0], "lost")
        await client.put("other", "kept")
        await damage(cluster, "a", KEYS[0])
        await cluster.heal()

        found = await again(
            lambda: client.get(KEYS[0]), seconds=2 * PATIENCE_WITH_ABSENT / 1000
        )
        assert found is not None
        assert found.value == b"old"
        at_b = cluster.client("at-b", "b")
        assert await at_b.get("other") is not None
        await cluster.start("c")
        await asyncio.sleep(5)

        for name in cluster.names:
            reader = cluster.client(f"at-{name}", name)
            found = await reader.get(KEYS[0])
            assert found is not None
            assert found.value == b"at c alone"
        assert cluster.violations() == ()

    run(main)


def test_judge_sees_what_is_claimed_without_a_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node that goes on covering what an absent member has and it has not (I1)."""

    def all_of_it(_: object, clock: VersionVector, *__: object) -> VersionVector:
        return clock

    monkeypatch.setattr(healing, "claimable", all_of_it)

    with pytest.raises(AssertionError):
        test_what_an_absent_member_has_is_taken_when_it_comes_back()


def test_damaged_record_that_nobody_else_has_stays_and_harms_nobody() -> None:
    """The node writes, replicates, and serves sessions; peers have the rest."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        await cut_off(cluster, "a")
        await cluster.start_all()  # which waits until it serves alone
        client = cluster.client("client", "a")
        await client.put(KEYS[0], "lost")
        await damage(cluster, "a", KEYS[0])
        await cluster.heal()
        await client.put("other", "kept")
        await asyncio.sleep(20)

        for name in cluster.names:
            found = await cluster.client(f"at-{name}", name).get("other")
            assert found is not None
        with pytest.raises(UnavailableError, match="checksum"):
            await client.get(KEYS[0], deadline=2.0)
        assert cluster.violations() == ()

        peer = cluster.client("peer", "b")
        await peer.put(KEYS[0], "new")
        assert await rests(cluster)
        assert cluster.violations() == ()

    run(main)


def test_node_alone_serves_all_but_the_damaged_key() -> None:
    """In the session that wrote the key, too."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        client = cluster.client("client", "a")
        await client.put("key", "value")
        await damage(cluster, "a", "key")
        for read_or_write in (client.get("key"), client.put("key", "again")):
            with pytest.raises(UnavailableError, match="checksum"):
                await read_or_write
        await client.put("other", "value")
        assert await client.get("other") is not None
        await asyncio.sleep(10)  # what it wrote becomes stable meanwhile
        commits = cluster.node("a").disk.commits
        await asyncio.sleep(60)
        assert cluster.node("a").disk.commits == commits
        assert cluster.violations() == ()

    run(main, nodes=("a",))


async def _write(cluster: SimulatedCluster, worker: int, random: Random) -> None:
    loop = asyncio.get_running_loop()
    while loop.time() < SECONDS:
        client = cluster.client(f"client-{worker}", random.choice(NODES))
        try:
            await client.put(random.choice(KEYS), f"{worker}", deadline=0.5)
            await client.get(random.choice(KEYS), deadline=0.5)
            counter = client.counter(random.choice(COUNTS))
            await counter.increment(deadline=0.5)
        except KvError:
            pass
        await client.close()
        await asyncio.sleep(random.uniform(0, 0.3))


async def _lose(cluster: SimulatedCluster, name: str, key: str) -> None:
    """Let a node that is cut off lose what nobody else has."""
    client = cluster.client("loser", name)
    try:
        await client.put(key, "lost", deadline=0.5)
    except KvError:
        return
    finally:
        await client.close()
    await damage(cluster, name, key)


async def _harm(cluster: SimulatedCluster, random: Random) -> None:
    for _ in range(10):
        name = random.choice(NODES[:2])  # what is damaged everywhere stays so
        match random.randrange(4):
            case 0:
                await cut_off(cluster, name)
                await asyncio.sleep(random.uniform(0.1, 1.5))
                await _lose(cluster, name, random.choice(KEYS))
                await cluster.heal()
            case 1:
                await cluster.kill(name)
                await cluster.flip_bits(name)
                await cluster.start(name)
            case _:
                await cluster.flip_bits(name)
        await asyncio.sleep(random.uniform(0, 0.8))


async def _harm_while_one_is_away(cluster: SimulatedCluster, random: Random) -> None:
    if random.random() < 0.5:
        await cluster.cut(link for link in cluster.links() if "b" in link)
    await asyncio.sleep(random.uniform(0, 3))
    await cluster.kill("c")
    for _ in range(random.randrange(1, 4)):
        name = random.choice(NODES[:2])
        if random.random() < 0.6:
            await cut_off(cluster, name)
        await _lose(cluster, name, random.choice(KEYS))
    await cluster.heal()
    for name in NODES[:2]:
        reader = cluster.client("reader", name)
        for key in (*KEYS, *COUNTS):
            with suppress(KvError):
                await again(partial(reader.get, key), seconds=random.uniform(1, 20))
        await reader.close()
    await cluster.start("c")


def under(harm: Harm, seed: int) -> tuple[str, ...]:
    """Run *seed*; return what was wrong."""

    async def main(cluster: SimulatedCluster) -> tuple[str, ...]:
        await cluster.start_all()
        first = cluster.client("first", "a")
        for key in KEYS:
            await first.put(key, "")
        for key in COUNTS:
            await first.counter(key).increment()
        assert await rest(cluster)
        writers = [
            asyncio.create_task(_write(cluster, n, Random(f"{seed}/{n}")))
            for n in range(3)
        ]
        await harm(cluster, Random(seed))
        await asyncio.gather(*writers)
        await cluster.heal()
        wrong = () if await rests(cluster) else ("the nodes do not rest",)
        return (*cluster.violations(), *wrong)

    return run(main, nodes=NODES, seed=seed)


def test_seeds_under_damage_break_no_rule_and_come_to_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also of nodes cut off or down, and while others are, so that writes are lost."""
    healed: Counter[Healed] = Counter()
    go_on = Incoming._healed

    def counting(incoming: Incoming, key: EntryKey, how: Healed, turn: Turn) -> None:
        healed[how] += 1
        go_on(incoming, key, how, turn)

    monkeypatch.setattr(Incoming, "_healed", counting)
    for seed in range(200, 200 + 3 * EXAMPLES):
        for harm in (_harm, _harm_while_one_is_away):
            assert under(harm, seed) == (), f"{harm.__name__}, seed {seed}"
    assert all(healed[how] for how in Healed)
