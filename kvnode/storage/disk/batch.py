"""
A commit as sorted rows, ready to be put.

Everything that can be computed before the write transaction begins is computed
here, on the caller's thread: py-lmdb lets go of the interpreter lock around each
put, and where the event loop is busy the writer thread may wait a switch
interval (5 ms) for it each time it runs other Python code.  So the writer only
hands over prepared lists, whose loops run in C.

Sorted rows also go into neighbouring pages one after the other.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from kvnode.core.versions.floor import mortal_from
from kvnode.core.versions.store_view import Commit, DurableState
from kvnode.core.versions.version import Entry, Version
from kvnode.storage import record_codec
from kvnode.storage.disk.layout import (
    DATABASE_NAMES,
    Committed,
    Databases,
    mortal_row_key,
    namespace_row,
    replica_row,
    state_rows,
)
from kvnode.storage.key_codec import encode_head_id, is_long, split
from kvnode.storage.meta_codec import encode_conflicts
from kvnode.types import Dot, EntryKey

if TYPE_CHECKING:
    from kvnode.storage.disk.layout import Database, Transaction

Rows = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Batch:
    """The rows that one transaction puts and deletes, by database."""

    entries: Rows = field(default_factory=list)
    long_entries: Rows = field(default_factory=list)
    heads: Rows = field(default_factory=list)
    index: Rows = field(default_factory=list)
    conflicts: Rows = field(default_factory=list)
    long_conflicts: Rows = field(default_factory=list)
    mortal: Rows = field(default_factory=list)
    meta: Rows = field(default_factory=list)
    entries_gone: list[bytes] = field(default_factory=list)
    long_entries_gone: list[bytes] = field(default_factory=list)
    mortal_gone: list[bytes] = field(default_factory=list)
    index_gone: list[bytes] = field(default_factory=list)
    conflicts_gone: list[bytes] = field(default_factory=list)
    long_conflicts_gone: list[bytes] = field(default_factory=list)

    @property
    def row_count(self) -> int:
        """Return about how many rows are put and deleted."""
        gone = len(self.index_gone) + len(self.entries_gone) + len(self.mortal_gone)
        return len(self.entries) + len(self.index) + len(self.mortal) + gone

    def write(self, txn: "Transaction", databases: Databases) -> None:
        """Put and delete all rows within *txn*; deletions first."""
        for gone, database in (
            (self.entries_gone, databases.entries),
            (self.long_entries_gone, databases.long_entries),
            (self.mortal_gone, databases.mortal),
            (self.index_gone, databases.index),
            (self.conflicts_gone, databases.conflicts),
            (self.long_conflicts_gone, databases.long_conflicts),
        ):
            if gone:
                _delete(txn, database, gone)
        for name, database in zip(DATABASE_NAMES, databases.all(), strict=True):
            if rows := getattr(self, name):
                txn.cursor(database).putmulti(rows)


def _delete(txn: "Transaction", database: "Database", keys: list[bytes]) -> None:
    """Delete what there is under *keys*; a loop in C, like putmulti's."""
    deque(map(partial(txn.delete, db=database), keys), maxlen=0)


