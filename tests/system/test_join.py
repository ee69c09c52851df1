"""Nodes that join, are cut off and come back; and some that must be kept out."""

import asyncio
import random
import shutil
from time import monotonic

import pytest

from kvnode.client import Conflict, Kind, Put
from kvnode.errors import KvError
from tests.system.nodes import (
    Fleet,
    ServedNode,
    connected,
    converged,
    cut_off,
    everything,
    logged,
)

pytestmark = pytest.mark.system

KIB = 1 << 10
LARGE_BYTES = 5 << 20
PATIENCE_SECONDS = 30.0


async def _holds(node: ServedNode, key: str, value: bytes) -> float:
    """Wait until *node* has *value* under *key*; return how many seconds it took."""
    began = monotonic()
    async with node.client() as client, asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await client.get(key)
            if found is not None and found.value == value:
                return monotonic() - began
            await asyncio.sleep(0.01)


async def test_new_node_with_one_seed_learns_all_peers_and_gets_all_data(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """One address is enough; later writes of every node reach it, and its own all."""
    async with trio[0].client() as client:
        await client.batch([Put(f"before/{n}", bytes(200)) for n in range(5_000)])
        await client.delete("before/0")
        await client.counter("sum").increment(7)
        await client.create_namespace("flags")
    newcomer = fleet.add("newcomer", seeds=[trio[0].endpoint])

    await newcomer.start()

    await connected(*trio, newcomer)
    agreed = await converged(*trio, newcomer)
    assert agreed.digest.live_count >= 5_000
    for number, node in enumerate((*trio, newcomer)):
        async with node.client() as client:
            await client.put(f"after/{number}", b"v")
            await client.counter("sum").increment(1)
    await converged(*trio, newcomer)
    held = await everything(newcomer)
    assert b"before/0" not in held
    assert {key for key in held if key.startswith(b"after/")} == {
        b"after/%d" % number for number in range(4)
    }
    assert held[b"sum"].value == b"11"
    async with newcomer.client() as client:
        assert "flags" in await client.namespaces()


async def test_peers_that_were_learned_are_known_after_a_restart(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """The seed may be gone by then."""
    newcomer = fleet.add("newcomer", seeds=[trio[0].endpoint])
    await newcomer.start()
    await connected(*trio, newcomer)
    await newcomer.stop()
    await trio[0].stop()

    await newcomer.start()

    await connected(trio[1], trio[2], newcomer)


async def test_large_values_do_not_hold_up_small_ones(
    trio: list[ServedNode],
) -> None:
    """D6: 5 MiB values are announced and pulled while small writes pass them."""
    here, there = trio[0], trio[1]
    chance = random.Random(1)
    large = {f"large/{n}": chance.randbytes(LARGE_BYTES) for n in range(6)}
    waits: list[float] = []
    async with here.client(deadline=60.0) as client:
        putting = [
            asyncio.create_task(client.put(key, value)) for key, value in large.items()
        ]
        while not all(task.done() for task in putting):
            name, value = f"small/{len(waits)}", b"%d" % len(waits)
            await client.put(name, value)
            waits.append(await _holds(there, name, value))
        await asyncio.gather(*putting)

    await converged(*trio)
    async with there.client(deadline=60.0) as client:
        for key, value in large.items():
            found = await client.get(key)
            assert found is not None
            assert found.value == value
    assert waits
    assert max(waits) < 5.0


async def test_cut_off_node_serves_and_converges_when_the_cut_heals(
    trio: list[ServedNode],
) -> None:
    """Both sides go on reading and writing; afterwards all of it is everywhere."""
    alone, *others = trio
    await cut_off(alone, others)
    for number, node in enumerate(trio):
        async with node.client() as client:
            await client.put(f"meanwhile/{number}", bytes(number))
            await client.put(f"large/{number}", bytes(100 * KIB) + bytes((number,)))
            await client.counter("sum").increment(number + 1)
            await client.set("set").add(f"member {number}")
    await converged(*others)
    async with alone.client() as client:
        assert await client.get("meanwhile/1") is None
        assert await client.counter("sum").value() == 1

    await cut_off(alone, others, blocked=False)

    await converged(*trio)
    for node in trio:
        async with node.client() as client:
            page = await client.list("meanwhile/")
            assert len(page) == 3
            assert await client.counter("sum").value() == 1 + 2 + 3
            assert await client.set("set").size() == 3


async def test_cut_amid_a_transfer_of_large_values_loses_none(
    trio: list[ServedNode],
) -> None:
    """What was being pulled when the cut came is pulled after it."""
    alone, *others = trio
    chance = random.Random(2)
    large = {f"large/{n}": chance.randbytes(LARGE_BYTES) for n in range(6)}
    async with others[0].client(deadline=60.0) as client:
        await asyncio.gather(*(client.put(key, value) for key, value in large.items()))
    await cut_off(alone, others)
    await asyncio.sleep(0.5)

    await cut_off(alone, others, blocked=False)

    await converged(*trio)
    async with alone.client(deadline=60.0) as client:
        for key, value in large.items():
            found = await client.get(key)
            assert found is not None
            assert found.value == value


async def test_concurrent_puts_leave_a_conflict_that_is_shown(
    trio: list[ServedNode],
) -> None:
    """R4: the later one wins everywhere, and the loser can still be read."""
    one, other, _ = trio
    await cut_off(one, trio[1:])
    async with one.client() as client:
        early = await client.put("k", b"loser", metadata={"by": "one"})
    async with other.client() as client:
        late = await client.put("k", b"winner")

    await cut_off(one, trio[1:], blocked=False)
    await converged(*trio)

    conflicts: list[Conflict] = []
    for node in trio:
        async with node.client() as client:
            found = await client.get("k")
            assert found is not None
            assert (found.value, found.version) == (b"winner", late.version)
            conflicts.extend((await client.conflicts("k")).items)
            assert (await client.conflicts()).total_ever == (
                await client.status()
            ).conflicts_ever
    assert conflicts, "at least one node did the merging"
    for conflict in conflicts:
        assert (conflict.kind, conflict.value) == (Kind.REGISTER, b"loser")
        assert conflict.metadata == {"by": "one"}
        assert conflict.version == early.version
        assert conflict.winner_version == late.version


async def test_overwriting_what_was_seen_is_no_conflict(
    trio: list[ServedNode],
) -> None:
    """A session's put at another node follows the first, and replaces it silently."""
    async with trio[0].client() as first, trio[1].client() as second:
        writing = first.session()
        await writing.put("k", b"1")
        following = second.session(writing.token)
        await following.get("k")
        await following.put("k", b"2")
    await converged(*trio)

    for node in trio:
        async with node.client() as client:
            assert len(await client.conflicts("k")) == 0


async def test_node_of_another_cluster_is_turned_away(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """A mixed-up address must not mix data."""
    stranger = fleet.add("stranger", cluster="other", seeds=[trio[0].endpoint])
    await stranger.start()
    async with stranger.client() as client:
        await client.put("strange", b"v")

    await logged("not 'other'", trio[0])
    await logged(f"not '{trio[0].settings['cluster']}'", stranger)

    async with trio[0].client() as client:
        assert await client.get("strange") is None
        assert "stranger" not in {p.name for p in (await client.status()).peers}


async def test_copied_data_directory_is_kept_out(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """
    An identity used twice would lose writes silently, so it is said loudly.

    The nodes that were there first go on, and stay equal.
    """
    original, *others = trio
    async with original.client() as client:
        await client.put("shared", b"v")
    await converged(*trio)
    await original.stop()
    copy = fleet.add("copy", seeds=[original.endpoint])
    shutil.copytree(original.data_directory, copy.data_directory)
    await original.start()
    await connected(*trio)

    copy.spawn()

    await logged("copied", copy)
    for number in range(20):
        await _put_if_up(copy, f"only-here/{number}")
        async with original.client() as client:
            await client.put(f"original/{number}", b"v")
    await converged(*trio)
    held = await everything(others[0])
    assert sum(key.startswith(b"original/") for key in held) == 20


async def _put_if_up(node: ServedNode, key: str) -> None:
    """Write at a node that may have refused to start, or to write."""
    try:
        async with node.client(deadline=0.5) as client:
            await client.put(key, b"v")
    except KvError:
        return
