"""
Stopping and starting: nothing is lost, nothing is used twice, size hardly matters.

RESTART_TEST_KEYS asks for more keys than the 50,000 that are put by default.
"""

import asyncio
import os
from time import monotonic

import pytest

from kvnode.client import NodeStatus, Put
from tests.system.history import Ended, History, ending
from tests.system.nodes import Fleet, ServedNode, connected, everything

pytestmark = pytest.mark.system

KEYS_FEW = 1_000
KEYS = int(os.environ.get("RESTART_TEST_KEYS", "50000"))
KEYS_PER_BATCH = 1_000
WRITERS = 8
MIB = 1 << 20


async def _fill(node: ServedNode, first: int, last: int) -> None:
    """Put the keys *first* up to, not including, *last*."""
    async with node.client(deadline=60.0) as client:
        for start in range(first, last, KEYS_PER_BATCH):
            numbers = range(start, min(start + KEYS_PER_BATCH, last))
            await client.batch([Put(f"key/{n:08}", f"value {n}") for n in numbers])


async def _restart(node: ServedNode) -> tuple[float, int]:
    """Restart *node*; return how many seconds it took and its own memory."""
    assert await node.stop() == 0
    began = monotonic()
    await node.start()
    return monotonic() - began, node.own_bytes


def _own_newest(status: NodeStatus) -> int:
    """Return the newest seq that the node itself has given."""
    return max(e.newest for e in status.clock if e.replica == status.replica)


async def test_restart_does_not_grow_with_the_store(node: ServedNode) -> None:
    """A start reads no entries: neither its time nor its memory shows how many."""
    await _fill(node, 0, KEYS_FEW)
    seconds_few, bytes_few = await _restart(node)

    await _fill(node, KEYS_FEW, KEYS)
    seconds_many, bytes_many = await _restart(node)

    print(f"{KEYS_FEW:,} keys: {seconds_few:.2f} s, {bytes_few / MIB:.0f} MiB")  # noqa: T201 -- the figures are worth a look
    print(f"{KEYS:,} keys: {seconds_many:.2f} s, {bytes_many / MIB:.0f} MiB")  # noqa: T201 -- the same
    assert bytes_many - bytes_few < 30 * MIB
    assert seconds_many < 2 * seconds_few + 1.0
    async with node.client() as client:
        assert (await client.digest(deadline=60.0)).live_count == KEYS


async def test_orderly_stop_under_load_loses_nothing_that_was_told(
    fleet: Fleet, node: ServedNode
) -> None:
    """SIGTERM amid writes: the process ends with 0 and keeps what it acknowledged."""
    client = await fleet.client(node, deadline=2.0)
    histories = [History() for _ in range(WRITERS)]

    async def write(number: int) -> None:
        ended, value = Ended.ACKNOWLEDGED, 0
        while ended is Ended.ACKNOWLEDGED:
            value += 1
            state = b"%d" % value
            ended = await ending(client.put(f"key/{number}", state))
            histories[number].note(state, ended)

    writers = [asyncio.create_task(write(number)) for number in range(WRITERS)]
    await asyncio.sleep(0.3)

    assert await node.stop() == 0
    await asyncio.gather(*writers)
    await node.start()

    assert sum(history.count(Ended.ACKNOWLEDGED) for history in histories) > WRITERS
    held = await everything(node)
    for number, history in enumerate(histories):
        assert held[b"key/%d" % number].value in history.allowed()


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_no_stamp_is_used_twice_across_restarts(
    node: ServedNode, way: str
) -> None:
    """Sequence numbers and timestamps only grow, however the process ended."""
    stamps: list[tuple[int, int]] = []
    replicas = set()
    for round_number in range(3):
        async with node.client() as client:
            for number in range(20):
                written = await client.put(f"key/{number}", f"round {round_number}")
                found = await client.get(f"key/{number}")
                assert found is not None
                assert found.version == written.version
                stamps.append((int(written.version.partition("@")[0]), found.hlc))
            status = await client.status()
        replicas.add(status.replica)
        assert _own_newest(status) == stamps[-1][0]
        assert status.hlc >= stamps[-1][1]
        await (node.stop() if way == "stop" else node.kill())
        await node.start()

    seqs, hlcs = [s for s, _ in stamps], [h for _, h in stamps]
    assert seqs == sorted(set(seqs))
    assert hlcs == sorted(set(hlcs))
    assert len(replicas) == 1


async def test_second_process_on_a_data_directory_is_refused(
    fleet: Fleet, node: ServedNode
) -> None:
    """Two writers in one store would destroy it; the second says who is there."""
    intruder = fleet.add("intruder")
    intruder.settings["data_directory"] = str(node.data_directory)
    intruder.spawn()

    assert await intruder.ended() != 0

    assert "in use" in intruder.log
    client = await fleet.client(node)
    assert (await client.put("k", b"v")).applied


async def test_settings_that_are_wrong_stop_the_start_with_the_reason(
    fleet: Fleet,
) -> None:
    """The message names the setting and its source."""
    node = fleet.add("wrong", durability="sometimes")
    node.spawn()

    assert await node.ended() != 0

    assert "durability" in node.log
    assert "Traceback" not in node.log


async def test_write_is_elsewhere_when_its_node_has_stopped(fleet: Fleet) -> None:
    """Whoever is told that it was stored may take the machine away."""
    a, b = fleet.add_peers("a", "b", link_delay_ms=300)
    await fleet.start([a, b])
    await connected(a, b)
    here, there = await fleet.client(a), await fleet.client(b)

    await here.put("k", b"v")
    await a.stop()

    found = await there.get("k")
    assert found is not None
    assert found.value == b"v"
