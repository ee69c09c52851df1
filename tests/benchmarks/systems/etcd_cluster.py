"""
etcd through aetcd, one node and three, with fsync on (etcd's default).

The client talks to the leader, which is etcd's best case: a follower would pass
every write on.  Reads are measured both ways: linearizable, which is the default
and asks a quorum, and serializable, which one node answers from what it has and
is therefore the like of a kvnode read.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import aetcd

from tests.benchmarks.systems.process import ServerProcess, find_program, free_ports
from tests.benchmarks.systems.subject import Family, Read, Store, Subject

TRANSACTION_PUTS = 100  # etcd refuses more than 128 operations by default


class EtcdStore:
    """One aetcd client."""

    def __init__(self, client: aetcd.Client, server_pids: Sequence[int]) -> None:
        self._client = client
        self._server_pids = server_pids

    @property
    def reads(self) -> Mapping[str, Read]:
        """Both consistencies that etcd offers."""
        return {"get": self._get, "get (serializable)": self._get_serializable}

    @property
    def replicas(self) -> Sequence[Read]:
        """A linearizable read sees what any node would show."""
        return (self._get,)

    @property
    def server_pids(self) -> Sequence[int]:
        """All members."""
        return self._server_pids

    async def _get(self, key: bytes) -> bytes | None:
        found = await self._client.get(key)
        return None if found is None else bytes(found.value)

    async def _get_serializable(self, key: bytes) -> bytes | None:
        found = await self._client.get(key, serializable=True)
        return None if found is None else bytes(found.value)

    async def put(self, key: bytes, value: bytes) -> None:
        """Put one key."""
        await self._client.put(key, value)

    async def put_many(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Put all pairs in one transaction."""
        puts = [self._client.transactions.put(key, value) for key, value in pairs]
        applied, _ = await self._client.transaction(
            compare=[], success=puts, failure=[]
        )
        assert applied, "a transaction without conditions always applies"


async def _leader_name(port: int) -> str:
    async with aetcd.Client(host="127.0.0.1", port=port) as client:
        status = await client.status()
        return str(status.leader.name)


async def _has_leader(port: int) -> bool:
    try:
        async with aetcd.Client(host="127.0.0.1", port=port, timeout=1) as client:
            await client.get(b"any")
    except aetcd.ClientError:
        return False
    return True


@asynccontextmanager
async def _open(nodes: int, directory: Path) -> AsyncIterator[Store]:
    program = find_program("etcd")
    ports = free_ports(2 * nodes)
    client_ports, peer_ports = ports[:nodes], ports[nodes:]
    peers = [f"http://127.0.0.1:{port}" for port in peer_ports]
    names = [f"n{i}" for i in range(nodes)]
    members = ",".join(f"{n}={url}" for n, url in zip(names, peers, strict=True))
    async with AsyncExitStack() as running:
        servers = []
        for name, port, peer in zip(names, client_ports, peers, strict=True):
            url = f"http://127.0.0.1:{port}"
            command = [program, "--name", name]
            command += ["--data-dir", str(directory / name)]
            command += ["--listen-client-urls", url, "--advertise-client-urls", url]
            command += ["--listen-peer-urls", peer]
            command += ["--initial-advertise-peer-urls", peer]
            command += ["--initial-cluster", members]
            server = ServerProcess(command, log=directory / f"{name}.log")
            running.push_async_callback(server.stop)
            servers.append(server)
        for server, port in zip(servers, client_ports, strict=True):
            await server.wait_until(partial(_has_leader, port))
        leader = names.index(await _leader_name(client_ports[0]))
        client = aetcd.Client(host="127.0.0.1", port=client_ports[leader])
        await running.enter_async_context(client)
        yield EtcdStore(client, [server.pid for server in servers])


def etcd_subjects() -> list[Subject]:
    """Return etcd with one node and with three."""
    batches = (TRANSACTION_PUTS,)
    return [
        Subject(Family.ETCD, nodes, "fsync", batches, partial(_open, nodes))
        for nodes in (1, 3)
    ]
