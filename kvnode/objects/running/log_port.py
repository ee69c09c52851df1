"""What running objects ask of the host of shards."""

from typing import Protocol

from kvnode.core.objects.state_reader import StateReader


class ShardLog(Protocol):
    """The shards that are here."""

    async def propose(self, shard: str, data: bytes) -> int:
        """
        Append an entry; return its number once it is committed.

        Raises:
            UnavailableError: This node does not lead; nothing has happened.
            OverloadedError: Too many wait; nothing has happened.
            StoreFullError: No room; nothing has happened.
            IndeterminateError: The lead was lost; it may be committed all the same.
        """

    async def confirm(self, shard: str) -> None:
        """
        Return once a majority has confirmed that this node leads, after the call.

        Raises:
            UnavailableError: It does not.
        """

    def has_lease(self, shard: str) -> bool:
        """Tell whether a reply may leave now without a `confirm`."""

    def state(self, shard: str) -> StateReader:
        """Return what the entries that were applied have done."""
