"""Filling a new node (D10): it may be interrupted anywhere, and serves nobody."""

import asyncio
from contextlib import suppress
from itertools import product

import pytest

from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.running import run
from kvnode.client import Value
from kvnode.core.node.incoming import Incoming
from kvnode.errors import UnavailableError
from tests.cluster.simulated.forgetting import (
    SETTINGS,
    fill,
    forgetful,
    held,
    read,
    rescued,
    rested,
)
from tests.jepsen_like import broken_forgetting

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


async def newcomers_out_of_reach(cluster: SimulatedCluster) -> None:
    """
    Cut off c, which is wiped and being filled, and d, which joins through c.

    What a and b have is large, has been forgotten in part, and must not be missed.
    """
    await fill(cluster, "a", KEYS)
    await cluster.client("client", "a").delete(KEYS[0])
    await rested(cluster)
    await cluster.wipe("c")
    await cluster.remove_former("c")
    await until_filling(cluster, "c", 0)
    await cluster.cut(product("ab", "cd"))
    await cluster.cut(product("cd", "ab"))
    assert cluster.node("c").disk.state().filling is not None
    await cluster.join("d", "c")
    await asyncio.sleep(20)


@pytest.mark.parametrize("restarted", ["", "c", "d", "cd"])
def test_newcomer_that_meets_one_that_is_being_filled_is_filled_as_well(
    restarted: str,
) -> None:
    """
    Its hello says that there is something, and who has it; neither serves before.

    Found by sessions under mixed,member-churn, seed 900867: it took that one for an
    empty store, served, and started over when it heard of a floor.
    """

    async def main(cluster: SimulatedCluster) -> None:
        await newcomers_out_of_reach(cluster)
        joined = cluster.node("d").disk.state().replica
        for name in restarted:
            await cluster.kill(name)
            await cluster.start(name)
        await asyncio.sleep(20)
        assert not cluster.node("c").serves
        assert not cluster.node("d").serves

        await cluster.heal()
        await rested(cluster)

        assert cluster.node("d").disk.state().replica == joined
        assert held(cluster, "d") == held(cluster, "a")

    forgetful(main)


@pytest.mark.parametrize("flooded", [False, True])
def test_newcomer_that_serves_beside_one_that_is_being_filled_is_seen(
    monkeypatch: pytest.MonkeyPatch, *, flooded: bool
) -> None:
    """The judge bites: what a client is told by an empty store is no answer (D10)."""
    broken_forgetting.unfilled_taken_for_empty(monkeypatch)

    async def main(cluster: SimulatedCluster) -> tuple[str, ...]:
        await cluster.start_all()
        await newcomers_out_of_reach(cluster)
        if flooded:
            assert await cluster.flood("d", 20)
        assert await cluster.client("theirs", "d").get(KEYS[1]) is None
        return cluster.violations()

    [violation] = run(main, settings={**SETTINGS, "namespaces": ("default",)})

    assert violation.startswith("served: ")
    assert violation.endswith("d answered with nothing, and met c")


def test_newcomer_far_away_is_told_what_came_while_it_was_dialed() -> None:
    """
    A hello is of when the connection stands, which takes long where it is far.

    Found by expiry under mixed,wipe-removal, seed 20012550.
    """

    async def main(cluster: SimulatedCluster) -> tuple[str, ...]:
        await cluster.start_all()
        await fill(cluster, "a", KEYS)
        await rested(cluster)
        await cluster.cut(product("a", "b"))
        await cluster.cut(product("b", "a"))
        await cluster.wipe("c")
        await asyncio.sleep(0.45)
        assert cluster.node("c").disk.state().filling, "it has met the donor"
        await cluster.wipe("b")
        client = cluster.client("client", "b")
        answers: list[Value | None] = []
        for _ in range(200):
            with suppress(UnavailableError):
                answers.append(await client.get(KEYS[0], deadline=0.01))
            await asyncio.sleep(0.01)
        assert None not in answers
        assert cluster.node("b").disk.state().filling, "it has met the other one"
        return cluster.violations()

    violations = run(
        main,
        delays_ms={("a", "c"): 50, ("b", "c"): 400},
        settings={**SETTINGS, "namespaces": ("default",)},
    )

    assert violations == ()


def test_new_node_believes_who_repeats_what_a_peer_said_when_it_was_new() -> None:
    """
    It cannot tell the two apart, and a new cluster must serve: that breaks no promise.

    Found by cas-register under mixed,wipe, seed 2001515: the judge took an attacker in
    the name of a peer for the peer.
    """

    async def main(cluster: SimulatedCluster) -> tuple[str, ...]:
        await cluster.start_all()
        await fill(cluster, "a", KEYS)
        await cluster.cut(product("ab", "c"))
        await cluster.cut(product("c", "ab"))
        await cluster.wipe("c")
        attack = asyncio.create_task(cluster.flood("c", 1))
        await asyncio.sleep(0.5)
        assert await cluster.client("client", "c").get(KEYS[1]) is None

        await attack
        await cluster.heal()
        await cluster.remove_former("c")
        await rested(cluster)

        assert held(cluster, "c") == held(cluster, "a")
        return cluster.violations()

    assert run(main, settings={**SETTINGS, "namespaces": ("default",)}) == ()


