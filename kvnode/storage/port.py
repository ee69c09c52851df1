"""
What a store promises to the rest of the node.

One writer, many snapshots.  `apply` is all or nothing, and durable when it
returns: by `fsync` mode on disk, by `relaxed` mode in the page cache (rule W1).
"""

from contextlib import AbstractContextManager
from typing import Protocol

from kvnode.core.versions.store_view import (
    Commit,
    DurableState,
    StoreView,
    Usage,
)


class Store(Protocol):
    """Entries, index and state of one node."""

    def state(self) -> DurableState:
        """Return the state as it was last committed."""

    def snapshot(self) -> AbstractContextManager[StoreView]:
        """
        Return a consistent view of everything applied so far.

        Cheap (microseconds).  An open snapshot keeps old pages from reuse:
        close it, and never hold one while waiting for a person.
        """

    async def apply(self, commit: Commit) -> None:
        """
        Apply *commit* as one transaction and make it durable.

        Calls must not overlap.

        Raises:
            StoreFullError: No room; nothing was written.
            OSError: The disk failed; nothing is known, so the node must stop.
        """

    async def reserve(self, state: DurableState) -> None:
        """Make *state* durable on disk whatever the durability mode."""

    def usage(self) -> Usage:
        """Return how full the store is; cheap enough for every turn."""

    def close(self) -> None:
        """Make everything durable and release the files."""
