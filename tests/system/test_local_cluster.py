"""A cluster of real processes: started, harmed and brought back."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from cluster.convergence import wait_until_equal
from cluster.errors import NodeStartError
from cluster.local import node_process
from cluster.local.node_process import ProcessState
from cluster.processes import HOST, ProcessCluster
from cluster.topology import THREE_CITIES, Site, Topology
from kvnode.client import Client

pytestmark = pytest.mark.system

NEAR = THREE_CITIES.scaled(0.1)
SETTLE_SECONDS = 20.0


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state directory of a cluster that runs while these tests do."""
    path = tmp_path_factory.mktemp("cluster")
    cluster = ProcessCluster.create(path, NEAR)
    try:
        asyncio.run(cluster.start())
        yield path
    finally:
        asyncio.run(cluster.erase())


@pytest.fixture
async def cluster(directory: Path) -> AsyncIterator[ProcessCluster]:
    """The cluster with every node running and every link open, before and after."""
    cluster = ProcessCluster(directory)
    yield cluster
    await cluster.resume()
    await cluster.start()
    await cluster.heal()


def pids(cluster: ProcessCluster) -> dict[str, int]:
    """Return the process ids of the nodes that live."""
    found = {name: cluster.process(name) for name in cluster.topology.names}
    return {name: process.pid for name, process in found.items() if process}


async def wait_for_value(cluster: ProcessCluster, name: str, key: str) -> bytes:
    """Return what the node holds under *key*, as soon as it holds something."""
    async with (
        asyncio.timeout(SETTLE_SECONDS),
        Client(cluster.endpoint(name)) as client,
    ):
        async for step in client.watch(key, from_start=True):
            for change in step.changes:
                if change.value:
                    return change.value.value
    pytest.fail("the watch ended by itself")


async def test_start_leaves_running_nodes_alone(cluster: ProcessCluster) -> None:
    """`up` can be repeated."""
    before = pids(cluster)

    await cluster.start()

    assert len(before) == 3
    assert pids(cluster) == before


async def test_killed_node_comes_back_with_its_data(cluster: ProcessCluster) -> None:
    """What was acknowledged before SIGKILL is there after the restart."""
    async with Client(cluster.endpoint("virginia")) as client:
        await client.put("before-kill", "kept")
    survivors = pids(cluster)

    await cluster.kill("virginia")
    assert cluster.state("virginia") is ProcessState.DOWN
    await cluster.start()

    after = pids(cluster)
    assert after["virginia"] != survivors.pop("virginia")
    assert survivors.items() <= after.items()
    async with Client(cluster.endpoint("virginia")) as client:
        found = await client.get("before-kill")
    assert found is not None
    assert found.value == b"kept"


async def test_paused_node_is_silent_and_catches_up(cluster: ProcessCluster) -> None:
    """A frozen process misses writes; resumed, it learns of them."""
    await cluster.pause("frankfurt")
    assert cluster.state("frankfurt") is ProcessState.PAUSED
    async with Client(cluster.endpoint("tokyo")) as client:
        await client.put("during-pause", "seen")

    await cluster.resume("frankfurt")

    assert cluster.state("frankfurt") is ProcessState.RUNNING
    assert await wait_for_value(cluster, "frankfurt", "during-pause") == b"seen"


async def test_partition_stops_replication_until_it_is_healed(
    cluster: ProcessCluster,
) -> None:
    """A cut holds even through the restart of one side, and heals without one."""
    await cluster.partition([["tokyo"]])
    await cluster.stop("tokyo")
    await cluster.start("tokyo")
    async with (
        Client(cluster.endpoint("tokyo")) as tokyo,
        Client(cluster.endpoint("virginia")) as virginia,
    ):
        await tokyo.put("across-cut", "hidden")
        await virginia.put("within-side", "shown")
        assert await wait_for_value(cluster, "frankfurt", "within-side") == b"shown"
        assert await virginia.get("across-cut") is None
        assert await tokyo.get("within-side") is None

        await cluster.heal()

        assert await wait_for_value(cluster, "virginia", "across-cut") == b"hidden"
        assert await wait_for_value(cluster, "tokyo", "within-side") == b"shown"


async def test_nodes_agree_once_writes_have_ended(cluster: ProcessCluster) -> None:
    """Equal clocks and equal digests, whatever came before."""
    clients = {name: Client(cluster.endpoint(name)) for name in NEAR.names}
    try:
        for name, client in clients.items():
            await client.put("written-everywhere", name)
        agreement = await wait_until_equal(
            {name: client.digest for name, client in clients.items()}, SETTLE_SECONDS
        )
        assert agreement.digest.live_count > 0
    finally:
        for client in clients.values():
            await client.close()


async def test_node_that_cannot_start_is_reported_with_its_log(tmp_path: Path) -> None:
    """The reason is in the message: nobody has to look for the log."""
    cluster = ProcessCluster.create(tmp_path, Topology((Site("solo", "here"),), ()))
    port = int(cluster.endpoint("solo").rpartition(":")[2])
    with socket.socket() as taken:
        taken.bind((HOST, port))
        taken.listen()

        with pytest.raises(NodeStartError, match=r"(?s)solo ended.*cannot listen"):
            await cluster.start()

    assert cluster.state("solo") is ProcessState.DOWN


def test_process_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    """After the grace nothing is left, and no zombie either."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    program = f"{deaf}; print('deaf', flush=True); time.sleep(60)"
    log_file, process_file = tmp_path / "node.log", tmp_path / "process.json"
    config_file = tmp_path / "node.toml"
    command = [sys.executable, "-c", program, f"--config={config_file}"]
    spawned = node_process.spawn(command, log_file)
    node_process.remember(spawned, process_file)
    process = node_process.find(process_file, config_file)
    assert process is not None
    while not log_file.read_text():
        assert process.is_running()

    node_process.end([process], grace_seconds=0.1)

    assert not psutil.pid_exists(spawned.pid)
    assert node_process.find(process_file, config_file) is None
