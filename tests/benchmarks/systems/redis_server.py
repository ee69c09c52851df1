"""
Redis through redis-py's asyncio client, in two settings.

"fsync" is appendonly with appendfsync always: a write is on disk before its
answer, which is what kvnode and etcd promise.  "no fsync" keeps everything in
memory and promises nothing after a crash; it is how Redis is commonly run as a
cache, and its fastest setting.

redis-py opens one connection for each call in flight and sends each call by
itself; a pipeline is its way to join them.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from redis.asyncio import Redis

from tests.benchmarks.systems.process import (
    ServerProcess,
    accepts_connections,
    find_program,
    free_ports,
)
from tests.benchmarks.systems.subject import Family, Read, Store, Subject

SETTINGS = {
    "fsync": ("--appendonly", "yes", "--appendfsync", "always"),
    "no fsync": ("--appendonly", "no"),
}
PIPELINE_SIZES = (100, 1000)


class RedisStore:
    """One redis-py client."""

    def __init__(self, client: Redis, server_pid: int) -> None:
        self._client = client
        self._server_pid = server_pid

    @property
    def reads(self) -> Mapping[str, Read]:
        """GET, the only way."""
        return {"get": self._get}

    @property
    def replicas(self) -> Sequence[Read]:
        """There is one node."""
        return (self._get,)

    @property
    def server_pids(self) -> Sequence[int]:
        """The one server."""
        return (self._server_pid,)

    async def _get(self, key: bytes) -> bytes | None:
        value = await self._client.get(key)
        assert not isinstance(value, str), "the client decodes nothing unless told to"
        return value

    async def put(self, key: bytes, value: bytes) -> None:
        """SET *key* to *value*."""
        await self._client.set(key, value)

    async def put_many(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Send one pipeline, without MULTI."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for key, value in pairs:
                pipeline.set(key, value)
            await pipeline.execute()


@asynccontextmanager
async def _open(setting: str, directory: Path) -> AsyncIterator[Store]:
    program = find_program("redis-server")
    (port,) = free_ports(1)
    command = [program, "--bind", "127.0.0.1", "--port", str(port)]
    command += ["--dir", str(directory), "--save", "", *SETTINGS[setting]]
    server = ServerProcess(command, log=directory / "redis.log")
    try:
        await server.wait_until(partial(accepts_connections, port))
        async with Redis(host="127.0.0.1", port=port) as client:
            yield RedisStore(client, server.pid)
    finally:
        await server.stop()


def redis_subjects() -> list[Subject]:
    """Return Redis with and without fsync."""
    return [
        Subject(Family.REDIS, 1, setting, PIPELINE_SIZES, partial(_open, setting))
        for setting in SETTINGS
    ]
