"""
The logs of a node's shards in one log of its own: what comes is appended, and synced.

    identity            whose logs these are
    log-0000000001 ...  segments: the turns of all shards, in their order

One write and one barrier make the turns of all shards durable that were staged
meanwhile.  A thread writes; only it waits for the disk.

A segment that is full is followed by another, which begins with what each shard has
promised.  It goes when no shard has an entry in it that is still part of its log.  A
shard that is quiet would keep one for ever; so when the segments take far more than
their entries do, what is left in the oldest is written again, a little with each turn.

Every frame carries a checksum.  One that fails it cannot be healed here, unless it is
the last and the power failed while it was written: a replica that does not know what it
had promised must not go on as itself.  So the node refuses to open the store, and
whoever runs it deletes it: then it is a stranger to its shards, and they move to it
like to a new machine.

References:
    Mohan et al., 1992.  ARIES, section 1: write-ahead logging.
    Rosenblum & Ousterhout, 1992.  The design and implementation of a log-structured
        file system.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from kvnode.core.objects.events import Persist
from kvnode.errors import CorruptRecordError
from kvnode.storage.disk.directory_lock import DirectoryLock
from kvnode.storage.disk.disk_thread import DiskThread
from kvnode.storage.shards.kept_log import KeptLog
from kvnode.storage.shards.log_frames import (
    Frames,
    LogRecord,
    encode_frame,
    read_frames,
)
from kvnode.storage.shards.log_identity import read_or_found
from kvnode.storage.shards.log_reading import LogReading
from kvnode.storage.shards.log_segment import (
    SEGMENT_BYTES,
    LogSegment,
    segment_path,
    segments_in,
)
from kvnode.storage.shards.port import StoredShard
from kvnode.types import ReplicaId

SPARE_SEGMENTS: Final = 4
"""May take room beside twice what the entries take, before any are written again."""

ENCODED_HERE_BYTES: Final = 64 * 1024
"""Of entries: to encode those takes less than to have two threads take turns."""

AGAIN_BYTES: Final = 256 * 1024
"""Of old entries with one turn: some ms of a slow disk."""


class FileLogStore:
    """See kvnode.storage.shards.port.ShardLogStore."""

    def __init__(
        self, directory: Path, lock: DirectoryLock, replica: ReplicaId
    ) -> None:
        """Read what is in *directory*; callers use `open`."""
        self._directory = directory
        self._lock = lock
        self._replica = replica
        self._shards: dict[str, KeptLog] = {}
        self._sizes: dict[int, int] = {}  # of the segments that are there
        self._segment = self._read()
        self._writer = DiskThread("kvnode-shards")

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        random_replica: Callable[[], ReplicaId],
        is_moved: bool = False,
    ) -> Self:
        """
        Open the store in *directory*, which is made if need be; blocks.

        Args:
            directory: For this process alone.
            random_replica: Draws the identity of a new store.
            is_moved: It is elsewhere than it was made, and whoever runs the node
                vouches that nothing has been written to the original since, and
                never will be.

        Raises:
            UnavailableError: Another process has it open.
            RejectedError: Another version wrote it; or it is a copy.
            CorruptRecordError: A record is damaged.
            StoreFullError: There is no room to begin in.
            OSError: The files cannot be opened.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = DirectoryLock(directory)
        try:
            replica = read_or_found(directory, random_replica, is_moved=is_moved)
            return cls(directory, lock, replica)
        except BaseException:
            lock.release()
            raise

    @property
    def replica(self) -> ReplicaId:
        """Return who this node is."""
        return self._replica

    def load(self) -> dict[str, StoredShard]:
        """Return all shards by name; see the port."""
        return {name: _stored(kept) for name, kept in self._shards.items()}

    def load_shard(self, name: str) -> StoredShard | None:
        """Return one shard, None if nothing is durable of it; see the port."""
        kept = self._shards.get(name)
        return None if kept is None else _stored(kept)

    async def persist(self, turns: Mapping[str, Persist]) -> None:
        """Make turns durable with one barrier; see the port."""
        records = self._to_write_again()
        records += [
            (self._shards.get(name) or KeptLog(name)).record_of(turn)
            for name, turn in turns.items()
        ]
        assert not self._writer.is_at_work, "writes must not overlap"
        frame = b""
        if sum(map(len, _data_of(records))) <= ENCODED_HERE_BYTES:
            frame = encode_frame(records, self._segment.number, self._segment.end)
        await self._writer.begin(self._write, records, frame).end()
        for record in records:
            kept = self._shards.setdefault(record.shard, KeptLog(record.shard))
            kept.take(record, self._segment.number)

    def close(self) -> None:
        """Release the files, after what is being written."""
        self._writer.close()
        self._segment.close()
        self._lock.release()

    # -- room ------------------------------------------------------------------

    def _to_write_again(self) -> list[LogRecord]:
        """Return what is in the way of the oldest segment, if segments are many."""
        spare = sum(self._sizes.values()) - SPARE_SEGMENTS * SEGMENT_BYTES
        if spare <= 0:
            return []
        if spare <= 2 * sum(kept.entry_bytes for kept in self._shards.values()):
            return []
        oldest = min(self._sizes)
        for kept in self._shards.values():
            record = kept.again(oldest, AGAIN_BYTES)
            if record is not None:
                return [record]
        return []

    # -- on the writer's thread ------------------------------------------------

    def _write(self, records: Sequence[LogRecord], frame: bytes) -> None:
        """Write *frame*, of *records* for where the log ends; empty if not made yet."""
        segment = self._segment
        frame = frame or encode_frame(records, segment.number, segment.end)
        if not segment.has_room(len(frame)):
            segment = self._next_segment(len(frame))
            frame = encode_frame(records, segment.number, segment.end)
        segment.write(frame)

    def _next_segment(self, frame_bytes: int) -> LogSegment:
        """Begin another segment, and let those go that nobody needs."""
        heads = [kept.head() for kept in self._shards.values()]
        number = self._segment.number + 1
        frame = encode_frame(heads, number, 0)
        segment = LogSegment.make(self._directory, number, len(frame) + frame_bytes)
        try:
            segment.write(frame)
        except BaseException:
            segment.abandon()
            raise
        self._segment.close()
        self._segment = segment
        self._sizes[number] = segment.size
        self._remove_old()
        return segment

    def _remove_old(self) -> None:
        """Remove the segments in which no shard has an entry any more."""
        needed = [kept.oldest_segment for kept in self._shards.values()]
        first = min(
            (each for each in needed if each is not None), default=self._segment.number
        )
        for number in [each for each in self._sizes if each < first]:
            segment_path(self._directory, number).unlink()
            del self._sizes[number]

    # -- reading ----------------------------------------------------------------

    def _read(self) -> LogSegment:
        """Take in all segments; return the one that is written on."""
        numbers = segments_in(self._directory)
        if numbers and numbers != list(range(numbers[0], numbers[-1] + 1)):
            msg = f"{self._directory}: one of the segments of the log is missing"
            raise CorruptRecordError(msg)
        frames = Frames([], 0, is_torn=False)
        readings: dict[str, LogReading] = {}
        for number in numbers:
            path = segment_path(self._directory, number)
            data = path.read_bytes()
            found = read_frames(data, number, str(path))
            if not found.turns and number > 1:
                if number != numbers[-1] or number == numbers[0]:
                    msg = f"{path}: it does not begin with what was promised"
                    raise CorruptRecordError(msg)
                path.unlink()  # the power failed while it was begun
                break
            frames, self._sizes[number] = found, len(data)
            for record in (each for turn in frames.turns for each in turn):
                shard = record.shard
                readings.setdefault(shard, LogReading(shard)).take(record, number)
        self._shards = {name: each.kept() for name, each in readings.items()}
        if not self._sizes:
            segment = LogSegment.make(self._directory, 1, 0)
            self._sizes[1] = segment.size
            return segment
        last = max(self._sizes)
        return LogSegment.open(
            self._directory, last, frames.end, is_torn=frames.is_torn
        )


def _stored(kept: KeptLog) -> StoredShard:
    return StoredShard(kept.promised, kept.log())


def _data_of(records: Iterable[LogRecord]) -> Iterator[bytes]:
    return (entry.data for record in records for entry in record.entries)
