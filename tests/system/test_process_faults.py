"""Every fault that the harness can do to real nodes is there, and ends."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from cluster.local.node_process import ProcessState
from jepsen_like.adapters.kvnode_processes import KvnodeProcesses
from jepsen_like.nemesis.faults import (
    FillDisk,
    FlipBits,
    Flood,
    FreeDisk,
    Garble,
    Kill,
    Pause,
    RestoreBackup,
    Resume,
    SlowDisk,
    Start,
    TakeBackup,
    Wipe,
)
from jepsen_like.system import FailedError, NotPossibleError
from kvnode.client import Client
from tests.system.kvnode_systems import connected, converged, running, soon_reads

pytestmark = pytest.mark.system

MIB = 1 << 20


@pytest.fixture
async def system() -> AsyncIterator[KvnodeProcesses]:
    """Two nodes."""
    async with running("a", "b") as made:
        yield made


async def _write(system: KvnodeProcesses, node: str, key: str, value: object) -> None:
    client = await system.connect(0, node)
    try:
        assert isinstance(value, int | str)
        await client.invoke("write", key, value)
    finally:
        await client.close()


async def _replica(system: KvnodeProcesses, node: str) -> int:
    async with Client(system.cluster.endpoint(node)) as client:
        return (await client.status()).replica


async def test_killed_and_paused_nodes_come_back(system: KvnodeProcesses) -> None:
    """By their own opposite, or by recovery."""
    state = system.cluster.state
    await system.inject(Kill(("a",)))
    await system.inject(Pause(("b",)))
    assert (state("a"), state("b")) == (ProcessState.DOWN, ProcessState.PAUSED)
    await system.inject(Start(("a",)))
    await system.inject(Resume(("b",)))
    assert (state("a"), state("b")) == (ProcessState.RUNNING, ProcessState.RUNNING)

    await system.inject(Kill(("a",)))
    await system.inject(Pause(("b",)))
    await system.recover()
    assert (state("a"), state("b")) == (ProcessState.RUNNING, ProcessState.RUNNING)


async def test_restored_node_gets_from_its_peer_what_the_backup_lacks(
    system: KvnodeProcesses,
) -> None:
    """Under a new identity (an old one would be used twice)."""
    await _write(system, "a", "before", 1)
    with pytest.raises(NotPossibleError, match="no backup"):
        await system.inject(RestoreBackup("a"))
    await system.inject(TakeBackup("a"))
    await _write(system, "a", "after", 2)
    await converged(system)
    replica = await _replica(system, "a")
    await system.inject(RestoreBackup("a"))

    assert await _replica(system, "a") != replica
    await soon_reads(system, "a", "before", 1)
    await soon_reads(system, "a", "after", 2)


async def test_wiped_node_gets_everything_from_its_peer(
    system: KvnodeProcesses,
) -> None:
    """By its old name."""
    await _write(system, "a", "k", 1)
    await converged(system)
    replica = await _replica(system, "a")
    await system.inject(Wipe("a"))

    assert await _replica(system, "a") != replica
    await soon_reads(system, "a", "k", 1)


async def test_flood_of_old_messages_changes_nothing(system: KvnodeProcesses) -> None:
    """They were true once, and are still."""
    for number in range(50):
        await _write(system, "b", f"k{number}", number)
    before = await converged(system)
    await system.inject(Flood("a", 2_000))

    await connected(system)
    assert (await converged(system)).digest.digest == before.digest.digest


async def test_garbage_from_a_peer_changes_nothing(system: KvnodeProcesses) -> None:
    """The streams end; the node does not."""
    await _write(system, "b", "k", 1)
    before = await converged(system)
    await system.inject(Garble("a", 22))

    await connected(system)
    assert (await converged(system)).digest.digest == before.digest.digest
    log = system.cluster.directory.log_file("a").read_text(encoding="utf-8")
    assert "Traceback" not in log
    await _write(system, "a", "k", 2)
    await soon_reads(system, "b", "k", 2)


@pytest.mark.parametrize("fault", [SlowDisk("a", 5), FlipBits("a"), FillDisk("a")])
async def test_what_cannot_be_done_is_refused(
    system: KvnodeProcesses, fault: SlowDisk | FlipBits | FillDisk
) -> None:
    """With the reason, for the report."""
    with pytest.raises(NotPossibleError, match=r"disk|record"):
        await system.inject(fault)


async def test_full_disk_refuses_writes_until_it_is_free() -> None:
    """The node stays up, and takes writes again by itself."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    async with running("a", "b", disk_bytes=128 * MIB) as system:
        await _write(system, "a", "k", 1)
        await system.inject(FillDisk("a"))
        with pytest.raises(FailedError, match="StoreFullError"):
            await _write(system, "a", "k", 2)
        await system.inject(FreeDisk("a"))
        async with asyncio.timeout(20):
            while True:
                try:
                    await _write(system, "a", "k", 3)
                    break
                except FailedError:
                    await asyncio.sleep(0.05)
        await soon_reads(system, "b", "k", 3)
