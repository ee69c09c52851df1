"""
The points in time of one object, and the entry that takes it back to one.

    restored        keys, pages of SQL, the alarm
    left as it is   results of calls with idempotency keys: a call that is sent again
                    has happened, though what it did was undone, and must not happen
                    twice; and what the class says (`DurableObject.restore_keeps`)

A restore that waits for the object's next session is a row, so it survives a failover.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final

from kvnode.core.objects.history import (
    Restore,
    decode_before,
    parse_undo_key,
    undo_key,
)
from kvnode.core.objects.homes import region_of
from kvnode.core.objects.map_change import Change, ChangeKind
from kvnode.core.objects.state_reader import StateReader
from kvnode.errors import InvalidArgumentError
from kvnode.objects.points.bookmark import Bookmark
from kvnode.objects.points.point_calls import (
    COUNTED_BYTES_MAX,
    COUNTED_MAX,
    Restored,
)
from kvnode.objects.points.shard_history import ShardHistory
from kvnode.objects.storing.keys import ALARMS, Kind, object_prefix

RESTORES_KEPT: Final = 16
"""Restores by `on_next_session_restore_bookmark` that can be undone, of an object."""

_RESTORED: Final = (Kind.ALARM, Kind.STORED, Kind.SQL_PAGE)
_COUNTED_AT_ONCE: Final = 50
_U64: Final = Struct(">Q")


class ObjectPoints:
    """The points in time of one object."""

    def __init__(self, history: ShardHistory, state: StateReader, body: bytes) -> None:
        """
        Begin.

        Args:
            history: Of the shard.
            state: What the object reads: what is stored, or what it has written, too.
            body: Which object.
        """
        self._history = history
        self._state = state
        self._body = body
        # Entries are numbered by shard: what named one before the object was placed in
        # a region would name another there.
        self._named = body + region_of(history.shard).encode()
        self._due_key = object_prefix(body, Kind.RESTORE_DUE)
        self._restores_key = object_prefix(body, Kind.RESTORES)

    def current(self) -> str:
        """Return the bookmark of all that is known here to be committed."""
        return Bookmark(self._history.committed).text_for(self._named)

    async def at(self, time: int) -> str:
        """
        Return the bookmark of what the object was at *time*, in ms since 1970.

        Raises:
            InvalidArgumentError: That is in the future, or further back than is kept.
        """
        number = await self._history.number_at(time)
        return Bookmark(number).text_for(self._named)

    async def number_of(self, text: str) -> int:
        """
        Return behind which entry the object was what a bookmark names.

        Raises:
            InvalidArgumentError: It is no bookmark of this object, or names what is no
                more known, or not yet.
        """
        bookmark = Bookmark.parse(self._named, text)
        number = bookmark.number
        if bookmark.is_before_restore:
            await self._history.check(number)
            later = [each for each in self._restores() if each >= number]
            if not later:
                msg = f"{text} undoes a restore that has not happened"
                raise InvalidArgumentError(msg)
            number = min(later)
        await self._history.check(number)
        return number

    def restored(self, number: int) -> Restored:
        """
        Return what entry *number* has done, by which the object was restored.

        What it has changed and changed back (`restore_keeps`) does not count.
        """
        keys = pages = size_bytes = 0
        has_alarm = False
        alarm, stored, pages_of = (
            object_prefix(self._body, kind) for kind in _RESTORED
        )
        start, end = undo_key(number), undo_key(number + 1)
        rows = self._state.scan(start, end, limit=_COUNTED_AT_ONCE)
        while rows and keys + pages < COUNTED_MAX and size_bytes < COUNTED_BYTES_MAX:
            for place, row in rows:
                key = parse_undo_key(place)[1]
                size_bytes += len(row)
                if decode_before(row).value != self._state.get(key):
                    keys += key.startswith(stored)
                    pages += key.startswith(pages_of)
                    has_alarm |= key == alarm
            start = rows[-1][0] + b"\0"
            rows = self._state.scan(start, end, limit=_COUNTED_AT_ONCE)
        undo = Bookmark(number - 1).text_for(self._named)
        return Restored(undo, keys, pages, has_alarm, bool(rows))

    # -- a restore at the next session ------------------------------------------------

    def request(self, number: int) -> Change:
        """Return what has the object restored when it starts next."""
        return Change(ChangeKind.PUT, self._due_key, _U64.pack(number))

    def requested_by(self) -> str:
        """Return the bookmark that undoes what was requested up to now."""
        committed = self._history.committed
        return Bookmark(committed, is_before_restore=True).text_for(self._named)

    def requested(self) -> int | None:
        """Return to behind which entry it is to be restored, None if it is not."""
        row = self._state.get(self._due_key)
        return None if row is None else int(_U64.unpack(row)[0])

    def withdrawal(self) -> Change:
        """Return what lets a restore that was requested not happen."""
        return Change(ChangeKind.DELETE, self._due_key)

    # -- the entry ---------------------------------------------------------------------

    def restoring(self, number: int, kept: Iterable[str]) -> list[Change]:
        """
        Return what makes the object what it was behind entry *number*.

        All that it has written must show in the state, and nothing be under way.

        Args:
            number: Which entry.
            kept: Keys that are left as they are.
        """
        prefixes = [object_prefix(self._body, kind) for kind in _RESTORED]
        changes = [Restore(each, b"", number).change() for each in prefixes]
        changes.append(Restore(ALARMS, self._body, number).change())
        stored = object_prefix(self._body, Kind.STORED)
        for key in kept:
            place = stored + key.encode()
            value = self._state.get(place)
            kind = ChangeKind.DELETE if value is None else ChangeKind.PUT
            changes.append(Change(kind, place, value or b""))
        if self.requested() is not None:
            restores = [*self._restores(), self._history.committed][-RESTORES_KEPT:]
            row = b"".join(map(_U64.pack, restores))
            changes.append(self.withdrawal())
            changes.append(Change(ChangeKind.PUT, self._restores_key, row))
        return changes

    def _restores(self) -> list[int]:
        """Return behind which entries requested restores came, ascending."""
        row = self._state.get(self._restores_key) or b""
        return [each for (each,) in _U64.iter_unpack(row)]
