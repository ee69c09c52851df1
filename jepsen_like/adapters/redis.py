"""Redis: a primary with an asynchronous replica, which is promoted by hand."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from jepsen_like.adapters.supervisor import HOST, Supervisor, free_ports
from jepsen_like.history.operation import Key, Value
from jepsen_like.nemesis.faults import Fault
from jepsen_like.system import Answer, FailedError


class RedisClient(NamedTuple):
    """Asks whoever is the primary; each operation has a connection of its own."""

    system: "RedisSystem"

    async def invoke(self, f: str, key: Key, argument: Value) -> Answer:
        """Write, or else read; any error of a write leaves it in doubt."""
        async with self.system.redis(self.system.primary) as redis:
            if f == "write":
                await redis.set(str(key), json.dumps(argument))
                return Answer()
            try:
                found = await redis.get(str(key))
            except (RedisError, OSError) as error:  # it has changed nothing
                raise FailedError(str(error)) from error
            return Answer(json.loads(found) if found else None)

    async def close(self) -> None:
        """Nothing is left open."""


class RedisSystem(Supervisor):
    """Two nodes, the first of them the primary until it is killed."""

    title, node_count = "Redis", 2
    primary = replica = ""

    def redis(self, node: str) -> Redis:
        """Return a client of *node* that tries everything once."""
        return Redis(host=HOST, port=self.port(node), retry=Retry(NoBackoff(), 0))

    async def set_up(self) -> None:
        """Start both; return when the replica follows the primary."""
        self.primary, self.replica = self.nodes
        for node, port in free_ports(self.nodes).items():
            command = f"redis-server --bind {HOST} --port {port}"
            command += " --repl-diskless-sync-delay 0"
            self.add(node, command.split(), port)
        await self.start(self.nodes)
        async with self.redis(self.primary) as redis:
            await redis.wait(1, 2_000)  # ms, for one replica

    async def start(self, nodes: Sequence[str]) -> None:
        """Start those of *nodes* that are down; the replica follows the primary."""
        await super().start(nodes)
        if self.replica in nodes:
            way = await self.way(self.replica, self.primary, self.port(self.primary))
            async with self.redis(self.replica) as redis:
                await redis.replicaof(HOST, way)

    async def connect(self, process: int, node: str) -> RedisClient:
        """Return a client, which asks the primary, not *node*."""
        del process, node
        return RedisClient(self)

    async def inject(self, fault: Fault) -> None:
        """Do *fault*; if the primary is down then, promote the replica."""
        await super().inject(fault)
        if not self.alive(self.primary) and self.alive(self.replica):
            self.primary, self.replica = self.replica, self.primary
            async with self.redis(self.primary) as redis:
                await redis.replicaof("NO", "ONE")
