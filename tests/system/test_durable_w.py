"""Writes that wait for replicas before they are answered (S4)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic

import pytest
import pytest_asyncio

from kvnode.client import Client, Put
from kvnode.errors import Outcome, RejectedError, ReplicasTimeoutError
from tests.system.nodes import (
    Fleet,
    ServedNode,
    connected,
    converged,
    cut_off,
    started_trio,
)

pytestmark = pytest.mark.system

PATIENCE_SECONDS = 1.0

Write = Callable[[Client, int, float], Awaitable[object]]

WRITES: dict[str, Write] = {
    "put": lambda c, w, seconds: c.put("k", b"v", w=w, deadline=seconds),
    "delete": lambda c, w, seconds: c.delete("k", w=w, deadline=seconds),
    "batch": lambda c, w, seconds: c.batch(
        [Put("k", b"v"), Put("l", b"v")], w=w, deadline=seconds
    ),
    "counter": lambda c, w, seconds: c.counter("n").increment(1, w=w, deadline=seconds),
    "set": lambda c, w, seconds: c.set("s").add(b"m", w=w, deadline=seconds),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def severed(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[list[ServedNode]]:
    """Three nodes of which the last is cut off, for all kinds of writes."""
    fleet = Fleet(tmp_path_factory.mktemp("severed"))
    try:
        nodes = await started_trio(fleet)
        await cut_off(nodes[2], nodes[:2])
        yield nodes
    finally:
        await fleet.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def empty(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[list[ServedNode]]:
    """Three nodes that are given only writes that they must refuse."""
    fleet = Fleet(tmp_path_factory.mktemp("empty"))
    try:
        yield await started_trio(fleet)
    finally:
        await fleet.close()


async def test_write_with_w_is_at_w_replicas_when_it_is_answered(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """With w = 3 of 3, a read anywhere right after the reply sees it."""
    clients = [await fleet.client(node) for node in trio]
    for number in range(50):
        writer = clients[number % 3]
        value = b"%d" % number

        written = await writer.put("k", value, w=3)

        assert written.replicas == 3
        for client in clients:
            found = await client.get("k")
            assert found is not None
            assert found.value == value


async def test_replicas_that_answer_late_are_waited_for(fleet: Fleet) -> None:
    """The reply takes a round trip to the nearest other node, no less."""
    nodes = fleet.add_peers("a", "b", link_delay_ms=100)
    await fleet.start(nodes)
    await connected(*nodes)
    client = await fleet.client(nodes[0])
    began = monotonic()

    await client.put("k", b"v", w=2)

    assert monotonic() - began >= 0.2


@pytest.mark.parametrize("kind", WRITES)
async def test_cut_off_replica_is_missing_in_the_error(
    fleet: Fleet, severed: list[ServedNode], kind: str
) -> None:
    """INDETERMINATE with the count, in time; two of three are reached without it."""
    here = await fleet.client(severed[0])
    write = WRITES[kind]
    await write(here, 2, 10.0)
    began = monotonic()

    with pytest.raises(ReplicasTimeoutError, match="will still spread") as missed:
        await write(here, 3, PATIENCE_SECONDS)

    assert monotonic() - began < PATIENCE_SECONDS + 0.5
    assert (missed.value.acknowledged, missed.value.needed) == (2, 3)
    assert missed.value.outcome is Outcome.INDETERMINATE


async def test_write_that_missed_its_replicas_still_spreads(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """It is durable at the node asked, and everywhere once the cut heals."""
    here = await fleet.client(trio[0])
    there = await fleet.client(trio[2])
    await cut_off(trio[2], trio[:2])

    with pytest.raises(ReplicasTimeoutError):
        await here.put("k", b"v", w=3, deadline=PATIENCE_SECONDS)

    found = await here.get("k")
    assert found is not None
    assert await there.get("k") is None
    await cut_off(trio[2], trio[:2], blocked=False)
    await converged(*trio)
    spread = await there.get("k")
    assert spread is not None
    assert (spread.value, spread.version) == (b"v", found.version)
    assert (await here.put("k", b"w", w=3)).replicas == 3


async def test_write_waits_for_each_region(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """One replica a region: the regions count, the own one among them."""
    here = await fleet.client(trio[0])
    assert (await here.put("k", b"1", w_each_region=True)).replicas == 3
    await cut_off(trio[2], trio[:2])

    with pytest.raises(ReplicasTimeoutError) as missed:
        await here.put("k", b"2", w_each_region=True, deadline=PATIENCE_SECONDS)

    assert (missed.value.acknowledged, missed.value.needed) == (2, 3)
    await cut_off(trio[2], trio[:2], blocked=False)
    assert (await here.put("k", b"3", w_each_region=True)).replicas == 3


async def test_one_replica_is_enough_for_its_region(fleet: Fleet) -> None:
    """A dead node does not matter while a neighbour in its region is there."""
    nodes = fleet.add_peers(
        "a", "b", "c", regions={"a": "asia", "b": "europe", "c": "europe"}
    )
    await fleet.start(nodes)
    await connected(*nodes)
    here = await fleet.client(nodes[0])
    await nodes[2].kill()

    written = await here.put("k", b"v", w_each_region=True)

    assert written.applied
    with pytest.raises(ReplicasTimeoutError):
        await here.put("k", b"v", w=3, deadline=PATIENCE_SECONDS)


@pytest.mark.parametrize("kind", WRITES)
async def test_more_replicas_than_there_are_is_refused_before_anything_happens(
    fleet: Fleet, empty: list[ServedNode], kind: str
) -> None:
    """At once, as a wrong request, and without a trace at any node."""
    here = await fleet.client(empty[0])
    began = monotonic()

    with pytest.raises(RejectedError, match="w is 4, but this node knows of 3"):
        await WRITES[kind](here, 4, 10.0)

    assert monotonic() - began < 2.0
    await converged(*empty)
    for node in empty:
        assert not (await (await fleet.client(node)).list()).items
