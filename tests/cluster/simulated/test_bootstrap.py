"""Filling a new node (D10): it may be interrupted anywhere, and serves nobody."""

import asyncio

import pytest

from cluster.simulated.cluster import SimulatedCluster
from kvnode.errors import UnavailableError
from tests.cluster.simulated.forgetting import fill, forgetful, held, read, rested

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

KEYS = tuple(f"key-{n:03}" for n in range(150))


async def until_filling(cluster: SimulatedCluster, name: str, entries: int) -> None:
    """Return when *name* has so many entries of a bootstrap, or all of them."""
    filling = cluster.node(name).disk.state().filling
    begun = filling is not None
    while not begun or (filling is not None and filling.done < entries):
        await asyncio.sleep(0.001)
        filling = cluster.node(name).disk.state().filling
        begun = begun or filling is not None


@pytest.mark.parametrize("entries", [0, 30, 60, 90, 120])
def test_bootstrap_that_is_killed_and_cut_goes_on(entries: int) -> None:
    """From another donor too, while keys behind and before it are deleted."""

    async def main(cluster: SimulatedCluster) -> None:
        await fill(cluster, "a", KEYS)
        await rested(cluster)
        await cluster.wipe("c")
        await cluster.remove_former("c")
        await until_filling(cluster, "c", entries)
        await cluster.kill("c")
        client = cluster.client("client", "b")
        for key in (*KEYS[5:10], *KEYS[140:145]):
            await client.delete(key)
        await client.put("later", "value")
        await cluster.cut([("a", "c"), ("c", "a")])
        await cluster.start("c")
        await until_filling(cluster, "c", entries + 20)
        await cluster.cut([("b", "c"), ("c", "b")])
        await asyncio.sleep(1)
        await cluster.heal()
        await rested(cluster)

        assert held(cluster, "c") == held(cluster, "b")
        assert len(held(cluster, "c")) == len(KEYS) - 10 + 1
        assert await read(cluster, KEYS[7]) == [None] * 3
        assert await read(cluster, "later") == [b"value"] * 3

    forgetful(main)


def test_node_that_is_being_filled_answers_nobody() -> None:
    """What it holds is no state that ever was."""

    async def main(cluster: SimulatedCluster) -> None:
        await fill(cluster, "a", KEYS)
        await rested(cluster)
        await cluster.wipe("c")
        client = cluster.client("client", "c")
        refused = 0
        while not cluster.node("c").serves:
            with pytest.raises(
                UnavailableError, match=r"begun|filled|stopping|reached"
            ):
                await client.get(KEYS[0], deadline=0.001)
            refused += 1
        value = await client.get(KEYS[0])

        assert refused
        assert value is not None
        assert value.value == b"v" * 200

    forgetful(main)


def test_node_joins_through_one_seed_and_counts_from_then_on() -> None:
    """The others dial it, wait for it with forgetting, and it has what they have."""

    async def main(cluster: SimulatedCluster) -> None:
        await fill(cluster, "a", KEYS)
        await cluster.join("d", "b")
        await rested(cluster)
        await cluster.kill("d")
        await cluster.client("client", "a").delete(KEYS[0])
        await asyncio.sleep(10)
        assert KEYS[0].encode() in held(cluster, "a")
        await cluster.start("d")
        await rested(cluster)

        assert held(cluster, "d") == held(cluster, "a")
        assert KEYS[0].encode() not in held(cluster, "d")

    forgetful(main)


def test_restored_node_with_namespaces_of_its_own_starts() -> None:
    """They are registered again when it has been filled, and not before."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.take_backup("c")
        await fill(cluster, "a", KEYS)
        await cluster.client("client", "a").delete(KEYS[0])
        await rested(cluster)
        await cluster.restore_backup("c")
        await until_filling(cluster, "c", 0)
        await cluster.kill("c")
        await cluster.start("c")
        await cluster.remove_former("c")
        await rested(cluster)

        node = cluster.node("c").assembly
        assert node is not None
        assert "mine" in node.namespaces.names()

    forgetful(main)


def test_write_that_a_newcomer_had_from_another_newcomer_is_not_lost() -> None:
    """
    It starts over with what another new replica wrote, and puts that aside.

    Found by set under mixed,member-churn, seed 1019: it went on to claim it.
    """

    async def main(cluster: SimulatedCluster) -> None:
        client = cluster.client("client", "a")
        await client.put("deleted", "value")
        await client.delete("deleted")
        await rested(cluster)
        await cluster.cut([("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")])
        await cluster.wipe("c")
        await cluster.cut([("d", "a"), ("a", "d"), ("d", "b"), ("b", "d")])
        await cluster.join("d", "c")
        await asyncio.sleep(1)
        theirs = cluster.client("theirs", "c")
        await theirs.set("set").add("member")
        await asyncio.sleep(1)
        await cluster.heal()
        await cluster.remove_former("c")
        await rested(cluster)

    forgetful(main)
