"""
One LMDB read transaction as a view.

Opening one takes about a microsecond: a reader slot is taken from a pool, and
nothing is copied.  The state and the tables come from memory where the snapshot
is of the transaction that they were read from or written by, which transaction
ids tell for certain; else from the snapshot itself.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import merge as merge_sorted
from operator import itemgetter
from struct import Struct
from types import TracebackType
from typing import TYPE_CHECKING, Self

import lmdb

from kvnode.core.versions.record import SEQ_BITS, NumberedDots
from kvnode.core.versions.store_view import ConflictRecord, DurableState, Mortal
from kvnode.core.versions.version import Entry
from kvnode.errors import CorruptRecordError, DamagedRecordError, OverloadedError
from kvnode.storage import record_codec
from kvnode.storage.disk.layout import (
    READERS_MAX,
    Committed,
    Databases,
    mortal_row_key,
    read_committed,
)
from kvnode.storage.key_codec import (
    HEAD_BYTES,
    NUMBER_BYTES,
    SHORT_KEY_BYTES_MAX,
    NamespaceTable,
    split,
)
from kvnode.storage.meta_codec import decode_conflicts
from kvnode.types import Dot, EntryKey, HlcTimestamp, Namespace, ReplicaId

if TYPE_CHECKING:
    from kvnode.storage.disk.layout import Cursor, Database, Transaction

_U64 = Struct(">Q")
_SEQ_MASK = (1 << SEQ_BITS) - 1
_CLOSED = "the snapshot is closed"
_BY_KEY = itemgetter(0)


class LmdbSnapshot:
    """
    A consistent view; open from `__enter__` to `__exit__`.

    Implements kvnode.core.versions.store_view.StoreView.  It may move between
    threads but must not be used by two at once.
    """

    __slots__ = (
        "_committed",
        "_databases",
        "_dots",
        "_environment",
        "_get",
        "_namespaces",
        "_txn",
    )

    def __init__(
        self,
        environment: lmdb.Environment,
        databases: Databases,
        committed: Committed,
        namespaces: NamespaceTable,
        dots: NumberedDots,
    ) -> None:
        self._environment = environment
        self._databases = databases
        self._committed = committed
        self._namespaces = namespaces
        self._dots = dots
        self._txn: Transaction | None = None
        self._get: Callable[[bytes], bytes | None] = _refuse

    def __enter__(self) -> Self:
        assert self._txn is None, "a snapshot is opened once"
        try:
            self._txn = self._environment.begin(self._databases.entries)
        except lmdb.ReadersFullError as error:
            msg = f"{READERS_MAX} snapshots are open at this node: try again"
            raise OverloadedError(msg) from error
        self._get = self._txn.get
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._txn is not None, _CLOSED
        self._txn.abort()
        self._txn = None
        self._get = _refuse

    def state(self) -> DurableState:
        """Return the state committed with this snapshot."""
        return self._current().state

    def entry(self, key: EntryKey) -> Entry | None:
        """
        Return what is stored under *key*, tombstones and expired ones too.

        Raises:
            DamagedRecordError: The stored record is damaged.
            CorruptRecordError: The store's pages are.
        """
        namespace, name = key
        prefix = self._namespaces.find(namespace)
        if prefix is None:
            return None
        try:
            if len(name) <= SHORT_KEY_BYTES_MAX:
                raw = self._get(prefix + name)
            else:
                raw = self._get_long(self._databases.long_entries, prefix, name)
        except lmdb.Error as error:
            raise _page_error(error) from error
        return None if raw is None else self._decode_entry(namespace, name, raw)

    def scan(
        self, namespace: Namespace, *, start: bytes = b"", prefix: bytes = b""
    ) -> Iterator[tuple[bytes, Entry]]:
        """
        Yield (key, entry) from *start* on that have *prefix*, in byte order.

        Raises:
            DamagedRecordError: A stored record is damaged; a scan from just after
                its key goes on.
            CorruptRecordError: The store's pages are damaged.
        """
        databases = self._databases
        for key, raw in self._scan_rows(
            databases.entries, databases.long_entries, namespace, start, prefix
        ):
            yield key, self._decode_entry(namespace, key, raw)

    def namespaces(self) -> Iterable[Namespace]:
        """Return the namespaces that ever held an entry."""
        return self._current().namespaces

    def index(
        self, replica: ReplicaId, first: int, last: int | None
    ) -> Iterator[tuple[Dot, EntryKey]]:
        """Yield index rows of *replica* with first <= seq <= last, ascending."""
        txn = self._open()
        number = self._dots.find(replica)
        if number is None:
            return
        above = number << SEQ_BITS
        end = above | (_SEQ_MASK if last is None else min(last, _SEQ_MASK))
        name = self._namespaces.name
        try:
            cursor = txn.cursor(self._databases.index)
            if first > _SEQ_MASK or not cursor.set_range(_U64.pack(above | first)):
                return
            for packed, value in cursor.iternext():
                (dot,) = _U64.unpack(packed)
                if dot > end:
                    return
                key = EntryKey(name(value[:NUMBER_BYTES]), value[NUMBER_BYTES:])
                yield Dot(replica, dot & _SEQ_MASK), key
        except lmdb.Error as error:
            raise _page_error(error) from error

    def indexed_replicas(self) -> Iterable[ReplicaId]:
        """Return every replica that may have index rows."""
        return self._current().replicas

    def dots_of(self, key: EntryKey) -> tuple[Dot, ...]:
        """Return the dots of the index rows of *key*, ascending; looks at all rows."""
        txn = self._open()
        prefix = self._namespaces.find(key.namespace)
        if prefix is None:
            return ()
        wanted = prefix + key.key
        try:
            found = [
                self._dots.decode_dot(packed, 0)
                for packed, value in txn.cursor(self._databases.index).iternext()
                if value == wanted
            ]
        except lmdb.Error as error:
            raise _page_error(error) from error
        return tuple(sorted(found))

    def mortals(
        self, until: HlcTimestamp, after: Mortal | None = None
    ) -> Iterator[Mortal]:
        """Yield tombstones and expiring entries that are due before *until*."""
        name = self._namespaces.name
        try:
            cursor = self._open().cursor(self._databases.mortal)
            if after is not None:
                start = mortal_row_key(after.due, after.dot, self._dots) + b"\0"
                if not cursor.set_range(start):
                    return
            for row_key, value in cursor.iternext():
                (due,) = _U64.unpack_from(row_key)
                if due >= until:
                    return
                key = EntryKey(name(value[:NUMBER_BYTES]), value[NUMBER_BYTES:])
                dot = self._dots.decode_dot(row_key, _U64.size)
                yield Mortal(HlcTimestamp(due), dot, key)
        except lmdb.Error as error:
            raise _page_error(error) from error

    def conflicts(self, key: EntryKey) -> tuple[ConflictRecord, ...]:
        """Return the conflict log of *key*, oldest first; empty if none."""
        namespace, name = key
        databases = self._databases
        prefix = self._namespaces.find(namespace)
        if prefix is None:
            return ()
        try:
            if len(name) <= SHORT_KEY_BYTES_MAX:
                raw = self._open().get(prefix + name, None, databases.conflicts)
            else:
                raw = self._get_long(databases.long_conflicts, prefix, name)
        except lmdb.Error as error:
            raise _page_error(error) from error
        return () if raw is None else self._decode_conflicts(namespace, name, raw)

    def scan_conflicts(
        self, namespace: Namespace, *, start: bytes = b""
    ) -> Iterator[tuple[bytes, tuple[ConflictRecord, ...]]]:
        """Yield (key, conflict log) from *start* on, in byte order."""
        databases = self._databases
        for key, raw in self._scan_rows(
            databases.conflicts, databases.long_conflicts, namespace, start, b""
        ):
            yield key, self._decode_conflicts(namespace, key, raw)

    def _open(self) -> "Transaction":
        assert self._txn is not None, _CLOSED
        return self._txn

    def _current(self) -> Committed:
        """Return what `meta` holds in this snapshot."""
        txn = self._open()
        if txn.id() != self._committed.transaction:
            committed = read_committed(txn, self._databases)
            assert committed is not None, "an open store has a state"
            self._committed = committed
        return self._committed

    def _get_long(
        self, database: "Database", prefix: bytes, key: bytes
    ) -> bytes | None:
        txn = self._open()
        head, tail = split(prefix, key)
        head_id = txn.get(head, None, self._databases.heads)
        return None if head_id is None else txn.get(head_id + tail, None, database)

    def _decode_entry(self, namespace: Namespace, key: bytes, raw: bytes) -> Entry:
        try:
            return record_codec.decode(raw, self._dots)
        except CorruptRecordError as error:
            msg = f"entry {key!r} in namespace {namespace}: {error}"
            raise DamagedRecordError(msg, EntryKey(namespace, key)) from error

    def _decode_conflicts(
        self, namespace: Namespace, key: bytes, raw: bytes
    ) -> tuple[ConflictRecord, ...]:
        try:
            return decode_conflicts(raw, self._dots)
        except CorruptRecordError as error:
            msg = f"conflicts of {key!r} in namespace {namespace}: {error}"
            raise DamagedRecordError(msg, EntryKey(namespace, key)) from error

    def _scan_rows(
        self,
        short: "Database",
        long: "Database",
        namespace: Namespace,
        start: bytes,
        prefix: bytes,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, row) of a pair of databases in the order of keys."""
        txn = self._open()
        number = self._namespaces.find(namespace)
        if number is None:
            return
        start = max(start, prefix)
        try:
            rows = _short_rows(txn.cursor(short), number, start, prefix)
            heads = txn.cursor(self._databases.heads)
            if not heads.set_range(number + start[:HEAD_BYTES]):
                yield from rows
                return
            long_rows = _long_rows(heads, txn.cursor(long), number, start, prefix)
            yield from merge_sorted(rows, long_rows, key=_BY_KEY)
        except lmdb.Error as error:
            raise _page_error(error) from error


