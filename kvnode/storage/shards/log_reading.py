"""
From the records of all segments to what each shard holds.

The segments that have gone held entries that were replaced, forgotten, or written again
later; so while the records are read, there may be holes, which must be filled in the
end.  What each segment says of its beginning must agree with what those before it say.
"""

from kvnode.core.objects.quorum_log import ORIGIN, LogEntry, Position
from kvnode.errors import CorruptRecordError
from kvnode.storage.shards.kept_log import KeptLog
from kvnode.storage.shards.log_frames import LogRecord, RecordKind


class LogReading:
    """One shard, while its records are read."""

    def __init__(self, shard: str) -> None:
        """Begin with nothing."""
        self._shard = shard
        self._promised = 0
        self._base = ORIGIN
        self._last: Position | None = None
        self._entries: dict[int, tuple[LogEntry, int]] = {}  # and its segment

    def take(self, record: LogRecord, segment: int) -> None:
        """
        Take in a record of *segment*; they come in their order.

        Raises:
            CorruptRecordError: Something before it is missing.
        """
        entries = enumerate(record.entries, start=record.first)
        match record.kind:
            case RecordKind.HEAD if self._last is not None:
                known = self._promised, self._base, self._last
                if known != (record.promised, record.base, record.last):
                    msg = f"something that shard {self._shard} did last is missing"
                    raise CorruptRecordError(msg)
            case RecordKind.ANEW:
                self._entries.clear()
            case RecordKind.TURN if record.first and self._last is not None:
                for number in range(record.first, self._last.number + 1):
                    self._entries.pop(number, None)
            case _:
                pass
        self._entries.update((number, (entry, segment)) for number, entry in entries)
        if record.kind is not RecordKind.AGAIN:
            self._promised, self._base = record.promised, record.base
            self._last = record.last

    def kept(self) -> KeptLog:
        """
        Return what the shard holds, after the last record.

        Raises:
            CorruptRecordError: Some entries are missing.
        """
        last = self._last or self._base
        numbers = range(self._base.number + 1, last.number + 1)
        for number in numbers:
            if number not in self._entries:
                msg = f"entry {number} of shard {self._shard} is missing"
                raise CorruptRecordError(msg)
        found = [self._entries[number] for number in numbers]
        return KeptLog(
            self._shard,
            self._promised,
            self._base,
            [entry for entry, _ in found],
            [segment for _, segment in found],
        )
