"""A clock that jumps: its node is fenced, nobody else is harmed (C1, C2, C3)."""

import asyncio
from collections import deque

import pytest

from cluster.simulated.client import SimulatedClient
from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.running import run
from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.versions.version import Entry
from kvnode.errors import UnavailableError
from kvnode.types import DEFAULT_NAMESPACE, EntryKey, Millis
from tests.cluster.simulated.scenario import rest

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

HOUR = 3_600_000
LIMIT = 500
"""The default of clock_offset_max_ms."""

NOTICED_WITHIN = 10.0
"""Seconds: a few rounds of probes, and then some for a fence to be lifted."""

FROM_THE_FUTURE = "entries from the future"
REFUSED = "client writes are refused"
RIGHT_AGAIN = "clock is right again"


def stored(cluster: SimulatedCluster, name: str, key: str) -> Entry | None:
    """Return what *name* has on its disk under *key*."""
    with cluster.node(name).disk.snapshot() as view:
        return view.entry(EntryKey(DEFAULT_NAMESPACE, key.encode()))


def values(cluster: SimulatedCluster, key: str) -> list[bytes | None]:
    """Return what each node has under *key*."""
    found = (stored(cluster, name, key) for name in cluster.names)
    return [entry.value if entry else None for entry in found]


def ahead(cluster: SimulatedCluster, key: str) -> int:
    """Return how far the stamp of *key* at node a is ahead of true time, in ms."""
    entry = stored(cluster, "a", key)
    assert entry is not None
    return (entry.version.hlc - from_millis(cluster.node("a").clock())) >> 16


def listed(cluster: SimulatedCluster, name: str) -> list[str]:
    """Return the keys that *name* lists as from the future."""
    node = cluster.node(name).assembly
    assert node is not None
    return [each.key.key.decode() for each in node.driver.quarantine().entries()]


async def write_until_refused(client: SimulatedClient) -> tuple[list[str], str]:
    """Return the keys written until the node refuses, and what it says."""
    loop = asyncio.get_running_loop()
    end, written = loop.time() + NOTICED_WITHIN, list[str]()
    while loop.time() < end:
        key = f"early-{len(written)}"
        try:
            await client.put(key, "early")
        except UnavailableError as error:
            return written, str(error)
        written.append(key)
        await asyncio.sleep(0.02)
    pytest.fail(f"writes were never refused: {len(written)} keys were stored")


async def write_until_accepted(client: SimulatedClient, key: str) -> None:
    """Write *key* as soon as the node takes it."""
    async with asyncio.timeout(2 * NOTICED_WITHIN):
        while True:
            try:
                await client.put(key, "value")
            except UnavailableError:
                await asyncio.sleep(0.1)
            else:
                return


def told(log: deque[str], name: str, said: str) -> list[str]:
    """Return the log lines of node *name* that say *said*."""
    return [line for line in log if f" {name}#" in line and said in line]


@pytest.mark.parametrize("offset_ms", [HOUR, -HOUR])
def test_node_whose_clock_jumps_takes_no_writes_until_it_is_right(
    offset_ms: int,
) -> None:
    """It reads and replicates; the others notice nothing."""
    log = deque[str]()

    async def main(cluster: SimulatedCluster) -> str:
        await cluster.start_all()
        a, b, c = (cluster.client(f"client-{n}", n) for n in cluster.names)
        await a.put("before", "value")
        await asyncio.sleep(NOTICED_WITHIN)
        await cluster.set_clock("b", offset_ms)
        _, message = await write_until_refused(b)

        await a.put("of-a", "value")
        await c.put("of-c", "value")
        await asyncio.sleep(2)
        assert values(cluster, "of-a") == values(cluster, "of-c") == [b"value"] * 3
        assert await b.get("of-a") is not None
        assert abs(ahead(cluster, "of-a")) < 5000

        await asyncio.sleep(30)
        with pytest.raises(UnavailableError):
            await b.put("still", "wrong")
        await cluster.set_clock("b", 0)
        fresh = cluster.client("fresh-b", "b")  # the other may have seen the future
        await write_until_accepted(fresh, "after")
        await asyncio.sleep(2)
        assert abs(ahead(cluster, "after")) <= 2000 + LIMIT
        assert await rest(cluster)
        assert cluster.violations() == ()
        return message

    message = run(main, log=log)

    assert "the median of 3 clocks" in message
    assert ("ahead of" if offset_ms > 0 else "behind") in message
    assert len(told(log, "b", REFUSED)) == len(told(log, "b", RIGHT_AGAIN)) == 1
    assert not told(log, "a", REFUSED)
    assert not told(log, "c", REFUSED)


