"""
The logs of a node's shards in one LMDB environment of their own.

One transaction, and so one sync, makes the turns of all shards durable that were
staged meanwhile.  A thread writes; only it waits for the disk.

    meta     format, replica, home: the file that this was made in
    shards   name -> u16 number, promised u64, base: epoch u64 and number u64
    log      u16 number of the shard, u64 number of the entry -> epoch u64, data

Every record carries a checksum.  One that fails it cannot be healed here: a replica
that does not know what it had promised must not go on as itself.  So the node refuses
to open the store, and whoever runs it deletes it: then it is a stranger to its shards,
and they move to it like to a new machine.

A copy, or what comes out of a backup, has forgotten what the original promised since,
and the original may still be at work.  The KV store makes a new replica of such a copy
and keeps all its entries.  Here the log *is* the promise, and nothing could be kept but
by going on as the old replica; so a copy is refused, not emptied: it may be all that is
left of a shard, as where the one node of a cluster has moved to another disk.  Only who
runs the node can know, and opens it as moved, or deletes it.

A copy is known by its file (kvnode.storage.disk.founding.home_row).  One that was
written over the original's file, or a disk that was taken back as a whole, is not.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from struct import Struct
from threading import Event
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import lmdb

from kvnode.core.objects.events import Persist
from kvnode.core.objects.quorum_log import ORIGIN, LogEntry, Position, QuorumLog
from kvnode.durable_file import sync_directory
from kvnode.errors import CorruptRecordError, RejectedError
from kvnode.storage.disk.directory_lock import DirectoryLock
from kvnode.storage.disk.founding import draw_replica, home_row
from kvnode.storage.disk.layout import HOME_ROW
from kvnode.storage.disk.opening import open_alone
from kvnode.storage.disk.room import translated
from kvnode.storage.disk.writing import SoleWriter, finished
from kvnode.storage.meta_codec import seal, unseal
from kvnode.storage.shards.port import StoredShard
from kvnode.types import ReplicaId

if TYPE_CHECKING:
    from kvnode.storage.disk.layout import Transaction

FORMAT: Final = 1
MAP_BYTES: Final = 1 << 38
"""256 GiB of address space, which costs nothing on disk."""

SHARDS_MAX: Final = 65_535

STAND_STILL_ROWS_MAX: Final = 4096
"""
Rows of a turn up to which the caller's thread stands still while they are written.

