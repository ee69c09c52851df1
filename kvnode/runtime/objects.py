"""
The objects of a node as a part of its process: store, authority, shards, instances.

They live beside the KV store in a directory of their own and have their own turns.  If
they end because a disk has failed, so does the node.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Self

from kvnode.api.objects_port import Call, ShardStatus
from kvnode.authority.local_authority import LocalAuthority
from kvnode.authority.port import Authority
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import Suspected
from kvnode.core.objects.messages import PeerMessage
from kvnode.core.objects.settings import ShardSettings
from kvnode.object_values import Value
from kvnode.objects.durable_object import DurableObject
from kvnode.objects.running.environment import NodeEnvironment
from kvnode.objects.running.instance import Instance
from kvnode.objects.running.object_host import SHARDS, ObjectHost
from kvnode.runtime.clock import Clock, steady_millis
from kvnode.runtime.shards.host import ShardHost
from kvnode.storage.shards.lmdb_log_store import LmdbLogStore
from kvnode.storage.shards.port import ShardLogStore
from kvnode.storage.shards.sqlite_shard_states import SqliteShardStates
from kvnode.storage.shards.state_port import ShardStates
from kvnode.types import ReplicaId

DIRECTORY = "objects"
"""Within the node's data directory."""


class Alone:
    """A transport for a node that has no peers: there is nobody to send to."""

    def send(self, peer: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Lose the message, as if the peer were gone."""


class Objects:
    """The objects of one node; an `ObjectsPort`."""

    def __init__(
        self,
        store: ShardLogStore,
        states: ShardStates,
        authority: Authority,
        classes: Mapping[str, type[DurableObject]],
        *,
        clock: Clock,
    ) -> None:
        """Put the parts together; nothing runs yet."""
        rng = Random()  # noqa: S311 -- patience and jitter
        self._store = store
        self._states = states
        self._authority = authority
        self._host = ObjectHost(
            classes, shards=SHARDS, env=self._env, now=clock, chance=rng.random
        )
        self._shards = ShardHost(
            store,
            states,
            authority,
            Alone(),
            self._host,
            settings=ShardSettings(),
            uniform=rng.randint,
            steady=steady_millis,
        )
        self._host.attach(self._shards)

    @classmethod
    def open_alone(
        cls,
        data_directory: Path,
        classes: Mapping[str, type[DurableObject]],
        *,
        clock: Clock,
        random_replica: Callable[[], ReplicaId],
        is_moved: bool,
    ) -> Self:
        """
        Open the objects of a node that has all shards to itself; blocks.

        Args:
            data_directory: The node's; theirs are in one of its own within it.
            classes: What objects are made of, by name.
            clock: The node's.
            random_replica: Draws a fresh identity.
            is_moved: See kvnode.storage.shards.lmdb_log_store.LmdbLogStore.open.

        Raises:
            KvError: A file is damaged, a copy, or in use.
            OSError: One cannot be opened.
        """
        directory = data_directory / DIRECTORY
        with ExitStack() as opened:
            store = LmdbLogStore.open(
                directory / "log", random_replica=random_replica, is_moved=is_moved
            )
            opened.callback(store.close)
            states = SqliteShardStates(directory / "state")
            opened.callback(states.close)
            authority = LocalAuthority(directory / "authority.json")
            objects = cls(store, states, authority, classes, clock=clock)
            opened.pop_all()
        return objects

    def _env(self, instance: Instance) -> NodeEnvironment:
        return NodeEnvironment(instance, self._host.call)

    # -- running -------------------------------------------------------------------

    async def run(self) -> None:
        """
        Serve until cancelled; what is being written then comes to its end.

        Raises:
            KvError: A record is damaged, or the authority cannot be written.
            OSError: The disk failed.
        """
        turns = asyncio.create_task(self._shards.run(), name="shard turns")
        founding = asyncio.create_task(self._found(), name="shards")
        try:
            both = (turns, founding)
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
            await turns
        finally:
            founding.cancel()
            self._shards.stop()
            await asyncio.wait([turns])

    async def _found(self) -> None:
        """Let the authority know of each shard, and lead it."""
        own = self._store.replica
        for shard in self._host.shards:
            if await self._authority.read(shard) is None:
                first = Configuration(1, own, (own,))
                await self._authority.swap(shard, None, first)
            self._shards.tell(shard, Suspected())

    async def close(self) -> None:
        """Release the files; `run` has ended."""
        await self._authority.close()
        self._states.close()
        self._store.close()

    # -- what the API asks for (kvnode.api.objects_port.ObjectsPort) -----------------

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes that are served, ascending."""
        return self._host.classes

    async def call(self, call: Call) -> Value:
        """Call a method; see the port."""
        return await self._host.call(*call)

    def status(self) -> tuple[ShardStatus, ...]:
        """Return what is known of the shards, by name."""
        return tuple(map(self._status_of, self._host.shards))

    def _status_of(self, shard: str) -> ShardStatus:
        replica = self._shards.replica(shard)
        return ShardStatus(
            shard,
            replica.promised,
            self._shards.leads(shard),
            replica.committed,
            self._shards.applied(shard).number,
            self._host.instances(shard),
        )
