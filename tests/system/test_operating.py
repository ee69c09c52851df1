"""What an operator does to a cluster, by the commands and on real processes."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from kvnode.client import MemberStatus, NodeStatus, Standing
from tests.system import programs
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

PATIENCE_SECONDS = 30.0


async def _run(node: ServedNode, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `kvnode` with *arguments* against *node*."""
    environment = {"KVNODE_ENDPOINTS": node.endpoint, "COLUMNS": "200"}
    return await asyncio.to_thread(
        programs.run, "kvnode", *arguments, environment=environment
    )


async def _status(node: ServedNode) -> NodeStatus:
    async with node.client() as client:
        return await client.status()


async def _members(node: ServedNode) -> dict[str, list[MemberStatus]]:
    found: dict[str, list[MemberStatus]] = {}
    for member in (await _status(node)).members:
        found.setdefault(member.name, []).append(member)
    return found


async def _stands(node: ServedNode, name: str, standing: Standing) -> None:
    """Wait until *node* has one called *name* of that *standing*."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            named = (await _members(node)).get(name, [])
            if any(member.standing is standing for member in named):
                return
            await asyncio.sleep(0.05)


async def _forgotten(node: ServedNode) -> None:
    """Wait until *node* holds up nothing, and has dropped what was deleted."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            status = await _status(node)
            if status.forgetting.dropped and not status.forgetting.hindrances:
                return
            await asyncio.sleep(0.05)


@pytest.fixture
async def quick_trio(fleet: Fleet) -> list[ServedNode]:
    """Three nodes that forget soon."""
    nodes = fleet.add_peers(
        "a", "b", "c", forget_interval_ms=200, delta_interval_ms=200
    )
    await fleet.start(nodes)
    await connected(*nodes)
    return nodes


async def test_wiped_node_holds_up_forgetting_until_its_old_identity_is_removed(
    quick_trio: list[ServedNode], tmp_path: Path
) -> None:
    """The commands say which one, and what to run; then deletions go."""
    a, b, c = quick_trio
    await c.kill()
    async with a.client() as client:
        await client.put("k", b"v")
        await client.delete("k")
    await logged("disconnected from c", a)
    assert any(
        each.startswith("c (") for each in (await _status(a)).forgetting.hindrances
    )
    c.data_directory.rename(tmp_path / "broken-disk")
    await c.start()
    await connected(a, b, c)

    shown = await _run(a, "members")
    assert "c (former)" in shown.stdout
    assert "kvnode members remove c --former" in shown.stderr
    refused = await _run(a, "members", "remove", "c", "--yes")
    assert refused.returncode == 2
    assert "is the name of 2 members" in refused.stderr
    removed = await _run(a, "members", "remove", "c", "--former", "--yes", "--json")

    assert removed.returncode == 0, removed.stderr
    [gone] = json.loads(removed.stdout)["removed"]
    assert gone["standing"] == "removed"
    for node in quick_trio:
        await _stands(node, "c", Standing.REMOVED)
        await _forgotten(node) if node is a else None
    await converged(a, b, c)


async def test_node_leaves_with_nothing_lost_and_does_not_come_back(
    quick_trio: list[ServedNode],
) -> None:
    """It hands over, ends with 0, and its directory is not taken up again."""
    a, b, c = quick_trio
    async with c.client() as client:
        await asyncio.gather(*(client.put(f"k/{n}", bytes(1000)) for n in range(500)))
    left = await _run(c, "leave", "--yes", "--json")

    assert left.returncode == 0, left.stderr
    assert json.loads(left.stdout)["told"] == 2
    assert await c.ended() == 0
    for node in (a, b):
        await _stands(node, "c", Standing.LEFT)
    await converged(a, b)
    assert len(await everything(a)) == 500
    async with a.client() as client:
        await client.delete("k/0")
    await _forgotten(a)

    c.spawn()
    assert await c.ended() == 2
    assert "has left the cluster for good" in c.log


async def test_node_that_is_cut_off_does_not_leave_with_what_only_it_has(
    quick_trio: list[ServedNode],
) -> None:
    """It says how much that is, goes on, and may leave when the cut has healed."""
    a, b, c = quick_trio
    await cut_off(c, [a, b])
    async with c.client() as client:
        await client.put("only-here", b"v")

    refused = await _run(c, "leave", "--yes", "--wait", "1s")

    assert refused.returncode == 3
    assert "1 writes are here" in refused.stderr
    async with c.client() as client:
        await client.put("only-here", b"w")
    await cut_off(c, [a, b], blocked=False)
    left = await _run(c, "leave", "--yes")
    assert left.returncode == 0, left.stderr
    assert await c.ended() == 0
    assert (await everything(a))[b"only-here"].value == b"w"


async def test_what_a_removed_node_had_alone_is_put_aside_and_can_be_imported(
    quick_trio: list[ServedNode],
) -> None:
    """G2b: nothing deleted comes back by itself, and nothing is lost silently."""
    a, b, c = quick_trio
    async with a.client() as client:
        await client.put("deleted", b"v")
    await converged(a, b, c)
    await cut_off(c, [a, b])
    async with c.client() as client:
        await client.put("only-here", b"v")
        await client.put("deleted", b"written after it was deleted elsewhere")
        await client.counter("count").increment(5)
    async with a.client() as client:
        await client.delete("deleted")
    forced = await _run(a, "members", "remove", "c", "--yes", "--force")
    assert forced.returncode == 0, forced.stderr
    await _forgotten(a)

    await cut_off(c, [a, b], blocked=False)
    await logged("starts over as a new replica", c)
    await c.serving()
    await connected(a, b, c)
    await converged(a, b, c)
    assert await everything(c) == {}

    listed = await _run(c, "recovery", "list", str(c.data_directory))
    assert {line.split("\t")[2] for line in listed.stdout.splitlines()} == {
        "only-here",
        "deleted",
        "count",
    }
    [file] = (await _status(c)).rescued
    path = str(c.data_directory / "recovery" / file.name)
    imported = await _run(c, "recovery", "import", path, "--key", "only-here")
    assert imported.returncode == 0, imported.stderr
    await converged(a, b, c)
    assert set(await everything(a)) == {b"only-here"}


async def test_lag_is_told_for_monitoring(quick_trio: list[ServedNode]) -> None:
    """Exit code 1 while a member is silent for longer than may be."""
    a, b, c = quick_trio
    async with asyncio.timeout(PATIENCE_SECONDS):  # a report and a probe of each
        while (await _run(a, "lag", "--max", "20s")).returncode:
            pass  # which takes a process and its time

    await cut_off(c, [a, b])
    await asyncio.sleep(1.5)
    late = await _run(a, "lag", "--max", "1s")

    assert late.returncode == 1
    assert "behind c" in late.stderr
    assert "behind b" not in late.stderr
