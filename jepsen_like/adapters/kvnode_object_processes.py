"""
kvnode's objects on real processes, with or without network namespaces.

All as in `jepsen_like.adapters.kvnode_processes` and `kvnode_namespaces`; but nodes
serve the class of the harness, and clients call it.  Of several nodes some are named as
those that agree on who leads, the same to all.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, Final

from cluster.simulated.objects.cluster import voters_of
from jepsen_like.adapters.kvnode_namespaces import KvnodeNamespaces
from jepsen_like.adapters.kvnode_objects import (
    CLASS,
    HINTED_SHARE,
    SERVED,
    ObjectsClient,
    Points,
)
from jepsen_like.adapters.kvnode_processes import OPERATION_SECONDS, KvnodeProcesses
from kvnode.client import Client
from kvnode.errors import KvError
from kvnode.object_values import Value

SERVING_SECONDS_MAX: Final = 60.0
"""Until each shard has its first leader, on a slow machine."""

LOOK_SECONDS: Final = 0.2


class ReachedObjects:
    """Objects through a client of the library; a `TrialObjects`."""

    def __init__(self, client: Client, hint: Callable[[], str]) -> None:
        """Ask by *client*; *hint* returns where an object is to live if it is new."""
        self._client = client
        self._hint = hint

    async def call(
        self, name: str, method: str, *arguments: Value, idempotency_key: str = ""
    ) -> Value:
        """Call a method."""
        handle = self._client.object(CLASS, name, location_hint=self._hint())
        if idempotency_key:
            handle = handle.options(idempotency_key=idempotency_key)
        result: Value = await handle.call(method, *arguments)
        return result

    async def bookmark(self, name: str) -> str:
        """Return the bookmark of the present."""
        return await self._client.object(CLASS, name).bookmark()

    async def restore(self, name: str, bookmark: str) -> str:
        """Restore an object; return the bookmark that undoes it."""
        restored = await self._client.object(CLASS, name).restore(bookmark)
        return restored.undo


class ObjectProcesses(KvnodeProcesses):
    """Real nodes that host objects; a `jepsen_like.system.System`."""

    def __init__(
        self,
        nodes: Sequence[str],
        *,
        seed: int = 0,
        settings: Mapping[str, str] = MappingProxyType({}),
        **more: Any,  # noqa: ANN401 -- whatever KvnodeProcesses takes
    ) -> None:
        """Describe nodes that serve the class of the harness; see `KvnodeProcesses`."""
        served = {"objects": SERVED}
        if len(nodes) > 1:
            served["objects_voters"] = ",".join(voters_of(nodes))
        super().__init__(nodes, seed=seed, settings={**served, **settings}, **more)
        self._hints = Random(seed)  # noqa: S311 -- to be repeatable
        self._has_hints = self._hints.random() < HINTED_SHARE
        self._points: Points = {}

    @property
    def name(self) -> str:
        """What is tested."""
        return f"{super().name}, objects"

    async def set_up(self) -> None:
        """
        Start all nodes, empty, and wait until one leads each shard.

        Raises:
            TimeoutError: That takes too long.
        """
        await super().set_up()
        async with asyncio.timeout(SERVING_SECONDS_MAX):
            while not await self._is_served():  # noqa: ASYNC110 -- nothing tells of it
                await asyncio.sleep(LOOK_SECONDS)

    async def _is_served(self) -> bool:
        shards: set[str] = set()
        led: set[str] = set()
        for node in self.nodes:
            async with Client(self.cluster.endpoint(node)) as client:
                try:
                    status = await client.objects_status()
                except KvError:
                    return False
            shards.update(shard.shard for shard in status.shards)
            led.update(shard.shard for shard in status.shards if shard.is_led_here)
        return bool(shards) and led == shards

    def _hint(self) -> str:
        """Draw the region of a node, each being one of its own, or none."""
        return self._hints.choice(("", *self.nodes)) if self._has_hints else ""

    async def connect(self, process: int, node: str) -> ObjectsClient:
        """Return a client of *node*."""
        # Nodes tell each other an address that leads nowhere; this one is theirs.
        client = Client(
            self.cluster.endpoint(node), deadline=OPERATION_SECONDS, direct=True
        )
        return ObjectsClient(
            ReachedObjects(client, self._hint),
            f"{process} {node}",
            self._points,
            now=_true_millis,
            close=client.close,
        )


class ObjectNamespaces(ObjectProcesses, KvnodeNamespaces):
    """The same, each behind a cable; a `jepsen_like.system.System`."""


def _true_millis() -> int:
    return time.time_ns() // 1_000_000