class BatchBuilder:
    """
    Turns commits into batches, numbering what is new.

    The tables hold, beside what is committed, the numbers given since: if the
    transaction fails, the builder must be thrown away with them.
    """

    def __init__(self, committed: Committed) -> None:
        self.namespaces = committed.namespace_table()
        self.dots = committed.dots()
        self._committed = committed
        self._head_count = committed.head_count

    def build(
        self, commit: Commit, find_head: Callable[[bytes], bytes | None]
    ) -> Batch:
        """
        Return the rows of *commit*.

        Args:
            commit: What is to be applied next.
            find_head: Returns the id of a head that is in the store.

        Raises:
            StoreFullError: The namespace table is full.
        """
        batch = Batch()
        heads = _NewHeads(find_head, self._head_count)
        names_before = len(self._committed.namespaces)
        replicas_before = len(self._committed.replicas)
        self._add_writes(batch, commit, heads)
        self._add_conflicts(batch, commit, heads)
        batch.meta.extend(state_rows(commit.state, self._committed.state))
        new_names = self.namespaces.names[names_before:]
        new_replicas = self.dots.numbered[replicas_before:]
        batch.meta.extend(map(namespace_row, count(names_before + 1), new_names))
        batch.meta.extend(map(replica_row, count(replicas_before + 1), new_replicas))
        batch.heads.extend(sorted(heads.new.items()))
        self._head_count += len(heads.new)
        return batch

    def committed(self, transaction: int, state: DurableState) -> Committed:
        """Return what `meta` holds once the batch built last is committed."""
        before = self._committed
        names, replicas = before.namespaces, before.replicas
        if len(names) < len(self.namespaces.names):
            names = tuple(self.namespaces.names)
        if len(replicas) < len(self.dots.numbered):
            replicas = tuple(self.dots.numbered)
        self._committed = Committed(
            transaction, state, names, replicas, self._head_count
        )
        return self._committed

    def _add_writes(self, batch: Batch, commit: Commit, heads: "_NewHeads") -> None:
        dots = self.dots
        last: dict[EntryKey, Entry | None] = {}
        superseded: set[Dot] = set()
        for key, entry, replaced in commit.writes:
            if replaced is not None:
                superseded.update(replaced.index_dots)
            if isinstance(replaced, Version):
                due = mortal_from(replaced)
                if due is not None:
                    batch.mortal_gone.append(mortal_row_key(due, replaced.dot, dots))
            last[key] = entry
        kept: set[Dot] = set()
        for (namespace, name), entry in last.items():
            prefix = self.namespaces.intern(namespace)
            long = is_long(name)
            row_key = heads.row_key(prefix, name) if long else prefix + name
            if entry is None:
                gone = batch.long_entries_gone if long else batch.entries_gone
                gone.append(row_key)
                continue
            rows = batch.long_entries if long else batch.entries
            rows.append((row_key, record_codec.encode(entry, dots)))
            self._point_at(prefix + name, entry.version, batch)
            kept.update(entry.version.index_dots)
        # Deletions go before puts, so this only spares a CRDT's rows that stay.
        batch.index_gone.extend(map(dots.encode_dot, superseded - kept))
        batch.entries.sort()
        batch.long_entries.sort()
        batch.index.sort()
        batch.mortal.sort()
        batch.index_gone.sort()

    def _point_at(self, place: bytes, version: Version, batch: Batch) -> None:
        """Add the rows by which the entry at *place* is found."""
        for dot in version.index_dots:
            batch.index.append((self.dots.encode_dot(dot), place))
        due = mortal_from(version)
        if due is not None:
            row_key = mortal_row_key(due, version.dot, self.dots)
            batch.mortal.append((row_key, place))

    def _add_conflicts(self, batch: Batch, commit: Commit, heads: "_NewHeads") -> None:
        for (namespace, key), log in commit.conflicts.items():
            prefix = self.namespaces.intern(namespace)
            if is_long(key):
                row_key = heads.row_key(prefix, key)
                rows, gone = batch.long_conflicts, batch.long_conflicts_gone
            else:
                row_key = prefix + key
                rows, gone = batch.conflicts, batch.conflicts_gone
            if log:
                rows.append((row_key, encode_conflicts(log, self.dots)))
            else:
                gone.append(row_key)
        batch.conflicts.sort()
        batch.long_conflicts.sort()


class _NewHeads:
    """Ids of heads of long keys: those in the store, and new ones."""

    def __init__(self, find: Callable[[bytes], bytes | None], taken: int) -> None:
        self.new: dict[bytes, bytes] = {}
        self._find = find
        self._taken = taken

    def row_key(self, prefix: bytes, key: bytes) -> bytes:
        """Return the key of a long key's row, numbering its head if need be."""
        head, tail = split(prefix, key)
        found = self.new.get(head) or self._find(head)
        if found is None:
            found = self.new[head] = encode_head_id(self._taken + len(self.new))
        return found + tail
