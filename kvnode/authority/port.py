"""What is asked of an authority, whichever it is."""

from typing import Protocol

from kvnode.core.objects.configuration import Configuration


class Authority(Protocol):
    """
    A linearizable register for each shard.

    Every method may raise:
        UnavailableError: It cannot be reached; nothing has happened.
        IndeterminateError: What was asked for may have happened, or may still happen.
        CorruptRecordError: It holds something else than a configuration.
    """

    async def read(self, shard: str) -> Configuration | None:
        """Return what is held of *shard*, None if nothing was ever."""

    async def swap(
        self, shard: str, expected: Configuration | None, desired: Configuration
    ) -> Configuration:
        """
        Hold *desired* if *expected* is held, None if nothing is; return what is held.

        That is *desired* if it has happened, now or by an earlier call.
        """

    async def close(self) -> None:
        """End all connections; calls under way may fail."""
