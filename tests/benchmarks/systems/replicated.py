"""
What stores that replicate look like to the propagation section.

All of them accept writes at one node here, and every other node tells by itself,
without being asked again and again, when a write has become visible there.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from redis.asyncio import BlockingConnectionPool, Redis

from cluster.processes import ProcessCluster
from kvnode.client import Client
from tests.benchmarks.systems.local_nodes import (
    Load,
    converge,
    load_client,
    local_nodes,
    pid_of,
)
from tests.benchmarks.systems.process import (
    ServerError,
    ServerProcess,
    accepts_connections,
    find_program,
    free_ports,
)
from tests.benchmarks.systems.redis_server import SETTINGS
from tests.benchmarks.systems.subject import Family

REDIS_REPLICAS = 2
REDIS_CONNECTIONS = 64
"""As many calls in flight as the other sections' busy rows; more of them wait."""

Arrivals = AsyncIterator[Sequence[bytes]]
"""Keys as they become visible; the first step, maybe empty, says that it stands."""


class ReplicatedStore(Protocol):
    """One node that is written to, and others that follow."""

    @property
    def pids(self) -> Mapping[str, int]:
        """The server processes by name, the one that is written to first."""

    @property
    def followers(self) -> Sequence[str]:
        """The names of the others."""

    async def put(self, key: bytes, value: bytes) -> None:
        """Store *value*; return when it is durable where it was written."""

    def arrivals(self, follower: str, prefix: bytes) -> Arrivals:
        """Yield the keys with *prefix* that become visible there from now on."""

    async def converge(self) -> None:
        """Wait until all hold the same; raise if they never do."""


@dataclass(frozen=True, slots=True)
class Replicated:
    """A replicating store in one configuration, to be opened."""

    family: Family
    name: str
    open: Callable[[Path], AbstractAsyncContextManager[ReplicatedStore]]


class KvnodeReplicated:
    """Three nodes, of which the first is written to."""

    def __init__(self, cluster: ProcessCluster, clients: Mapping[str, Client]) -> None:
        self._cluster = cluster
        self._clients = clients
        self._origin, *self._followers = cluster.topology.names

    @property
    def pids(self) -> Mapping[str, int]:
        """One process a node."""
        return {name: pid_of(self._cluster, name) for name in self._clients}

    @property
    def followers(self) -> Sequence[str]:
        """All nodes but the first."""
        return self._followers

    async def put(self, key: bytes, value: bytes) -> None:
        """Put one key at the first node."""
        await self._clients[self._origin].put(key, value)

    async def arrivals(self, follower: str, prefix: bytes) -> Arrivals:
        """Watch the node."""
        async for step in self._clients[follower].watch(prefix):
            yield [change.key for change in step.changes]

    async def converge(self) -> None:
        """Compare clocks and digests."""
        await converge(self._cluster, self._cluster.topology.names)


@asynccontextmanager
async def _open_kvnode(load: Load, directory: Path) -> AsyncIterator[ReplicatedStore]:
    async with local_nodes(directory, load.three_sites) as cluster:
        clients = {name: load_client(cluster, name) for name in cluster.topology.names}
        try:
            yield KvnodeReplicated(cluster, clients)
        finally:
            for client in clients.values():
                await client.close()


class RedisReplicated:
    """A primary and its replicas, which are told of keys by keyspace events."""

    def __init__(
        self, servers: Mapping[str, ServerProcess], clients: Mapping[str, Redis]
    ) -> None:
        self._servers = servers
        self._clients = clients
        self._primary, *self._followers = clients

    @property
    def pids(self) -> Mapping[str, int]:
        """One process a server."""
        return {name: server.pid for name, server in self._servers.items()}

    @property
    def followers(self) -> Sequence[str]:
        """The replicas."""
        return self._followers

    async def put(self, key: bytes, value: bytes) -> None:
        """SET at the primary; WAIT for nobody."""
        await self._clients[self._primary].set(key, value)

    async def arrivals(self, follower: str, prefix: bytes) -> Arrivals:
        """Subscribe to the replica's keyspace events."""
        channel = b"__keyspace@0__:"
        async with self._clients[follower].pubsub() as subscription:
            await subscription.psubscribe(channel + prefix + b"*")
            async for message in subscription.listen():
                told = message["type"] == "pmessage"
                yield [message["channel"][len(channel) :]] if told else []

    async def converge(self) -> None:
        """Wait until the replicas have acknowledged all, and count the keys."""
        primary = self._clients[self._primary]
        acknowledged = await primary.wait(len(self._followers), 10_000)
        counts = [await client.dbsize() for client in self._clients.values()]
        if acknowledged < len(self._followers) or len(set(counts)) > 1:
            msg = f"{acknowledged} replicas acknowledged; they hold {counts} keys"
            raise ServerError(msg)


@asynccontextmanager
async def _open_redis(setting: str, directory: Path) -> AsyncIterator[ReplicatedStore]:
    program = find_program("redis-server")
    ports = free_ports(1 + REDIS_REPLICAS)
    names = ["primary", *(f"replica {n}" for n in range(1, 1 + REDIS_REPLICAS))]
    servers: dict[str, ServerProcess] = {}
    clients: dict[str, Redis] = {}
    try:
        for name, port in zip(names, ports, strict=True):
            home = directory / name
            home.mkdir()
            command = [program, "--bind", "127.0.0.1", "--port", str(port)]
            command += ["--dir", str(home), "--save", "", *SETTINGS[setting]]
            command += ["--notify-keyspace-events", "K$", "--repl-diskless-sync-delay"]
            command += ["0"]
            if name != names[0]:
                command += ["--replicaof", f"127.0.0.1 {ports[0]}"]
            servers[name] = ServerProcess(command, log=home / "redis.log")
            await servers[name].wait_until(partial(accepts_connections, port))
            clients[name] = Redis(
                connection_pool=BlockingConnectionPool(
                    REDIS_CONNECTIONS, host="127.0.0.1", port=port, timeout=None
                )
            )
        for name in names[1:]:
            await servers[name].wait_until(partial(_is_linked, clients[name]))
        yield RedisReplicated(servers, clients)
    finally:
        for client in clients.values():
            await client.aclose(close_connection_pool=True)
        for server in reversed(servers.values()):
            await server.stop()


async def _is_linked(replica: Redis) -> bool:
    status: Mapping[str, object] = await replica.info("replication")
    return status["master_link_status"] == "up"


def replicated_stores(load: Load) -> list[Replicated]:
    """Return what is compared: three nodes of ours, and Redis in two settings."""
    ours = Replicated(
        Family.KVNODE, f"kvnode, {load.place}, fsync", partial(_open_kvnode, load)
    )
    if load.has_distances:
        return [ours]  # nothing emulates them for Redis
    return [
        ours,
        *(
            Replicated(Family.REDIS, f"Redis, {setting}", partial(_open_redis, setting))
            for setting in SETTINGS
        ),
    ]
