"""
What an entry does to a map and its history, in the plainest way: key by key.

It is what states in memory do, and the meaning of what others do in fewer steps
(kvnode.storage.shards.sqlite).
"""

from collections.abc import Sequence
from typing import Final, Protocol, assert_never

from kvnode.core.objects.history import (
    MARK_KEY,
    UNDO,
    UNDO_END,
    Before,
    Forget,
    HistoryMark,
    Restore,
    decode_before,
    forget_of,
    left_gap,
    mark_of,
    parse_undo_key,
    restore_of,
    stamp_time,
    stamped,
    undo_key,
)
from kvnode.core.objects.map_change import Change, ChangeKind
from kvnode.core.objects.state_reader import Row, StateReader, prefix_end
from kvnode.types import Millis

_ALL: Final = 1 << 62
"""More rows than any map in memory has."""


class PlainMap(StateReader, Protocol):
    """A map that can be changed, key by key."""

    def put(self, key: bytes, value: bytes) -> None:
        """Put *value* under *key*, new or not."""

    def discard(self, key: bytes) -> None:
        """Remove *key* if it is there."""


def perform(rows: PlainMap, number: int, changes: Sequence[Change]) -> None:
    """
    Do what entry *number* says.

    Raises:
        CorruptRecordError: The history is damaged; some of it may be done.
    """
    entry = _Entry(rows, number)
    for change in changes:
        entry.do(change)
    if entry.mark is not None:
        rows.put(MARK_KEY, entry.mark.encode())


class _Entry:
    """
    One entry that is being done.

    Attributes:
        mark: How far back the map can be restored by now.
    """

    def __init__(self, rows: PlainMap, number: int) -> None:
        self.mark: HistoryMark | None = mark_of(rows)
        self._rows = rows
        self._number = number
        self._time: Millis | None = None

    def do(self, change: Change) -> None:
        kind, key, value = change
        match kind:
            case ChangeKind.PUT:
                self._set(key, value)
            case ChangeKind.DELETE:
                self._set(key, None)
            case ChangeKind.DELETE_PREFIX:
                for each, _ in self._range(key, prefix_end(key)):
                    self._set(each, None)
                self._leave_gap()
            case ChangeKind.STAMP:
                self._stamp(stamp_time(change))
            case ChangeKind.RESTORE:
                self._restore(restore_of(change))
            case ChangeKind.FORGET:
                self._forget(forget_of(change))
            case _:
                assert_never(kind)

    def _stamp(self, time: Millis) -> None:
        self._time = time
        self.mark = stamped(self.mark, self._number, time)

    def _set(self, key: bytes, value: bytes | None) -> None:
        """Let *key* hold *value*, or nothing; put down what it held."""
        place = undo_key(self._number, key)
        if self._time is not None and self._rows.get(place) is None:
            assert self.mark is not None, "a stamp has set it"
            row = Before(self._time, self._rows.get(key)).encode()
            self._rows.put(place, row)
            size_bytes = self.mark.size_bytes + len(place) + len(row)
            self.mark = self.mark._replace(size_bytes=size_bytes)
        self._leave_gap()
        if value is None:
            self._rows.discard(key)
        else:
            self._rows.put(key, value)

    def _leave_gap(self) -> None:
        if self._time is None and self.mark is not None:
            self.mark = left_gap(self.mark, self._number)

    def _restore(self, restore: Restore) -> None:
        if self._time is None or self.mark is None or restore.number < self.mark.floor:
            return
        former: dict[bytes, bytes | None] = {}
        for place, row in self._range(undo_key(restore.number + 1), UNDO_END):
            key = parse_undo_key(place)[1]
            if restore.selects(key):
                former.setdefault(key, decode_before(row).value)
        for key, value in former.items():
            if self._rows.get(key) != value:
                self._set(key, value)

    def _forget(self, forget: Forget) -> None:
        for place, row in self._range(UNDO, UNDO_END):
            number = parse_undo_key(place)[0]
            mark = self.mark
            assert mark is not None, "there are no rows without a mark"
            if (
                number > max(forget.number, mark.floor)
                and mark.size_bytes <= forget.size_bytes_max
            ):
                break
            self._rows.discard(place)
            size_bytes = mark.size_bytes - len(place) - len(row)
            self.mark = mark._replace(size_bytes=size_bytes)
            if number > mark.floor:
                time = decode_before(row).time
                self.mark = self.mark._replace(floor=number, floor_time=time)
        if self.mark is not None:
            floor = max(self.mark.floor, forget.number)
            self.mark = self.mark._replace(floor=floor)

    def _range(self, start: bytes, end: bytes | None) -> list[Row]:
        return self._rows.scan(start, end, limit=_ALL)
