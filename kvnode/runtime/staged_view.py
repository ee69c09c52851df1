"""
The store as it will be: a snapshot with the commit under way laid over it.

A turn is staged while the one before it is being written.  Whether the snapshot
shows that one already does not matter: both give the same entries.
"""

from collections.abc import Iterator

from kvnode.core.versions.store_view import (
    Commit,
    ConflictRecord,
    Mortal,
    StoreView,
    Write,
    staged_rows,
)
from kvnode.core.versions.version import Entry
from kvnode.types import Dot, EntryKey, HlcTimestamp, ReplicaId


class StagedView:
    """What a turn reads; see kvnode.core.versions.store_view.TurnView."""

    def __init__(self, snapshot: StoreView, committing: Commit | None) -> None:
        self._snapshot = snapshot
        self._writes: tuple[Write, ...] = ()
        self._entries: dict[EntryKey, Entry | None] = {}
        self._conflicts: dict[EntryKey, tuple[ConflictRecord, ...]] = {}
        if committing:
            self._writes = committing.writes
            self._entries = {key: entry for key, entry, _ in committing.writes}
            self._conflicts = committing.conflicts

    def entry(self, key: EntryKey) -> Entry | None:
        """Return what is stored under *key* as of the last turn."""
        if key in self._entries:
            return self._entries[key]
        return self._snapshot.entry(key)

    def conflicts(self, key: EntryKey) -> tuple[ConflictRecord, ...]:
        """Return the conflict log of *key* as of the last turn."""
        staged = self._conflicts.get(key)
        return staged if staged is not None else self._snapshot.conflicts(key)

    def index(
        self, replica: ReplicaId, first: int, last: int | None
    ) -> Iterator[tuple[Dot, EntryKey]]:
        """Yield index rows as of the last turn."""
        rows = self._snapshot.index(replica, first, last)
        return staged_rows(rows, self._writes, replica, first, last)

    def dots_of(self, key: EntryKey) -> tuple[Dot, ...]:
        """Return the dots of the index rows of *key* as of the last turn."""
        if key not in self._entries:
            return self._snapshot.dots_of(key)
        staged = self._entries[key]
        return () if staged is None else tuple(sorted(staged.version.index_dots))

    def mortals(
        self, until: HlcTimestamp, after: Mortal | None = None
    ) -> Iterator[Mortal]:
        """
        Yield what the snapshot has that is due before *until*.

        What the commit under way adds was not covered when it was staged, so that
        no floor of now can forget it.
        """
        return self._snapshot.mortals(until, after)
