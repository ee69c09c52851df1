"""
This project's own client and nodes: one node and three, fsync and relaxed.

The client is the public one, as a user would make it, connected to one node.  In
a cluster of three, reads and writes are answered by that node alone, and the
others get the writes in the background: what was put is looked for at all three
after the measurement.  "relaxed" is there to stand beside Redis without fsync.
"""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from cluster.local.node_process import serve_command
from cluster.local.readiness import is_serving
from kvnode.client import Client, Put
from tests.benchmarks.systems.process import ServerError, ServerProcess, free_ports
from tests.benchmarks.systems.subject import Family, Read, Store, Subject

BATCH_SIZE = 1000
SHAPES = ((1, "fsync"), (3, "fsync"), (1, "relaxed"))  # nodes, durability


class Node:
    """One `kvnode serve`, which can be started again on the same data."""

    def __init__(
        self,
        name: str,
        port: int,
        directory: Path,
        *,
        peers: Mapping[str, int] | None = None,
        durability: str = "fsync",
    ) -> None:
        self.endpoint = f"127.0.0.1:{port}"
        self.data_directory = directory / "data"
        self._log = directory / "kvnode.log"
        self._config = directory / "kvnode.toml"
        self._process: ServerProcess | None = None
        addresses = [
            f"{peer}=127.0.0.1:{its_port}" for peer, its_port in (peers or {}).items()
        ]
        directory.mkdir()
        self._config.write_text(
            f'name = "{name}"\n'
            f'listen = "{self.endpoint}"\n'
            f'data_directory = "{self.data_directory}"\n'
            f"peers = {addresses}\n"
            f'durability = "{durability}"\n',
            encoding="utf-8",
        )

    @property
    def pid(self) -> int:
        """The operating system's number for the running process."""
        if self._process is None:
            msg = f"the node at {self.endpoint} is down"
            raise ServerError(msg)
        return self._process.pid

    async def start(self) -> None:
        """
        Start the process and wait until its health service says SERVING.

        Raises:
            ServerError: It ended, or did not serve within 30 s.
        """
        assert self._process is None, "a node that runs is not started"
        self._process = ServerProcess(
            serve_command(self._config),
            log=self._log,
            environment={
                name: value
                for name, value in os.environ.items()
                if not name.startswith("KVNODE_")
            },
        )
        await self._process.wait_until(partial(is_serving, self.endpoint))

    async def stop(self) -> None:
        """Ask the process to end and wait; nothing happens if it is down."""
        if self._process is not None:
            await self._process.stop()
            self._process = None

    async def kill(self) -> None:
        """End the process with SIGKILL; nothing happens if it is down."""
        if self._process is not None:
            await self._process.kill()
            self._process = None


class KvnodeStore:
    """One client connected to one node, and one to each other node."""

    def __init__(
        self, client: Client, node: Node, others: Sequence["KvnodeStore"]
    ) -> None:
        self._client = client
        self._node = node
        self._others = others

    @property
    def reads(self) -> Mapping[str, Read]:
        """A local read, the only way."""
        return {"get": self.get}

    @property
    def replicas(self) -> Sequence[Read]:
        """A read at every node."""
        return (self.get, *(other.get for other in self._others))

    @property
    def server_pids(self) -> Sequence[int]:
        """All nodes."""
        return (self._node.pid, *(other._node.pid for other in self._others))

    async def get(self, key: bytes) -> bytes | None:
        """Return the value of *key* at the node, or None."""
        found = await self._client.get(key)
        return None if found is None else found.value

    async def put(self, key: bytes, value: bytes) -> None:
        """Put one key."""
        await self._client.put(key, value)

    async def put_many(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Put all pairs in one batch."""
        await self._client.batch([Put(key, value) for key, value in pairs])


@asynccontextmanager
async def connected(
    node: Node, others: Sequence[KvnodeStore] = ()
) -> AsyncIterator[KvnodeStore]:
    """Connect a client of its own to *node*; *others* are the rest of the cluster."""
    async with Client(node.endpoint) as client:
        yield KvnodeStore(client, node, others)


@asynccontextmanager
async def _open(nodes: int, durability: str, directory: Path) -> AsyncIterator[Store]:
    ports = {f"n{i}": port for i, port in enumerate(free_ports(nodes))}
    async with AsyncExitStack() as running:
        stores: list[KvnodeStore] = []
        cluster = []
        for name, port in ports.items():
            peers = {peer: its for peer, its in ports.items() if peer != name}
            node = Node(
                name, port, directory / name, peers=peers, durability=durability
            )
            running.push_async_callback(node.stop)
            cluster.append(node)
        for node in cluster:
            await node.start()
        for node in reversed(cluster):
            store = connected(node, tuple(stores))
            stores.append(await running.enter_async_context(store))
        yield stores[-1]


def kvnode_subjects() -> list[Subject]:
    """Return this project's store in the shapes that are compared."""
    return [
        Subject(
            Family.KVNODE,
            nodes,
            durability,
            (BATCH_SIZE,),
            partial(_open, nodes, durability),
        )
        for nodes, durability in SHAPES
    ]
