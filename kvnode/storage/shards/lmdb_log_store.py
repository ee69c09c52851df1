"""
The logs of a node's shards in one LMDB environment of their own.

One transaction, and so one sync, makes the turns of all shards durable that were
staged meanwhile.  A thread writes; only it waits for the disk.

    meta     format, replica
    shards   name -> u16 number, promised u64, base: epoch u64 and number u64
    log      u16 number of the shard, u64 number of the entry -> epoch u64, data

Every record carries a checksum.  One that fails it cannot be healed here: a replica
that does not know what it had promised must not go on as itself.  So the node refuses
to open the store, and whoever runs it deletes it: then it is a stranger to its shards,
and they move to it like to a new machine.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import lmdb

from kvnode.core.objects.events import Persist
from kvnode.core.objects.quorum_log import LogEntry, Position, QuorumLog
from kvnode.errors import CorruptRecordError, RejectedError
from kvnode.storage.disk.directory_lock import DirectoryLock
from kvnode.storage.disk.layout import as_os_error, open_environment
from kvnode.storage.disk.room import translated
from kvnode.storage.disk.writing import finished
from kvnode.storage.meta_codec import seal, unseal
from kvnode.storage.shards.port import StoredShard
from kvnode.types import ReplicaId

if TYPE_CHECKING:
    from kvnode.storage.disk.layout import Transaction

FORMAT: Final = 1
MAP_BYTES: Final = 1 << 38
"""256 GiB of address space, which costs nothing on disk."""

SHARDS_MAX: Final = 65_535

_FORMAT_ROW: Final = b"format"
_REPLICA_ROW: Final = b"replica"
_U16 = Struct(">H")
_U64 = Struct(">Q")
_SHARD = Struct(">HQQQ")
_ENTRY_KEY = Struct(">HQ")


class _Known(NamedTuple):
    """What the writer remembers of a shard, to know what to delete."""

    number: int
    base: Position


class LmdbLogStore:
    """See kvnode.storage.shards.port.ShardLogStore."""

    def __init__(
        self,
        directory: Path,
        lock: DirectoryLock,
        environment: lmdb.Environment,
        random_replica: Callable[[], ReplicaId],
    ) -> None:
        """Take over an open environment; callers use `open`."""
        self._directory = directory
        self._lock = lock
        self._environment = environment
        with environment.begin(write=True) as txn:
            self._meta = environment.open_db(b"meta", txn)
            self._shards = environment.open_db(b"shards", txn)
            self._log = environment.open_db(b"log", txn)
            self._replica = self._read_or_found(txn, random_replica)
        self._known: dict[str, _Known] = {}
        self._is_writing = False
        self._writer = ThreadPoolExecutor(1, "kvnode-shards")

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        random_replica: Callable[[], ReplicaId],
        map_bytes: int = MAP_BYTES,
    ) -> Self:
        """
        Open the store in *directory*, which is made if need be; blocks.

        Raises:
            UnavailableError: Another process has it open.
            RejectedError: A later version wrote it.
            CorruptRecordError: A record is damaged.
            OSError: The files cannot be opened.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = DirectoryLock(directory)
        try:
            environment = open_environment(directory, map_bytes=map_bytes)
        except BaseException:
            lock.release()
            raise
        try:
            return cls(directory, lock, environment, random_replica)
        except BaseException as error:
            environment.close()
            lock.release()
            if isinstance(error, lmdb.Error):
                raise as_os_error(error, directory) from error
            raise

    @property
    def replica(self) -> ReplicaId:
        """Return who this node is."""
        return self._replica

    def load(self) -> dict[str, StoredShard]:
        """Return all shards by name; see the port."""
        found: dict[str, StoredShard] = {}
        with self._environment.begin() as txn:
            for raw_name, raw in txn.cursor(self._shards):
                name = raw_name.decode()
                row = unseal(raw, f"shard {name}")
                number, promised, epoch, base_number = _SHARD.unpack(row)
                base = Position(epoch, base_number)
                entries = self._entries(txn, name, number, base)
                found[name] = StoredShard(promised, QuorumLog(base, entries))
                self._known[name] = _Known(number, base)
        return found

    async def persist(self, turns: Mapping[str, Persist]) -> None:
        """Make turns durable in one transaction; see the port."""
        assert not self._is_writing, "turns must not overlap"
        self._is_writing = True
        await finished(self._writer.submit(self._write, dict(turns)))

    def close(self) -> None:
        """Release the files, after what is being written."""
        self._writer.shutdown(wait=True)
        self._environment.close()
        self._lock.release()

    # -- on the writer's thread -------------------------------------------------

    def _write(self, turns: Mapping[str, Persist]) -> None:
        try:
            with self._environment.begin(write=True) as txn:
                known = {
                    name: self._write_turn(txn, name, turn)
                    for name, turn in turns.items()
                }
            self._known.update(known)
        except lmdb.Error as error:
            raise translated(error, self._directory) from error
        finally:
            self._is_writing = False

    def _write_turn(self, txn: "Transaction", name: str, turn: Persist) -> _Known:
        before = self._find(txn, name)
        number = before.number
        if turn.base != before.base:
            end = turn.base.number + 1
            if not self._has(txn, number, turn.base):
                end = 1 << 63  # it was another log
            self._delete(txn, number, before.base.number + 1, end)
        if turn.first:
            self._delete(txn, number, turn.first, 1 << 63)
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
        return _Known(number, turn.base)

    def _find(self, txn: "Transaction", name: str) -> _Known:
        known = self._known.get(name)
        if known is not None:
            return known
        raw = txn.get(name.encode(), None, self._shards)
        if raw is not None:
            row = unseal(raw, f"shard {name}")
            number, _, epoch, base_number = _SHARD.unpack(row)
            return _Known(number, Position(epoch, base_number))
        count = txn.stat(self._shards)["entries"]
        assert count < SHARDS_MAX, "a node has fewer shards"
        return _Known(count + 1, Position(0, 0))

    def _has(self, txn: "Transaction", shard: int, position: Position) -> bool:
        key = _ENTRY_KEY.pack(shard, position.number)
        raw = txn.get(key, None, self._log)
        if raw is None:
            return False
        return bool(_U64.unpack_from(unseal(raw, "a log entry"))[0] == position.epoch)

    def _delete(self, txn: "Transaction", shard: int, first: int, end: int) -> None:
        """Delete the entries from *first* on, up to but without *end*."""
        cursor = txn.cursor(self._log)
        found = cursor.set_range(_ENTRY_KEY.pack(shard, first))
        while found and cursor.key() < _ENTRY_KEY.pack(shard, end):
            found = cursor.delete()

    def _entries(
        self, txn: "Transaction", name: str, shard: int, base: Position
    ) -> Iterator[LogEntry]:
        """Yield a shard's entries; they have no holes."""
        cursor = txn.cursor(self._log)
        found = cursor.set_range(_ENTRY_KEY.pack(shard, 0))
        expected = base.number
        while found:
            of, number = _ENTRY_KEY.unpack(cursor.key())
            if of != shard:
                return
            expected += 1
            subject = f"entry {number} of shard {name}"
            if number != expected:
                msg = f"{subject} stands where {expected} is due"
                raise CorruptRecordError(msg)
            row = unseal(cursor.value(), subject)
            yield LogEntry(_U64.unpack_from(row)[0], row[_U64.size :])
            found = cursor.next()

    def _read_or_found(
        self, txn: "Transaction", random_replica: Callable[[], ReplicaId]
    ) -> ReplicaId:
        form = txn.get(_FORMAT_ROW, None, self._meta)
        if form is None:
            replica = random_replica()
            txn.put(_REPLICA_ROW, seal(_U64.pack(replica)), db=self._meta)
            txn.put(_FORMAT_ROW, seal(_U16.pack(FORMAT)), db=self._meta)
            return replica
        (number,) = _U16.unpack(unseal(form, "the format of the logs of shards"))
        if number != FORMAT:
            msg = (
                f"the logs of shards in {self._directory} have format {number} and"
                f" this version reads {FORMAT}: run the version that wrote them"
            )
            raise RejectedError(msg)
        raw = txn.get(_REPLICA_ROW, None, self._meta)
        if raw is None:
            msg = f"{self._directory}: the node's identity is missing"
            raise CorruptRecordError(msg)
        return ReplicaId(_U64.unpack(unseal(raw, "the node's identity"))[0])