See kvnode.storage.lmdb_store: each row of a busy process costs more in waiting for the
interpreter than in work.  As many as a replica has under way, and some 10 ms.
"""

_FORMAT_ROW: Final = b"format"
_REPLICA_ROW: Final = b"replica"
_U16 = Struct(">H")
_U64 = Struct(">Q")
_SHARD = Struct(">HQQQ")
_ENTRY_KEY = Struct(">HQ")
_END: Final = 1 << 63
"""No entry has such a number."""


class _ShardRow(NamedTuple):
    """What stands of a shard besides its log."""

    number: int
    promised: int
    base: Position


class LmdbLogStore:
    """See kvnode.storage.shards.port.ShardLogStore."""

    def __init__(
        self,
        directory: Path,
        lock: DirectoryLock,
        environment: lmdb.Environment,
        random_replica: Callable[[], ReplicaId],
        *,
        is_moved: bool,
    ) -> None:
        """Take over an open environment; callers use `open`."""
        self._directory = directory
        self._lock = lock
        self._environment = environment
        with environment.begin(write=True) as txn:
            self._meta = environment.open_db(b"meta", txn)
            self._shards = environment.open_db(b"shards", txn)
            self._log = environment.open_db(b"log", txn)
            self._replica = self._read_or_found(txn, random_replica, is_moved=is_moved)
        sync_directory(directory)
        self._writer = SoleWriter("kvnode-shards")

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        random_replica: Callable[[], ReplicaId],
        map_bytes: int = MAP_BYTES,
        is_moved: bool = False,
    ) -> Self:
        """
        Open the store in *directory*, which is made if need be; blocks.

        Args:
            directory: For this process alone.
            random_replica: Draws the identity of a new store.
            map_bytes: The largest size the file may ever get.
            is_moved: It is elsewhere than it was made, and whoever runs the node
                vouches that nothing has been written to the original since, and
                never will be.

        Raises:
            UnavailableError: Another process has it open.
            RejectedError: A later version wrote it; or it is a copy.
            CorruptRecordError: A record is damaged.
            OSError: The files cannot be opened.
        """
        return open_alone(
            directory,
            lambda lock, environment: cls(
                directory, lock, environment, random_replica, is_moved=is_moved
            ),
            map_bytes=map_bytes,
        )

    @property
    def replica(self) -> ReplicaId:
        """Return who this node is."""
        return self._replica

    def load(self) -> dict[str, StoredShard]:
        """Return all shards by name; see the port."""
        with self._environment.begin() as txn:
            names = [raw.decode() for raw, _ in txn.cursor(self._shards)]
            found = {name: self._load(txn, name) for name in names}
        return {name: stored for name, stored in found.items() if stored is not None}

    def load_shard(self, name: str) -> StoredShard | None:
        """Return one shard, None if nothing is durable of it; see the port."""
        with self._environment.begin() as txn:
            return self._load(txn, name)

    async def persist(self, turns: Mapping[str, Persist]) -> None:
        """Make turns durable in one transaction; see the port."""
        staged = Event()
        writing = self._writer.begin(self._write, dict(turns), staged)
        if sum(len(turn.entries) for turn in turns.values()) <= STAND_STILL_ROWS_MAX:
            staged.wait()
        await finished(writing)

    def close(self) -> None:
        """Release the files, after what is being written."""
        self._writer.close()
        self._environment.close()
        self._lock.release()

    # -- on the writer's thread -------------------------------------------------

    def _write(self, turns: Mapping[str, Persist], staged: Event) -> None:
        try:
            with self._environment.begin(write=True) as txn:
                for name, turn in turns.items():
                    self._write_turn(txn, name, turn)
                staged.set()
        except lmdb.Error as error:
            raise translated(error, self._directory) from error
        finally:
            staged.set()

    def _write_turn(self, txn: "Transaction", name: str, turn: Persist) -> None:
        before = self._find(txn, name)
        if before is None:
            count = txn.stat(self._shards)["entries"]
            assert count < SHARDS_MAX, "a node has fewer shards"
            before = _ShardRow(count + 1, 0, ORIGIN)
        number = before.number
        if turn.base != before.base:
            end = turn.base.number + 1
            if not self._has(txn, number, turn.base):
                end = _END  # it was another log
            self._delete(txn, number, before.base.number + 1, end)
        if turn.first:
            self._delete(txn, number, turn.first, _END)
            rows = [
                (
                    _ENTRY_KEY.pack(number, turn.first + place),
                    seal(_U64.pack(entry.epoch) + entry.data),
                )
                for place, entry in enumerate(turn.entries)
            ]
            txn.cursor(self._log).putmulti(rows)
        row = _SHARD.pack(number, turn.promised, *turn.base)
        txn.put(name.encode(), seal(row), db=self._shards)

    def _has(self, txn: "Transaction", shard: int, position: Position) -> bool:
        key = _ENTRY_KEY.pack(shard, position.number)
        raw = txn.get(key, None, self._log)
        if raw is None:
            return False
        return bool(_U64.unpack_from(unseal(raw, "a log entry"))[0] == position.epoch)

    def _delete(self, txn: "Transaction", shard: int, first: int, end: int) -> None:
        """Delete the entries from *first* on, up to but without *end*."""
        cursor = txn.cursor(self._log)
        behind = _ENTRY_KEY.pack(shard, end)
        found = cursor.set_range(_ENTRY_KEY.pack(shard, first))
        while found and cursor.key() < behind:
            found = cursor.delete()

    # -- reading ----------------------------------------------------------------

    def _find(self, txn: "Transaction", name: str) -> _ShardRow | None:
        raw = txn.get(name.encode(), None, self._shards)
        if raw is None:
            return None
        row = unseal(raw, f"shard {name}")
        number, promised, epoch, base_number = _SHARD.unpack(row)
        return _ShardRow(number, promised, Position(epoch, base_number))

    def _load(self, txn: "Transaction", name: str) -> StoredShard | None:
        row = self._find(txn, name)
        if row is None:
            return None
        entries = self._entries(txn, name, row)
        return StoredShard(row.promised, QuorumLog(row.base, entries))

    def _entries(
        self, txn: "Transaction", name: str, row: _ShardRow
    ) -> Iterator[LogEntry]:
        """Yield a shard's entries; they have no holes."""
        cursor = txn.cursor(self._log)
        found = cursor.set_range(_ENTRY_KEY.pack(row.number, 0))
        expected = row.base.number
        while found:
            of, number = _ENTRY_KEY.unpack(cursor.key())
            if of != row.number:
                return
            expected += 1
            subject = f"entry {number} of shard {name}"
            if number != expected:
                msg = f"{subject} stands where {expected} is due"
                raise CorruptRecordError(msg)
            data = unseal(cursor.value(), subject)
            yield LogEntry(_U64.unpack_from(data)[0], data[_U64.size :])
            found = cursor.next()

    def _read_or_found(
        self,
        txn: "Transaction",
        random_replica: Callable[[], ReplicaId],
        *,
        is_moved: bool,
    ) -> ReplicaId:
        home = home_row(self._directory)
        form = txn.get(_FORMAT_ROW, None, self._meta)
        if form is None:
            replica = draw_replica(random_replica)
            txn.put(_REPLICA_ROW, seal(_U64.pack(replica)), db=self._meta)
            txn.put(HOME_ROW, home, db=self._meta)
            txn.put(_FORMAT_ROW, seal(_U16.pack(FORMAT)), db=self._meta)
            return replica
        (number,) = _U16.unpack(unseal(form, "the format of the logs of shards"))
        if number != FORMAT:
            msg = (
                f"the logs of shards in {self._directory} have format {number} and"
                f" this version reads {FORMAT}: run the version that wrote them"
            )
            raise RejectedError(msg)
        if txn.get(HOME_ROW, None, self._meta) != home:
            if not is_moved:
                raise RejectedError(self._is_a_copy())
            txn.put(HOME_ROW, home, db=self._meta)
        raw = txn.get(_REPLICA_ROW, None, self._meta)
        if raw is None:
            msg = f"{self._directory}: the node's identity is missing"
            raise CorruptRecordError(msg)
        return ReplicaId(_U64.unpack(unseal(raw, "the node's identity"))[0])

    def _is_a_copy(self) -> str:
        return (
            f"the logs of shards in {self._directory} were copied, or come out of a"
            " backup, and lack what the original has promised since: delete the"
            " directory, and the node's shards can be moved to it as to a new node; or"
            " open it as moved, if nothing was written to the original after it was"
            " copied, and nothing ever will be"
        )
