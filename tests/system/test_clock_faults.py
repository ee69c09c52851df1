"""Clocks of real nodes put wrong: stamps follow them, and order survives."""

from collections.abc import AsyncIterator

import pytest

from jepsen_like.adapters.kvnode_processes import KvnodeProcesses
from jepsen_like.nemesis.faults import Kill, SetClock, Start
from kvnode.client import Client
from tests.system.kvnode_systems import converged, running, soon_reads

pytestmark = pytest.mark.system

HOUR_MS = 3_600_000


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
