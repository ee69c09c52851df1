"""
One shard as its store keeps it: what is durable, and in which segment each entry is.

A segment may go once no entry of any shard is in it.
"""

from collections.abc import Iterable

from kvnode.core.objects.events import Persist
from kvnode.core.objects.quorum_log import ORIGIN, LogEntry, Position, QuorumLog
from kvnode.storage.shards.log_frames import LogRecord, RecordKind


class KeptLog:
    """
    One shard.

    Attributes:
        shard: Its name.
        promised: What it has promised.
        base: Its log begins behind that entry.
        entry_bytes: How large its entries are, about.
    """

    def __init__(
        self,
        shard: str,
        promised: int = 0,
        base: Position = ORIGIN,
        entries: Iterable[LogEntry] = (),
        segments: Iterable[int] = (),
    ) -> None:
        """
        Begin with what is durable.

        Args:
            shard: Its name.
            promised: What it has promised.
            base: Its log begins behind that entry.
            entries: All that are behind it.
            segments: Where each of them is.
        """
        self.shard = shard
        self.promised = promised
        self.base = base
        self._entries = list(entries)
        self._segments = list(segments)
        self.entry_bytes = _bytes_of(self._entries)

    @property
    def last(self) -> Position:
        """Return the newest entry."""
        return self._position(self.base.number + len(self._entries))

    @property
    def oldest_segment(self) -> int | None:
        """Return the first segment in which it has an entry; None if it has none."""
        return min(self._segments, default=None)

    def log(self) -> QuorumLog:
        """Return its log, for somebody who will change that."""
        return QuorumLog(self.base, self._entries)

    # -- as records ------------------------------------------------------------------

    def record_of(self, turn: Persist) -> LogRecord:
        """Return how *turn* is written."""
        is_anew = turn.base != self.base and not self._has(turn.base)
        kind = RecordKind.ANEW if is_anew else RecordKind.TURN
        if turn.entries:
            number = turn.first + len(turn.entries) - 1
            last = Position(turn.entries[-1].epoch, number)
        elif is_anew:
            last = turn.base
        else:
            number = turn.first - 1 if turn.first else self.last.number
            last = self._position(max(number, turn.base.number))
        return LogRecord(
            kind, self.shard, turn.promised, turn.base, last, turn.first, turn.entries
        )

    def head(self) -> LogRecord:
        """Return what is said of it when a segment begins."""
        return LogRecord(
            RecordKind.HEAD, self.shard, self.promised, self.base, self.last, 0, ()
        )

    def again(self, segment: int, bytes_max: int) -> LogRecord | None:
        """
        Return entries that are in *segment*, to be written once more; None if none is.

        At least one, and no more once they have *bytes_max* bytes.
        """
        if segment not in self._segments:
            return None
        start = end = self._segments.index(segment)
        size = 0
        while (
            end < len(self._entries)
            and self._segments[end] == segment
            and size < bytes_max
        ):
            size += self._entries[end].size_bytes
            end += 1
        return LogRecord(
            RecordKind.AGAIN,
            self.shard,
            self.promised,
            self.base,
            self.last,
            self.base.number + 1 + start,
            tuple(self._entries[start:end]),
        )

    # -- what becomes of it ----------------------------------------------------------

    def take(self, record: LogRecord, segment: int) -> None:
        """Take in a record of its own that is durable in *segment*."""
        place = record.first - self.base.number - 1
        count = len(record.entries)
        if record.kind is RecordKind.AGAIN:
            self._segments[place : place + count] = [segment] * count
            return
        if record.kind is RecordKind.ANEW:
            self._drop(0, len(self._entries))
            place = 0
        elif record.first:
            self._drop(max(0, place), len(self._entries))
        self._entries.extend(record.entries)
        self._segments.extend([segment] * count)
        self.entry_bytes += _bytes_of(record.entries)
        if record.kind is not RecordKind.ANEW:
            forgotten = record.base.number - self.base.number
            self._drop(0, min(forgotten, len(self._entries)))
        self.promised, self.base = record.promised, record.base
        assert self.last == record.last, "a record says what comes of it"

    def _drop(self, start: int, end: int) -> None:
        self.entry_bytes -= _bytes_of(self._entries[start:end])
        del self._entries[start:end], self._segments[start:end]

    def _has(self, position: Position) -> bool:
        return (
            self.base.number < position.number <= self.last.number
            and self._position(position.number) == position
        )

    def _position(self, number: int) -> Position:
        """Return the entry of a number, which is here, or the base."""
        if number == self.base.number:
            return self.base
        return Position(self._entries[number - self.base.number - 1].epoch, number)


def _bytes_of(entries: Iterable[LogEntry]) -> int:
    return sum(entry.size_bytes for entry in entries)
