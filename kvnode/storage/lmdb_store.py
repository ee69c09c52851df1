"""
A node's entries, index and state in one LMDB environment.

One thread writes; the event loop reads.  `apply` prepares all rows on the
caller's thread, then one transaction on the writer thread puts them and waits
for the disk, while the loop goes on serving reads from snapshots.  A transaction
that fails leaves nothing behind, neither on disk nor in the tables in memory,
and the store goes on.

By `fsync` mode each transaction is on disk when `apply` returns.  By `relaxed`
mode it is in the page cache, and `sync`, called every 100 ms or so, brings the
disk up.  That survives any death of the process.  A power cut may take the last
commits, and since the disk may have been given pages in any order, LMDB cannot
promise that the rest is whole: every record carries a checksum.  The core pulls
one that fails it again from peers (docs/decisions/0011); a store of which more is
damaged is to be wiped and filled again from them (docs/operations).

An environment must not cross a fork.

References:
    Chu, 2011.  MDB: A Memory-Mapped Database and Backend for OpenLDAP.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Self

import lmdb

from kvnode.core.versions.store_view import Commit, DurableState, Usage
from kvnode.core.versions.version import Entry
from kvnode.storage.disk.batch import Batch, BatchBuilder
from kvnode.storage.disk.directory_lock import DirectoryLock
from kvnode.storage.disk.disk_thread import DiskThread
from kvnode.storage.disk.founding import (
    CLEAN,
    IN_USE,
    begin_session,
    put_meta,
    read_or_found,
)
from kvnode.storage.disk.layout import (
    MAP_BYTES,
    SESSION_ROW,
    Databases,
    as_os_error,
    open_databases,
)
from kvnode.storage.disk.opening import open_alone
from kvnode.storage.disk.room import default_reserve, measure, translated
from kvnode.storage.disk.running_copy import RunningCopy
from kvnode.storage.disk.snapshot import LmdbSnapshot
from kvnode.storage.durability import Durability
from kvnode.storage.rescue import rescue_to
from kvnode.types import EntryKey, ReplicaId

USAGE_AGE_SECONDS_MAX = 0.05
"""Others fill the disk too; within a turn or two we look again."""


STAND_STILL_ROWS_MAX = 2000
"""
Rows of a commit up to which the caller's thread stands still while they are put.