def test_half_filled_node_does_not_believe_that_its_donor_has_nothing() -> None:
    """Who repeats what that one said when it was new does not end the bootstrap."""

    async def main(cluster: SimulatedCluster) -> tuple[str, ...]:
        await cluster.start_all()
        await asyncio.sleep(1)  # so that there are words from when all were new
        await fill(cluster, "a", KEYS)
        await rested(cluster)
        await cluster.wipe("c")
        await cluster.remove_former("c")
        await until_filling(cluster, "c", 30)
        await cluster.cut([("a", "c"), ("c", "a")])
        await asyncio.sleep(30)  # until the connection is given up
        for _ in range(10):
            assert await cluster.flood("c", 1)
            assert not cluster.node("c").serves

        await cluster.heal()
        await rested(cluster)

        assert held(cluster, "c") == held(cluster, "a")
        return cluster.violations()

    settings = {**SETTINGS, "namespaces": ("default",)}
    assert run(main, nodes=("a", "c"), settings=settings) == ()


def test_write_to_a_new_node_that_was_led_astray_is_kept_or_put_aside() -> None:
    """
    Who repeats a peer's first words makes it serve; then it hears of a floor.

    A counter that it had begun anew may be older than what is forgotten, as far as it
    knows: that is put aside (G2b).  All else is newer, and comes to all.
    """

    async def main(cluster: SimulatedCluster) -> None:
        await fill(cluster, "a", KEYS)
        before = cluster.client("before", "a")
        await before.delete(KEYS[0])
        await before.counter("count").increment(5)
        await rested(cluster)
        await cluster.cut(product("ab", "c"))
        await cluster.cut(product("c", "ab"))
        await cluster.wipe("c")
        astray = cluster.node("c").disk.state().replica
        attack = asyncio.create_task(cluster.flood("c", 1))
        await asyncio.sleep(0.5)
        client = cluster.client("client", "c")
        await client.put("new", "value")
        await client.put(KEYS[1], "newer")
        await client.put(KEYS[0], "again")
        await client.counter("count").increment(3)

        await attack
        await cluster.heal()
        await cluster.remove_former("c")
        await rested(cluster)

        assert cluster.node("c").disk.state().replica != astray, "it starts over"
        assert await read(cluster, "new") == [b"value"] * 3
        assert await read(cluster, KEYS[1]) == [b"newer"] * 3
        assert await read(cluster, KEYS[0]) == [b"again"] * 3
        assert rescued(cluster, "c") == {b"count"}
        for name in cluster.names:
            client = cluster.client(f"after-{name}", name)
            assert await client.counter("count").value() == 5

    forgetful(main)


@pytest.mark.parametrize("flooded", [False, True])
def test_empty_store_that_starts_over_is_seen(
    monkeypatch: pytest.MonkeyPatch, *, flooded: bool
) -> None:
    """The judge bites, whoever has told it before that there is nothing (D10)."""
    monkeypatch.setattr(Incoming, "begin_to_fill", lambda *_: False)

    async def main(cluster: SimulatedCluster) -> tuple[str, ...]:
        await cluster.start_all()
        await fill(cluster, "a", KEYS)
        await rested(cluster)
        if flooded:
            await cluster.cut(product("ab", "c"))
            await cluster.cut(product("c", "ab"))
        await cluster.wipe("c")
        if flooded:
            assert await cluster.flood("c", 1)
            await cluster.heal()
        await asyncio.sleep(5)
        return cluster.violations()

    violations = run(main, settings={**SETTINGS, "namespaces": ("default",)})

    assert [v for v in violations if v.endswith("c must start over, and had nothing")]


def test_newcomers_serve_when_all_that_had_something_were_removed() -> None:
    """Each says of itself that it is being filled: they do not wait for each other."""

    async def main(cluster: SimulatedCluster) -> None:
        await newcomers_out_of_reach(cluster)
        await cluster.kill("b")
        await cluster.remove_member("a")
        await asyncio.sleep(20)
        assert not cluster.node("d").serves
        await cluster.remove_member("b")
        await asyncio.sleep(5)

        theirs = cluster.client("theirs", "d")
        await theirs.put("key", "value")
        await asyncio.sleep(1)
        value = await cluster.client("others", "c").get("key")

        assert value is not None
        assert value.value == b"value"

    forgetful(main)


def test_new_cluster_serves_at_once() -> None:
    """Nobody has anything, and nobody is being filled: there is nothing to wait for."""

    async def main(cluster: SimulatedCluster) -> None:
        for name in cluster.names:
            await cluster.wipe(name)
        for name in cluster.names:
            await cluster.remove_former(name)
        begun = asyncio.get_running_loop().time()
        while not all(cluster.node(name).serves for name in cluster.names):  # noqa: ASYNC110 -- nothing says when
            await asyncio.sleep(0.01)

        assert asyncio.get_running_loop().time() - begun < 1

    forgetful(main)
