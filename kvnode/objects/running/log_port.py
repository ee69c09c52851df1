"""What running objects ask of the host of shards."""

import asyncio
from typing import Protocol

from kvnode.core.objects.state_reader import Row, StateReader


class ShardLog(Protocol):
    """The shards that are here."""

    def propose(self, shard: str, data: bytes) -> "asyncio.Future[int]":
        """
        Append an entry; return what has its number once it is committed.

        Entries are appended in the order of the calls.  What is refused on the spot
        has failed already when this returns, so that nothing is proposed behind it.

        It fails with:
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

    def hurry(self, shard: str) -> None:
        """Let what is committed show in the state soon: somebody waits for it."""

    def state(self, shard: str) -> StateReader:
        """
        Return what the entries that were applied have done.

        To be read at once: after a failure of the disk it is another.

        Raises:
            UnavailableError: It is not there.
        """


async def confirmed(log: ShardLog, shard: str) -> None:
    """
    Return once all that was committed by anybody before is known here.

    Raises:
        UnavailableError: This node does not lead *shard*.
    """
    if not log.has_lease(shard):
        await log.confirm(shard)


class LoggedState:
    """What the entries of a shard have done; whichever object has it just now."""

    def __init__(self, log: ShardLog, shard: str) -> None:
        self._log = log
        self._shard = shard

    def get(self, key: bytes) -> bytes | None:
        """Return the value of *key*, None if there is none."""
        return self._log.state(self._shard).get(key)

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False, limit: int
    ) -> list[Row]:
        """Return the first *limit* rows of [start, end), or the last if *reverse*."""
        state = self._log.state(self._shard)
        return state.scan(start, end, reverse=reverse, limit=limit)
