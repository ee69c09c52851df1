"""
A node on a disk that fills up (W3): it refuses, goes on, and recovers by itself.

The disk is a tmpfs of a few MiB, which takes root to mount.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvnode.client import Client, ObjectHandle
from kvnode.errors import Outcome, StoreFullError
from tests.system.nodes import Fleet, ServedNode, connected, converged

pytestmark = pytest.mark.system

MIB = 1 << 20
DISK_BYTES = 24 * MIB
RESERVE_BYTES = 4 * MIB
VALUE = bytes(100_000)
PATIENCE_SECONDS = 20.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a tmpfs")
    place = tmp_path / "small-disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"this machine does not let us mount: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def _enlarge(disk: Path) -> None:
    subprocess.run(
        ["mount", "-o", f"remount,size={4 * DISK_BYTES}", str(disk)], check=True
    )


@pytest.fixture
async def full(fleet: Fleet, small_disk: Path) -> ServedNode:
    """A node on the small disk; its peer `roomy` is not started."""
    full, _ = fleet.add_peers("full", "roomy", disk_reserve_bytes=RESERVE_BYTES)
    full.settings["data_directory"] = str(small_disk / "data")
    await full.start()
    return full


async def _fill(client: Client) -> tuple[dict[bytes, bytes], StoreFullError]:
    """Put until there is no room; return what was acknowledged, and the refusal."""
    acknowledged: dict[bytes, bytes] = {}
    for number in range(DISK_BYTES // len(VALUE)):
        key, value = b"fill/%03d" % number, VALUE + b"%d" % number
        try:
            await client.put(key, value)
        except StoreFullError as error:
            return acknowledged, error
        acknowledged[key] = value
    pytest.fail("the disk took more than it can hold")


async def _check_held(client: Client, expected: dict[bytes, bytes]) -> None:
    held = {item.key: item.value async for item in client.scan("fill/", values=True)}
    assert held == expected


async def _write_again(client: Client) -> None:
    """Put until it works; the node may take a moment to see that there is room."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await client.put("again", VALUE)
            except StoreFullError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_full_disk_refuses_puts_and_serves_all_else(
    fleet: Fleet, full: ServedNode
) -> None:
    """The refusal says what to do; reads and deletes go on; nothing told is lost."""
    client = await fleet.client(full)

    held, refusal = await _fill(client)

    assert len(held) > 50
    assert refusal.outcome is Outcome.FAILED
    assert "free some disk space" in str(refusal)
    assert "no room on this node's disk" in str(refusal)
    status = await client.status()
    assert not status.accepting_writes
    assert "free some disk space" in status.refusing_because
    await _check_held(client, held)
    for key in list(held)[:5]:
        assert (await client.delete(key)).applied
        del held[key]
    await _check_held(client, held)


async def test_deletes_make_room_for_puts_without_a_restart(
    fleet: Fleet, full: ServedNode
) -> None:
    """Who has no more disk can still get out by deleting."""
    client = await fleet.client(full)
    held, _ = await _fill(client)

    for key in list(held)[:30]:
        await client.delete(key)
        del held[key]

    await _write_again(client)
    await _check_held(client, held)
    assert full.alive


async def test_puts_resume_by_themselves_on_an_enlarged_disk(
    fleet: Fleet, full: ServedNode, small_disk: Path
) -> None:
    """The same process takes them; a restart loses nothing either."""
    client = await fleet.client(full)
    held, _ = await _fill(client)

    _enlarge(small_disk)

    await _write_again(client)
    assert (await client.status()).accepting_writes
    await full.kill()
    await full.start()
    await _check_held(client, held)


async def test_replication_uses_the_reserve_and_loses_nothing_past_it(
    fleet: Fleet, full: ServedNode, small_disk: Path
) -> None:
    """Peers' writes arrive while they fit; the rest comes when there is room."""
    client = await fleet.client(full)
    held, _ = await _fill(client)
    roomy = fleet.nodes["roomy"]
    await roomy.start()
    await connected(full, roomy)
    elsewhere = await fleet.client(roomy)

    small = elsewhere.session()
    await small.put("small", b"fits into the reserve")
    found = await client.session(small.token).get("small", deadline=PATIENCE_SECONDS)
    assert found is not None
    for number in range(2 * RESERVE_BYTES // len(VALUE)):
        key, value = b"fill/roomy/%03d" % number, VALUE + b"%d" % number
        await elsewhere.put(key, value)
        held[key] = value
    with pytest.raises(StoreFullError):
        await client.put("refused", VALUE)
    assert (await client.get("small")) is not None
    assert full.alive

    _enlarge(small_disk)

    await converged(full, roomy)
    await _check_held(client, held)
    await _check_held(elsewhere, held)
    await _write_again(client)


async def test_objects_on_a_full_disk_refuse_and_lose_nothing(
    fleet: Fleet, small_disk: Path
) -> None:
    """Their logs meet it when they need another segment, and use the next room."""
    node = fleet.add("objects", objects=["Storage"])
    node.settings["data_directory"] = str(small_disk / "data")
    await node.start()
    room = (await fleet.client(node)).object("Storage", "room")
    kept: list[str] = []

    async def fill() -> None:
        for number in range(2 * DISK_BYTES // len(VALUE)):
            await room.put(f"{number:03}", VALUE)
            kept.append(f"{number:03}")

    with pytest.raises(StoreFullError, match="has no room") as refused:
        await fill()
    assert refused.value.outcome is Outcome.FAILED
    _enlarge(small_disk)
    await _put_when_there_is_room(room, "again")
    await node.kill()
    await node.start()

    assert len(kept) > 30
    for key in (*kept, "again"):
        assert (await room.get(key))["value"] == VALUE


async def _put_when_there_is_room(room: ObjectHandle, key: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await room.put(key, VALUE)
            except StoreFullError:
                await asyncio.sleep(0.05)
            else:
                return