py-lmdb lets go of the interpreter lock around each row.  Beside a busy thread
that costs a wait and two context switches a row, together several times the
work itself; beside a thread that stands still, nothing.  So the event loop
pauses for the puts (about 2 us each) and goes on during the disk's part.
"""


class LmdbStore:
    """
    The store of a data directory; see kvnode.storage.port.Store.

    Attributes:
        directory: Where the files are.
        durability: What `apply` waits for.
        unclean: The store was last open in relaxed mode and was not closed:
            writes that peers have may be missing, so the node must go on as a
            new replica, and say so with `reserve`, until which the next opening
            finds the store unclean again.
    """

    def __init__(  # noqa: PLR0913 -- handed over by `open`, each by name
        self,
        directory: Path,
        lock: DirectoryLock,
        environment: lmdb.Environment,
        *,
        durability: Durability,
        reserve_bytes: int | None,
        random_replica: Callable[[], ReplicaId],
    ) -> None:
        """Take over an open environment; callers use `open`."""
        environment.reader_check()
        self.directory = directory
        self.durability = durability
        self._lock = lock
        self._environment = environment
        self._databases: Databases = open_databases(environment)
        map_bytes = environment.info()["map_size"]
        if reserve_bytes is None:
            reserve_bytes = default_reserve(directory, map_bytes)
        self._reserve_bytes = reserve_bytes
        self._committed = read_or_found(
            environment, self._databases, directory, random_replica
        )
        self._builder = BatchBuilder(self._committed)
        self.unclean = begin_session(
            environment, self._databases, relaxed=durability is Durability.RELAXED
        )
        self._unsettled = self.unclean
        self._usage: Usage | None = None
        self._usage_until = 0.0
        self._copies: set[RunningCopy] = set()
        self._writer = DiskThread("kvnode-store")
        self._syncer = DiskThread("kvnode-sync")

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        random_replica: Callable[[], ReplicaId],
        durability: Durability = Durability.FSYNC,
        map_bytes: int = MAP_BYTES,
        reserve_bytes: int | None = None,
    ) -> Self:
        """
        Open the store in directory *path*, which is made if need be.

        Blocks for a few disk accesses.

        Args:
            path: The data directory; for this process alone.
            random_replica: Draws the identity of a new store.
            durability: What `apply` waits for.
            map_bytes: The largest size the store may ever have; less if the
                operating system refuses that much address space.
            reserve_bytes: Kept from client writes (W3); by default 64 MiB, or
                5 % of a small disk.

        Raises:
            UnavailableError: Another process has the directory open.
            RejectedError: A later version wrote the store.
            CorruptRecordError: The node's state is damaged.
            OSError: The files cannot be opened.
        """
        directory = Path(path)
        return open_alone(
            directory,
            lambda lock, environment: cls(
                directory,
                lock,
                environment,
                durability=durability,
                reserve_bytes=reserve_bytes,
                random_replica=random_replica,
            ),
            map_bytes=map_bytes,
            synced=durability is Durability.FSYNC,
        )

    def state(self) -> DurableState:
        """Return the state as it was last committed."""
        return self._committed.state

    def snapshot(self) -> LmdbSnapshot:
        """Return a view, open while it is entered; see the port."""
        builder = self._builder
        return LmdbSnapshot(
            self._environment,
            self._databases,
            self._committed,
            builder.namespaces,
            builder.dots,
        )

    async def apply(self, commit: Commit) -> None:
        """Apply *commit* as one transaction; see the port."""
        await self._commit(commit, settle=False)

    async def reserve(self, state: DurableState) -> None:
        """Make *state* durable on disk whatever the durability mode."""
        await self._commit(Commit(state), settle=True)

    async def sync(self) -> None:
        """
        Bring the disk up to all that was applied; waits for commits in hand.

        Raises:
            OSError: The disk failed; nothing is known, so the node must stop.
        """
        # Not on the writer's thread, where a commit would wait for it.
        await self._syncer.begin(self._sync).end()

    async def rescue(self, entries: list[tuple[EntryKey, Entry]]) -> str:
        """Put *entries* aside in a recovery file; return its path."""
        replica = self.state().replica
        path = await asyncio.to_thread(rescue_to, self.directory, replica, entries)
        return str(path)

    def usage(self) -> Usage:
        """Return how full the store is; cheap enough for every turn."""
        now = time.monotonic()
        usage = self._usage  # the writer thread may set it to None any time
        if usage is None or now >= self._usage_until:
            usage = self._usage = measure(
                self._environment, self._databases, self.directory, self._reserve_bytes
            )
            self._usage_until = now + USAGE_AGE_SECONDS_MAX
        return usage

    def close(self) -> None:
        """Make everything durable and release the files; snapshots and copies end."""
        for copy in self._copies:
            copy.stop()
        self._writer.close()
        self._syncer.close()
        try:
            if self.durability is Durability.RELAXED:
                self._sync()
                if not self._unsettled:
                    put_meta(self._environment, self._databases, {SESSION_ROW: CLEAN})
        finally:
            self._environment.close()
            self._lock.release()

    def start_copy(self) -> RunningCopy:
        """Begin a compacted copy of all applied so far; for `end_copy` to end."""
        copy = RunningCopy(self._environment)
        self._copies.add(copy)
        return copy

    def end_copy(self, copy: RunningCopy) -> None:
        """End *copy*, which breaks off if it is still under way."""
        self._copies.discard(copy)
        copy.cancel()

    async def _commit(self, commit: Commit, *, settle: bool) -> None:
        assert not self._writer.is_at_work, "commits must not overlap"
        try:
            batch = self._builder.build(commit, self._find_head)
        except BaseException:
            self._builder = BatchBuilder(self._committed)
            raise
        if settle:
            relaxed = self.durability is Durability.RELAXED
            batch.meta.append((SESSION_ROW, IN_USE if relaxed else CLEAN))
        staged = Event()
        writing = self._writer.begin(
            self._write, batch, commit.state, settle=settle, staged=staged
        )
        if batch.row_count <= STAND_STILL_ROWS_MAX:
            staged.wait()
        await writing.end()

    def _write(
        self, batch: Batch, state: DurableState, *, settle: bool, staged: Event
    ) -> None:
        """Run the transaction; on the writer thread."""
        try:
            with self._environment.begin(write=True) as txn:
                batch.write(txn, self._databases)
                transaction = txn.id()
                staged.set()
            self._committed = self._builder.committed(transaction, state)
            if settle:
                self._sync()
                self._unsettled = False
        except BaseException as error:
            self._builder = BatchBuilder(self._committed)
            if isinstance(error, lmdb.Error):
                raise translated(error, self.directory) from error
            raise
        finally:
            self._usage = None
            staged.set()

    def _sync(self) -> None:
        try:
            self._environment.sync(True)  # noqa: FBT003 -- the only parameter
        except lmdb.Error as error:
            raise as_os_error(error, self.directory) from error

    def _find_head(self, head: bytes) -> bytes | None:
        with self._environment.begin() as txn:
            return txn.get(head, None, self._databases.heads)
