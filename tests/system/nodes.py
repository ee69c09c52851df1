"""
Real nodes for tests: processes of `kvnode serve`, harmed and asked as a test likes.

Each has a settings file, a data directory and a log of its own in a temporary
directory, and listens on a free port of 127.0.0.1.  Only processes that were
started here are ever signalled, and all of them are gone when the test ends.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from zlib import crc32

import psutil

from cluster.convergence import Agreement, wait_until_equal
from cluster.local import node_process
from cluster.local.installation import Installation
from cluster.local.readiness import wait_serving
from cluster.processes import HOST, as_toml, free_ports
from kvnode.client import Client, Item

START_SECONDS = 60.0
STOP_SECONDS = 20.0
CONVERGED_SECONDS = 60.0
"""Far more than replication takes: only a fault makes a test wait so long."""

LOG_TAIL_CHARS = 4000


class ServedNode:
    """One node; its data outlives its processes."""

    def __init__(
        self, name: str, home: Path, port: int, settings: Mapping[str, object]
    ) -> None:
        self.name = name
        self.home = home
        self.endpoint = f"{HOST}:{port}"
        self.data_directory = home / "data"
        self.settings: dict[str, object] = {
            "name": name,
            "listen": self.endpoint,
            "data_directory": str(self.data_directory),
            # One left over from another test may dial this one's port.
            "cluster": f"test-{crc32(str(home.parent).encode()):08x}",
            "fault_injection": True,
            **settings,
        }
        self.installation: Installation | None = None
        self._process: psutil.Process | None = None

    @property
    def log(self) -> str:
        """All that the node has written, over all its runs."""
        file = self.home / "node.log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    @property
    def alive(self) -> bool:
        """Tell whether the process runs."""
        process = self._process
        with suppress(psutil.NoSuchProcess):
            return (
                process is not None
                and process.is_running()
                and process.status() != psutil.STATUS_ZOMBIE
            )
        return False

    @property
    def own_bytes(self) -> int:
        """
        Memory that would be free if the process ended.

        Pages of the mapped store count: nobody else has them mapped.
        """
        assert self._process is not None, "the node was started"
        return int(self._process.memory_full_info().uss)

    def spawn(self) -> None:
        """Start the process; see `serving`."""
        assert not self.alive, f"{self.name} is not started twice"
        self.home.mkdir(parents=True, exist_ok=True)
        config_file = self.home / "node.toml"
        config_file.write_text(as_toml(self.settings), encoding="utf-8")
        command = (
            node_process.serve_command(config_file)
            if self.installation is None
            else self.installation.serve_command(config_file)
        )
        started = node_process.spawn(command, self.home / "node.log")
        self._process = psutil.Process(started.pid)

    async def serving(self) -> None:
        """Wait until the node answers."""
        up = await wait_serving(self.endpoint, lambda: self.alive, START_SECONDS)
        assert up, f"{self.name} did not start:\n{self.log[-LOG_TAIL_CHARS:]}"

    async def start(self) -> None:
        """Start the process and wait until it answers."""
        self.spawn()
        await self.serving()

    async def kill(self) -> None:
        """End the process with SIGKILL; return when it is gone."""
        assert self._process is not None, "the node was started"
        self._process.kill()
        await self.ended()

    def pause(self) -> None:
        """Freeze the process where it is, with SIGSTOP."""
        assert self._process is not None, "the node was started"
        self._process.suspend()

    def resume(self) -> None:
        """Let the frozen process go on."""
        assert self._process is not None, "the node was started"
        self._process.resume()

    async def stop(self) -> int:
        """Ask the process to end with SIGTERM; return its exit code."""
        assert self._process is not None, "the node was started"
        self._process.terminate()
        return await self.ended()

    async def ended(self) -> int:
        """Wait until the process is gone; return its exit code."""
        assert self._process is not None, "the node was started"
        code = await asyncio.to_thread(self._process.wait, STOP_SECONDS)
        return int(code)

    def end(self) -> None:
        """Make sure that nothing is left of the process."""
        if self._process is not None:
            with suppress(psutil.NoSuchProcess):
                self._process.kill()
            with suppress(psutil.NoSuchProcess):
                self._process.wait(STOP_SECONDS)

    def client(self, *, deadline: float = 10.0) -> Client:
        """Return a client of this node alone."""
        return Client(self.endpoint, deadline=deadline)


class Fleet:
    """The nodes of one test, and the clients it keeps open until its end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.nodes: dict[str, ServedNode] = {}
        self._clients = AsyncExitStack()

    def add(self, name: str, **settings: object) -> ServedNode:
        """Describe one more node, with no peers unless *settings* name them."""
        (port,) = free_ports([name], None).values()
        return self._place(name, port, settings)

    def add_peers(
        self,
        *names: str,
        regions: Mapping[str, str] | None = None,
        link_delay_ms: int = 0,
        **settings: object,
    ) -> list[ServedNode]:
        """Describe nodes that know each other."""
        ports = free_ports(names, None)
        return [
            self._place(
                name,
                ports[name],
                {
                    "peers": [f"{n}={HOST}:{ports[n]}" for n in names if n != name],
                    "region": (regions or {}).get(name, ""),
                    "link_delays_ms": {n: link_delay_ms for n in names if n != name},
                    **settings,
                },
            )
            for name in names
        ]

    def _place(
        self, name: str, port: int, settings: Mapping[str, object]
    ) -> ServedNode:
        assert name not in self.nodes, f"{name} is one node"
        node = ServedNode(name, self.directory / name, port, settings)
        self.nodes[name] = node
        return node

    async def start(self, nodes: Iterable[ServedNode]) -> None:
        """Start *nodes* side by side."""
        chosen = list(nodes)
        for node in chosen:
            node.spawn()
        for node in chosen:
            await node.serving()

    async def client(self, node: ServedNode, *, deadline: float = 10.0) -> Client:
        """Return a client of *node* alone that the fleet closes."""
        return await self._clients.enter_async_context(node.client(deadline=deadline))

    async def close(self) -> None:
        """Close the clients and end all processes."""
        try:
            await self._clients.aclose()
        finally:
            self.end()

    def end(self) -> None:
        """End all processes."""
        for node in self.nodes.values():
            node.end()


