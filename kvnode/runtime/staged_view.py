"""
The store as it will be: a snapshot with the commit under way laid over it.

A turn is staged while the one before it is being written.  Whether the snapshot
shows that one already does not matter: both give the same entries.
"""

from kvnode.core.versions.store_view import Commit, ConflictRecord, StoreView
from kvnode.core.versions.version import Entry
from kvnode.types import EntryKey


class StagedView:
    """What a turn reads; see kvnode.core.versions.store_view.TurnView."""

    def __init__(self, snapshot: StoreView, committing: Commit | None) -> None:
        self._snapshot = snapshot
        self._entries: dict[EntryKey, Entry] = {}
        self._conflicts: dict[EntryKey, tuple[ConflictRecord, ...]] = {}
        if committing:
            self._entries = {key: entry for key, entry, _ in committing.writes}
            self._conflicts = committing.conflicts

    def entry(self, key: EntryKey) -> Entry | None:
        """Return what is stored under *key* as of the last turn."""
        staged = self._entries.get(key)
        return staged if staged is not None else self._snapshot.entry(key)

    def conflicts(self, key: EntryKey) -> tuple[ConflictRecord, ...]:
        """Return the conflict log of *key* as of the last turn."""
        staged = self._conflicts.get(key)
        return staged if staged is not None else self._snapshot.conflicts(key)