def test_writes_from_the_future_are_told_of_and_lose_to_who_has_read_them() -> None:
    """Those that a node makes before it has heard what time it is."""
    log = deque[str]()

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        await asyncio.sleep(NOTICED_WITHIN)
        await cluster.kill("b")
        await cluster.set_clock("b", HOUR)
        await cluster.start("b")
        await cluster.start_all()  # which waits until it serves alone
        b = cluster.client("client-b", "b")
        await b.put("seconds-of-darkness", "future")
        early, _ = await write_until_refused(b)
        await asyncio.sleep(2)
        bad = "seconds-of-darkness"
        assert values(cluster, bad) == [b"future"] * 3
        assert ahead(cluster, bad) > HOUR // 2
        assert all(bad in listed(cluster, name) for name in ("a", "c"))

        # Whoever has not read it loses for an hour; whoever has wins at once.
        a = cluster.client("client-a", "a")
        session = cluster.client("session", "c")
        await a.put(bad, "mine")
        await asyncio.sleep(2)
        assert values(cluster, bad) == [b"mine"] * 3
        await session.get(bad)
        await session.delete(bad)
        for key in early:
            await a.put(key, "mine")
        await asyncio.sleep(2)
        found = await cluster.client("reader", "b").get(bad)
        assert found is None
        assert all(values(cluster, key) == [b"mine"] * 3 for key in early)

        # Nobody's clock has gone with it.
        for name in ("a", "c"):
            await cluster.client(f"fresh-{name}", name).put(f"fresh-{name}", "value")
            now = cluster.node(name).clock()
            hlc = cluster.node(name).disk.state().hlc
            assert hlc <= from_millis(Millis(now + LIMIT)) + 1000
        await cluster.set_clock("b", 0)
        fresh = cluster.client("fresh-b", "b")  # the other has seen the future (R1)
        await write_until_accepted(fresh, "after")
        await asyncio.sleep(2)
        assert ahead(cluster, "after") <= LIMIT
        assert await rest(cluster)
        assert cluster.violations() == ()

    run(main, log=log)

    for name in ("a", "c"):
        lines = told(log, name, FROM_THE_FUTURE)
        assert lines
        assert "ms ahead at b" in lines[0]
        assert len(lines) <= 3
        assert not told(log, name, REFUSED)


def test_two_nodes_that_disagree_both_take_writes_and_both_tell() -> None:
    """One wrong clock of two must not stop both."""
    log = deque[str]()

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        await cluster.set_clock("b", HOUR)
        await asyncio.sleep(NOTICED_WITHIN)
        for name in cluster.names:
            await cluster.client(f"client-{name}", name).put(f"of-{name}", "value")
        await asyncio.sleep(2)
        assert values(cluster, "of-a") == values(cluster, "of-b") == [b"value"] * 2
        assert cluster.violations() == ()

    run(main, nodes=("a", "b"), log=log)

    for name in ("a", "b"):
        assert len(told(log, name, "nobody can tell which is wrong")) == 1


def test_node_that_was_off_and_is_cut_off_stays_fenced() -> None:
    """Silence does not set a clock right."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        await asyncio.sleep(NOTICED_WITHIN)
        await cluster.set_clock("b", HOUR)
        b = cluster.client("client-b", "b")
        await write_until_refused(b)
        await cluster.cut(link for link in cluster.links() if "b" in link)
        await asyncio.sleep(120)
        with pytest.raises(UnavailableError):
            await b.put("key", "value")
        await cluster.set_clock("b", 0)
        await write_until_accepted(b, "key")
        assert await rest(cluster)
        assert cluster.violations() == ()

    run(main)


def test_right_node_that_is_cut_off_takes_writes() -> None:
    """Nobody needs others to write: only to know that its clock is wrong."""

    async def main(cluster: SimulatedCluster) -> None:
        await cluster.start_all()
        await asyncio.sleep(NOTICED_WITHIN)
        await cluster.cut(link for link in cluster.links() if "b" in link)
        b = cluster.client("client-b", "b")
        for _ in range(10):
            await asyncio.sleep(20)
            await b.put("key", "value")
        assert await rest(cluster)
        assert cluster.violations() == ()

    run(main)
