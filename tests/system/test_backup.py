"""A backup taken while serving, and the new replica that is made from it."""

import asyncio
from pathlib import Path

import pytest

from kvnode.client import Client
from kvnode.errors import CorruptRecordError, KvError, RejectedError
from kvnode.runtime.app import random_replica
from kvnode.storage.backup import restore
from tests.system.nodes import (
    Fleet,
    ServedNode,
    connected,
    converged,
    everything,
)

pytestmark = pytest.mark.system

KEYS_BEFORE = 2_000


async def _back_up(client: Client, file: Path) -> None:
    """Write a backup to *file*."""
    chunks = [chunk async for chunk in client.backup()]
    await asyncio.to_thread(file.write_bytes, b"".join(chunks))


async def _back_up_while_writing(node: ServedNode, file: Path) -> list[str]:
    """Write keys before, during and after a backup; return those before it."""
    async with node.client() as client:
        before = [f"before/{number}" for number in range(KEYS_BEFORE)]
        await asyncio.gather(*(client.put(key, bytes(1000)) for key in before))
        done = asyncio.Event()

        async def write() -> int:
            number = 0
            while not done.is_set():
                await client.put(f"during/{number}", bytes(1000))
                number += 1
            return number

        writing = asyncio.create_task(write())
        await _back_up(client, file)
        done.set()
        assert await writing > 0
        await client.put("after", b"v")
    return before


@pytest.fixture
async def remembering(fleet: Fleet) -> list[ServedNode]:
    """
    Three nodes that forget nothing while a test lasts.

    A backup from before they forgot something starts over when it joins (G2b), and what
    it alone has goes to a recovery file: that is another test's.
    """
    nodes = fleet.add_peers("a", "b", "c", forget_interval_ms=3_600_000)
    await fleet.start(nodes)
    await connected(*nodes)
    return nodes


async def test_restored_backup_is_a_new_replica_that_joins_and_converges(
    fleet: Fleet, remembering: list[ServedNode], tmp_path: Path
) -> None:
    """It holds what was there when the backup began, and gets the rest from peers."""
    file = tmp_path / "backup"
    before = await _back_up_while_writing(remembering[0], file)
    restored = fleet.add("restored")
    state = await restore(file, restored.data_directory, random_replica=random_replica)

    await restored.start()
    alone = await everything(restored)
    assert set(alone) >= {key.encode() for key in before}
    assert b"after" not in alone
    async with restored.client() as client, remembering[0].client() as original:
        mine, theirs = await client.status(), await original.status()
        assert mine.replica == state.replica
        assert mine.replica != theirs.replica
        await client.put("from-restored", b"v")
    await restored.stop()
    restored.settings["seeds"] = [remembering[0].endpoint]
    await restored.start()

    await connected(*remembering, restored)
    await converged(*remembering, restored)
    held = await everything(remembering[1])
    assert b"from-restored" in held
    assert held == await everything(restored)


async def test_lost_node_is_replaced_by_its_backup(
    trio: list[ServedNode], tmp_path: Path
) -> None:
    """Same name and address, new identity: what it wrote since comes from peers."""
    file = tmp_path / "backup"
    await _back_up_while_writing(trio[0], file)
    await converged(*trio)
    lost = trio[0]
    await lost.kill()
    lost.data_directory.rename(tmp_path / "broken-disk")
    await restore(file, lost.data_directory, random_replica=random_replica)

    await lost.start()

    await connected(*trio)
    await converged(*trio)
    async with lost.client() as client:
        assert await client.get("after") is not None
        await client.put("again", b"v")
    await converged(*trio)
    assert b"again" in await everything(trio[1])


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
async def test_truncated_backup_is_refused(
    node: ServedNode, tmp_path: Path, kept: float
) -> None:
    """And leaves nothing behind that could be started."""
    file, target = tmp_path / "backup", tmp_path / "restored"
    async with node.client() as client:
        await client.put("k", bytes(100_000))
        await _back_up(client, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])

    with pytest.raises(CorruptRecordError):
        await restore(file, target, random_replica=random_replica)

    assert not target.exists() or not list(target.iterdir())


async def test_backup_cut_short_by_a_kill_is_refused(
    node: ServedNode, tmp_path: Path
) -> None:
    """The client says that it failed, and what it got so far is no backup."""
    file, target = tmp_path / "backup", tmp_path / "restored"
    async with node.client() as client:
        for number in range(40):
            await client.put(f"k/{number}", bytes(1 << 20))
        chunks = client.backup()
        got = await anext(chunks) + await anext(chunks)
        await node.kill()
        with pytest.raises(KvError):
            got += b"".join([chunk async for chunk in chunks])

    file.write_bytes(got)
    with pytest.raises(CorruptRecordError):
        await restore(file, target, random_replica=random_replica)


async def test_backup_is_not_restored_over_a_store(
    node: ServedNode, tmp_path: Path
) -> None:
    """Nothing is overwritten."""
    file = tmp_path / "backup"
    async with node.client() as client:
        await _back_up(client, file)

    with pytest.raises(RejectedError, match="not empty"):
        await restore(file, node.data_directory, random_replica=random_replica)