async def started_trio(fleet: Fleet) -> list[ServedNode]:
    """Start three nodes of *fleet*, each in a region of its own; all are connected."""
    nodes = fleet.add_peers(
        "a", "b", "c", regions={"a": "asia", "b": "europe", "c": "america"}
    )
    await fleet.start(nodes)
    await connected(*nodes)
    return nodes


async def converged(*nodes: ServedNode) -> Agreement:
    """Wait until *nodes* cover the same writes and hold the same entries."""
    async with AsyncExitStack() as clients:
        asks = {
            node.name: (await clients.enter_async_context(node.client())).digest
            for node in nodes
        }
        return await wait_until_equal(asks, CONVERGED_SECONDS)


async def connected(*nodes: ServedNode) -> None:
    """Wait until each of *nodes* has a connection to every other one."""
    names = {node.name for node in nodes}
    for node in nodes:
        async with node.client() as client, asyncio.timeout(CONVERGED_SECONDS):
            others = names - {node.name}
            while others:
                status = await client.status()
                others -= {peer.name for peer in status.peers if peer.connected}
                if others:
                    await asyncio.sleep(0.05)


async def logged(text: str, *nodes: ServedNode) -> None:
    """Wait until each of *nodes* has written *text* into its log."""
    async with asyncio.timeout(CONVERGED_SECONDS):
        for node in nodes:
            while True:
                if text in node.log:
                    break
                await asyncio.sleep(0.05)


async def cut_off(
    node: ServedNode, others: Sequence[ServedNode], *, blocked: bool = True
) -> None:
    """Cut *node* off from *others*, at both ends of each link, or heal that."""
    for other in others:
        for end, peer in ((node, other), (other, node)):
            async with end.client() as client:
                await client.set_link(peer.name, blocked=blocked)


async def everything(node: ServedNode) -> dict[bytes, Item]:
    """Return all that a full scan of *node* shows, with values."""
    async with node.client(deadline=60.0) as client:
        return {item.key: item async for item in client.scan(values=True)}
