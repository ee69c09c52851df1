"""The logs of shards in memory: what a simulated machine has for a disk."""

from collections.abc import Mapping

from kvnode.core.objects.events import Persist
from kvnode.core.objects.quorum_log import QuorumLog
from kvnode.storage.shards.port import StoredShard, written
from kvnode.types import ReplicaId


class MemoryLogStore:
    """See kvnode.storage.shards.port.ShardLogStore."""

    def __init__(self, replica: ReplicaId) -> None:
        self._replica = replica
        self._shards: dict[str, StoredShard] = {}

    @property
    def replica(self) -> ReplicaId:
        """Return who this node is."""
        return self._replica

    def load(self) -> dict[str, StoredShard]:
        """Return all shards by name."""
        return {name: _copy(stored) for name, stored in self._shards.items()}

    def load_shard(self, name: str) -> StoredShard | None:
        """Return one shard, None if there is nothing of it."""
        stored = self._shards.get(name)
        return None if stored is None else _copy(stored)

    async def persist(self, turns: Mapping[str, Persist]) -> None:
        """Make turns durable."""
        for name, turn in turns.items():
            self._shards[name] = written(self._shards.get(name), turn)

    def close(self) -> None:
        """Do nothing: what is here stays."""


def _copy(stored: StoredShard) -> StoredShard:
    """Return the same with a log of its own."""
    log = stored.log
    return StoredShard(stored.promised, QuorumLog(log.base, log.entries))
