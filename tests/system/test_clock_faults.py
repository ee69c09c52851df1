"""Clocks of real nodes put wrong: fences, stamps, and order that survives."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from jepsen_like.adapters.kvnode_processes import KvnodeProcesses
from jepsen_like.nemesis.faults import Kill, SetClock, Start
from kvnode.client import Client
from kvnode.errors import DeadlineError, UnavailableError
from tests.system.kvnode_systems import converged, running, soon_reads
from tests.system.nodes import Fleet, ServedNode, logged
from tests.system.nodes import converged as nodes_converged

pytestmark = pytest.mark.system

HOUR_MS = 3_600_000

PROBED_SECONDS = 4.0
"""Two rounds of probes, and then some."""

FENCED_SECONDS = 30.0
"""Far more than it takes until a clock is known to be wrong, or right again."""


@pytest.fixture
async def system() -> AsyncIterator[KvnodeProcesses]:
    """Two nodes whose clocks are right."""
    async with running("a", "b") as made:
        yield made


async def _stamp_ms(system: KvnodeProcesses, node: str, key: str) -> int:
    """Write at *node* and return the milliseconds of the stamp."""
    async with Client(system.cluster.endpoint(node)) as client:
        return (await client.put(key, b"1")).hlc >> 16


async def test_stamps_follow_the_clock_of_their_node_alone(
    system: KvnodeProcesses,
) -> None:
    """A clock an hour ahead stamps an hour ahead, and harms nobody else's (C2)."""
    true = await _stamp_ms(system, "b", "k1")
    await system.inject(SetClock("a", offset_ms=HOUR_MS))
    ahead = await _stamp_ms(system, "a", "k2")
    await converged(system)
    after = await _stamp_ms(system, "b", "k3")

    assert 0 <= ahead - true - HOUR_MS < 60_000
    assert 0 <= after - true < 60_000


async def test_clock_set_back_does_not_set_stamps_back(
    system: KvnodeProcesses,
) -> None:
    """The later write wins, whatever the clock says (R1)."""
    client = await system.connect(0, "a")
    first = await client.invoke("write", "k", 1)
    await system.inject(SetClock("a", offset_ms=-HOUR_MS))
    second = await client.invoke("write", "k", 2)
    await client.close()

    assert second.version > first.version
    await soon_reads(system, "b", "k", 2)


async def test_clock_that_drifts_gains(system: KvnodeProcesses) -> None:
    """Twice as fast as time, from the moment on at which it was told to be."""
    await system.inject(SetClock("a", drift_ppm=1_000_000))
    async with Client(system.cluster.endpoint("a")) as client:
        while True:
            fast = (await client.put("k", b"1")).hlc >> 16
            true = await _stamp_ms(system, "b", "other")
            if fast - true > 300:
                break
    await system.recover()


async def test_restarted_node_is_wrong_again_until_recovery(
    system: KvnodeProcesses,
) -> None:
    """A fault stays until something ends it: a new process changes nothing."""
    await system.inject(SetClock("a", offset_ms=2 * HOUR_MS))
    await system.inject(Kill(("a",)))
    await system.inject(Start(("a",)))
    true = await _stamp_ms(system, "b", "k1")
    assert await _stamp_ms(system, "a", "k2") - true > HOUR_MS

    await system.recover()
    # A key of its own: stamps of what was stamped in the future stay there.
    async with Client(system.cluster.endpoint("a")) as client:
        status = await client.status()
    assert status.uptime_seconds < HOUR_MS / 1000


async def _until_writes(client: Client, key: str, *, refused: bool) -> None:
    """Write *key* until that is refused, or taken; no reply in time is neither."""
    async with asyncio.timeout(FENCED_SECONDS):
        while True:
            try:
                await client.put(key, b"early")
            except UnavailableError:
                if refused:
                    return
            except DeadlineError:
                pass
            else:
                if not refused:
                    return
            await asyncio.sleep(0.1)


async def test_node_an_hour_ahead_of_two_takes_no_writes_and_harms_nobody(
    fleet: Fleet, trio: list[ServedNode]
) -> None:
    """C1: its reads and its replication go on; it writes again once it is right."""
    wrong, *others = trio
    client = await fleet.client(wrong, deadline=2.0)
    right = [await fleet.client(node) for node in others]
    await client.put("before", b"v")
    await asyncio.sleep(PROBED_SECONDS)  # by now it has asked both what time it is
    await client.set_clock(offset=HOUR_MS / 1000, drift_ppm=0)

    with pytest.raises(UnavailableError, match="ahead of the median of 3 clocks"):
        await client.put("after", b"v", deadline=0.5)

    status = await client.status()
    assert not status.accepting_writes
    assert "the median of 3 clocks" in status.refusing_because
    for n, other in enumerate(right):
        written = await other.put(f"of-{n}", b"v")
        assert (await other.status()).accepting_writes
        assert abs((written.hlc >> 16) - time.time_ns() // 1_000_000) < 60_000
    await nodes_converged(*trio)
    assert await client.get("of-0") is not None
    assert await right[0].get("after") is None
    await client.set_clock(offset=0, drift_ppm=0)
    await _until_writes(client, "right", refused=False)
    await logged("client writes are refused", wrong)
    await logged("takes client writes", wrong)
    assert not any("writes are refused" in node.log for node in others)


async def test_node_that_was_alone_an_hour_ahead_is_fenced_by_its_peers(
    fleet: Fleet,
) -> None:
    """C2: what it had stamped before it met them is listed at theirs."""
    wrong, *others = fleet.add_peers("a", "b", "c")
    await wrong.start()
    client = await fleet.client(wrong, deadline=2.0)
    await client.set_clock(offset=HOUR_MS / 1000, drift_ppm=0)
    await client.put("early", b"v")

    await fleet.start(others)

    await _until_writes(client, "late", refused=True)
    await logged("entries from the future", *others)
    assert not any("writes are refused" in node.log for node in others)
