"""
A store that is not what was written to it is found and mended, by real processes (D9).

Its rows are changed while the node is stopped, by the store's own code: checksums and
index are right, and nothing but a comparison of contents shows that it is wrong.
"""

import asyncio
import subprocess

import pytest

from kvnode.client import Put
from kvnode.core.versions.store_view import Commit, Write
from kvnode.core.versions.version import Entry
from kvnode.storage.lmdb_store import LmdbStore
from kvnode.types import DEFAULT_NAMESPACE, EntryKey, ReplicaId
from tests.system import programs
from tests.system.nodes import (
    Fleet,
    ServedNode,
    connected,
    converged,
    everything,
    logged,
)

pytestmark = pytest.mark.system

KEYS = 2_000
LARGE_BYTES = 100_000
MENDED_SECONDS = 60.0


async def tampered(node: ServedNode) -> None:
    """Change a value into one that sorts behind it, and lose a large one."""
    store = LmdbStore.open(node.data_directory, random_replica=lambda: ReplicaId(1))
    try:
        writes = []
        with store.snapshot() as view:
            state = view.state()
            for name, value in ((b"key/00000007", b"wrong"), (b"large", None)):
                key = EntryKey(DEFAULT_NAMESPACE, name)
                entry = view.entry(key)
                assert entry is not None
                wrong = None if value is None else Entry(entry.version, value)
                writes.append(Write(key, wrong, entry.version))
        await store.apply(Commit(state, tuple(writes)))
    finally:
        store.close()


async def filled(
    fleet: Fleet, *, scan_interval_ms: int, repair_automatically: bool
) -> list[ServedNode]:
    """Return three nodes that hold the same keys."""
    nodes = fleet.add_peers(
        "a",
        "b",
        "c",
        delta_interval_ms=200,
        scan_interval_ms=scan_interval_ms,
        repair_automatically=repair_automatically,
    )
    await fleet.start(nodes)
    await connected(*nodes)
    async with nodes[0].client(deadline=60.0) as client:
        await client.batch([Put(f"key/{n:08}", f"value {n}") for n in range(KEYS // 2)])
        await client.put("large", b"x" * LARGE_BYTES)
    async with nodes[1].client(deadline=60.0) as client:
        await client.batch(
            [Put(f"key/{n:08}", f"value {n}") for n in range(KEYS // 2, KEYS)]
        )
    await converged(*nodes)
    return nodes


async def agreed(*nodes: ServedNode) -> None:
    """Wait until nodes have one digest, and no alarm is left."""
    async with asyncio.timeout(MENDED_SECONDS):
        while True:
            digests = []
            for node in nodes:
                async with node.client() as client:
                    digests.append((await client.status()).digests)
            totals = {each.total for each in digests}
            if len(totals) == 1 and not any(each.alarms for each in digests):
                return
            await asyncio.sleep(0.1)


async def test_tampered_store_is_found_told_of_and_mended(fleet: Fleet) -> None:
    """By itself: a scan, two comparisons, a repair; and all keys are right again."""
    nodes = await filled(fleet, scan_interval_ms=2000, repair_automatically=True)
    right = await everything(nodes[0])
    await nodes[2].stop()
    await tampered(nodes[2])

    await nodes[2].start()

    await logged("does not hold what was written to it (D9)", nodes[2])
    await logged("have seen the same writes and hold different entries", nodes[2])
    await logged("hold the same again", nodes[2])
    await agreed(*nodes)
    assert all([await everything(node) == right for node in nodes])
    told = await asyncio.to_thread(
        programs.run, "kvnode", "-e", nodes[2].endpoint, "digest"
    )
    assert told.returncode == 0, told.stderr
    assert "same: 3 nodes hold the same entries" in told.stderr


async def test_operator_finds_and_mends_a_tampered_store(fleet: Fleet) -> None:
    """Where nothing is looked into by itself."""
    nodes = await filled(fleet, scan_interval_ms=0, repair_automatically=False)
    right = await everything(nodes[0])
    await nodes[2].stop()
    await tampered(nodes[2])
    await nodes[2].start()
    await connected(*nodes)

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return programs.run("kvnode", "-e", nodes[0].endpoint, *arguments)

    scanned = await asyncio.to_thread(run, "digest", "--scan", "--all", "a", "b", "c")
    repaired = await asyncio.to_thread(run, "repair", "a", "--with", "c")
    again = await asyncio.to_thread(run, "repair", "a", "--with", "c")

    assert scanned.returncode == 1
    assert repaired.returncode == 0, repaired.stderr
    assert repaired.stdout.startswith("c: 2 keys differed")
    assert again.stdout.startswith("c: 0 keys differed")
    assert all([await everything(node) == right for node in nodes])