def _page_error(error: lmdb.Error) -> CorruptRecordError:
    """Return what it means that LMDB cannot walk its own pages."""
    return CorruptRecordError(
        f"the store's pages are damaged ({error}): wipe the data directory and let"
        " the node fill it again from its peers, or restore a backup"
    )


def _refuse(_key: bytes) -> bytes | None:
    raise AssertionError(_CLOSED)


def _short_rows(
    cursor: "Cursor", number: bytes, start: bytes, prefix: bytes
) -> Iterator[tuple[bytes, bytes]]:
    if not cursor.set_range((number + start)[: NUMBER_BYTES + SHORT_KEY_BYTES_MAX]):
        return
    wanted = number + prefix
    for row_key, raw in cursor.iternext():
        key = row_key[NUMBER_BYTES:]
        if key < start:
            continue  # a start longer than any short key was cut to search
        if not row_key.startswith(wanted):
            return
        yield key, raw


def _long_rows(
    heads: "Cursor",
    cursor: "Cursor",
    number: bytes,
    start: bytes,
    prefix: bytes,
) -> Iterator[tuple[bytes, bytes]]:
    for head_key, head_id in heads.iternext():
        head = head_key[NUMBER_BYTES:]
        if not head_key.startswith(number + prefix[:HEAD_BYTES]):
            return
        if not cursor.set_range(head_id):
            continue
        for row_key, raw in cursor.iternext():
            if not row_key.startswith(head_id):
                break
            key = head + row_key[len(head_id) :]
            if key < start:
                continue
            if not key.startswith(prefix):
                break
            yield key, raw
