"""
The log of a shard, as one replica holds it.

Entries are numbered from 1 without gaps; each carries the epoch of the leader that
appended it.  Two logs that have an entry of the same number and epoch are equal up to
there (log matching), since a replica takes entries only where the one before them
matches.

    snapshot   up to `base`: what those entries did, and no longer they themselves
    entries    base + 1 .. last

Where two logs part is found in a few steps: each side names its last entry that may be
common, going by numbers and epochs, until both name the same.

References:
    Ongaro & Ousterhout, 2014.  In search of an understandable consensus algorithm,
        section 5.3.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple


class Position(NamedTuple):
    """An entry of a log: its epoch, then its number; later in this order is newer."""

    epoch: int
    number: int


ORIGIN: Final = Position(0, 0)
"""Before the first entry; in common to all logs."""


class LogEntry(NamedTuple):
    """What the leader of *epoch* appended; what it means is not known here."""

    epoch: int
    data: bytes

    @property
    def size_bytes(self) -> int:
        """Return about what the entry adds to a message."""
        return len(self.data) + 16


class QuorumLog:
    """
    One replica's log.

    Attributes:
        base: The last entry that is in the snapshot, ORIGIN if there is none.
    """

    __slots__ = ("_entries", "base")

    def __init__(
        self, base: Position = ORIGIN, entries: Iterable[LogEntry] = ()
    ) -> None:
        self.base = base
        self._entries = list(entries)

    @property
    def last(self) -> Position:
        """Return the newest entry's position."""
        if not self._entries:
            return self.base
        return Position(self._entries[-1].epoch, self.last_number)

    @property
    def last_number(self) -> int:
        """Return the newest entry's number."""
        return self.base.number + len(self._entries)

    @property
    def entries(self) -> tuple[LogEntry, ...]:
        """Return all that is behind the snapshot."""
        return tuple(self._entries)

    def since(self, number: int) -> tuple[LogEntry, ...]:
        """Return the entries from *number* on, which is > base.number."""
        assert number > self.base.number, "what is in the snapshot is no entry"
        return tuple(self._entries[number - self.base.number - 1 :])

    def epoch_at(self, number: int) -> int:
        """Return the epoch of an entry; *number* is in base.number..last.number."""
        if number == self.base.number:
            return self.base.epoch
        assert self.base.number < number <= self.last_number, "the entry is here"
        return self._entries[number - self.base.number - 1].epoch

    def has(self, position: Position) -> bool:
        """Tell whether that very entry is here, or is the last of the snapshot."""
        return (
            self.base.number <= position.number <= self.last_number
            and self.epoch_at(position.number) == position.epoch
        )

    def after(
        self, number: int, *, entries_max: int, bytes_max: int
    ) -> tuple[LogEntry, ...]:
        """
        Return entries behind *number*, at least one if there is any.

        Args:
            number: >= base.number.
            entries_max: How many at most, > 0.
            bytes_max: Ends once they are so large together, > 0.
        """
        assert number >= self.base.number, "what is in the snapshot is no entry"
        first = number - self.base.number
        size, until = 0, first
        while (
            until < len(self._entries)
            and until - first < entries_max
            and size < bytes_max
        ):
            size += self._entries[until].size_bytes
            until += 1
        return tuple(self._entries[first:until])

    def append(self, previous: Position, entries: Sequence[LogEntry]) -> int | None:
        """
        Take in entries behind *previous*, which is here.

        Entries that are here stay.  From the first that differs on, what is here was
        never committed and gives way.

        Returns:
            The number of the first entry that is new here, None if none is.
        """
        assert self.has(previous), "entries are taken where the one before matches"
        for offset, entry in enumerate(entries):
            number = previous.number + offset + 1
            if number <= self.last_number and self.epoch_at(number) == entry.epoch:
                continue
            del self._entries[number - self.base.number - 1 :]
            self._entries.extend(entries[offset:])
            return number
        return None

    def common(self, other: Position) -> Position:
        """
        Return the last position here that another log with *other* may have, too.

        If that is *other* itself, the logs are equal up to there; if it is the base
        and the other log does not have that, the other needs the snapshot.
        """
        number = max(min(other.number, self.last_number), self.base.number)
        while number > self.base.number and self.epoch_at(number) > other.epoch:
            number -= 1
        return Position(self.epoch_at(number), number)

    def forget(self, until: int) -> None:
        """Let a snapshot take the place of the entries up to number *until*."""
        assert self.base.number <= until <= self.last_number, "the snapshot is of here"
        epoch = self.epoch_at(until)
        del self._entries[: until - self.base.number]
        self.base = Position(epoch, until)

    def restart(self, base: Position) -> None:
        """Begin anew behind a snapshot that came from elsewhere."""
        self.base = base
        self._entries.clear()


def needs_snapshot(base: Position, common: Position) -> bool:
    """Tell whether a log lacks *base*, whose last entry in common may be *common*."""
    return common != base and (
        common.number <= base.number or common.epoch < base.epoch
    )
