"""
What every store under measurement looks like to the workloads.

A subject is a store in one configuration.  Opening it starts its servers in a
directory of their own and connects one client; closing it ends both.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

Read = Callable[[bytes], Awaitable[bytes | None]]
"""Returns the value of a key, or None if there is none."""


class Family(StrEnum):
    """Whose store it is."""

    KVNODE = "kvnode"
    REDIS = "redis-py"
    ETCD = "aetcd"


class Store(Protocol):
    """A running store and one client connected to it."""

    @property
    def reads(self) -> Mapping[str, Read]:
        """Ways to read a key, by the name they have in the report."""

    @property
    def replicas(self) -> Sequence[Read]:
        """A read at each node at which a write must show in the end."""

    @property
    def server_pids(self) -> Sequence[int]:
        """The processes that serve it."""

    async def put(self, key: bytes, value: bytes) -> None:
        """Store *value*; return when it is as durable as the subject says."""

    async def put_many(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Store *pairs* in one round trip, as durably as `put` does."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A store in one configuration."""

    family: Family
    nodes: int
    durability: str
    batch_sizes: tuple[int, ...]  # pairs in one `put_many`
    open: Callable[[Path], AbstractAsyncContextManager[Store]]

    @property
    def name(self) -> str:
        """What the report calls it."""
        nodes = "1 node" if self.nodes == 1 else f"{self.nodes} nodes"
        return f"{self.family}, {nodes}, {self.durability}"
