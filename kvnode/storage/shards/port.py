"""What a node asks of the store of its shards' logs."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from kvnode.core.objects.events import Persist
from kvnode.core.objects.quorum_log import QuorumLog
from kvnode.types import ReplicaId


class StoredShard(NamedTuple):
    """What is durable of one shard: the promise, and the log."""

    promised: int
    log: QuorumLog


class ShardLogStore(Protocol):
    """
    The logs of one node's replicas.

    Attributes:
        replica: Who this node is to all its shards; made with the store, so that a
            node that has lost it is a stranger to them.
    """

    @property
    def replica(self) -> ReplicaId:
        """Return who this node is."""

    def load(self) -> dict[str, StoredShard]:
        """
        Return all shards by name; blocks.

        Raises:
            CorruptRecordError: A record is damaged.
        """

    def load_shard(self, name: str) -> StoredShard | None:
        """
        Return one shard, None if nothing is durable of it; blocks.

        Raises:
            CorruptRecordError: A record is damaged.
        """

    async def persist(self, turns: Mapping[str, Persist]) -> None:
        """
        Make turns of several shards durable together, one each; then return.

        Must not overlap.

        Raises:
            StoreFullError: There is no room; nothing of it has happened.
            OSError: The disk failed; nobody knows what has happened.
        """

    def close(self) -> None:
        """Release the files."""


def written(stored: StoredShard | None, persist: Persist) -> StoredShard:
    """Return what a shard is after a turn; see `Persist`."""
    log = stored.log if stored is not None else QuorumLog()
    base, entries = log.base, log.entries
    if persist.first:
        kept = max(0, persist.first - 1 - base.number)
        entries = (*entries[:kept], *persist.entries)
    if persist.base != base:
        if log.has(persist.base):
            entries = entries[persist.base.number - base.number :]
        else:
            entries = persist.entries
    return StoredShard(persist.promised, QuorumLog(persist.base, entries))
