"""
An object's alarm: when it is due, and how often it has failed.

A failed run is tried again after 2 s, 4 s, 8 s and so on, with a quarter of that more
or less, so that alarms that failed together do not come back together.  Failures of the
object's own code count, and after six the alarm is given up; ours (the lead was lost,
the disk is full) do not.

Source: Cloudflare's Durable Objects, "Alarms".
"""

from struct import Struct
from typing import Final, NamedTuple

from kvnode.core.objects.map_change import Change, ChangeKind
from kvnode.errors import CorruptRecordError
from kvnode.objects.storing.keys import Kind, due_key, object_prefix
from kvnode.types import Millis

RETRY_FIRST_MILLIS: Final = 2000
RETRY_MILLIS_MAX: Final = 1_024_000
COUNTED_MAX: Final = 6

_ROW = Struct(">QHH")
_U16_MAX: Final = 0xFFFF


class Alarm(NamedTuple):
    """
    An alarm that is set.

    Attributes:
        due: In ms since 1970.
        counted: Runs that failed by the object's own doing.
        uncounted: Other runs that failed.
    """

    due: Millis
    counted: int = 0
    uncounted: int = 0

    def encode(self) -> bytes:
        """Return the alarm's row; the inverse of `decode_alarm`."""
        return _ROW.pack(self.due, self.counted, min(self.uncounted, _U16_MAX))

    def failed(self, now: Millis, *, is_counted: bool, chance: float) -> "Alarm | None":
        """
        Return when it is tried again; None = it is given up.

        Args:
            now: In ms since 1970.
            is_counted: Whether the object's own code has failed.
            chance: In [0, 1); where in the jitter it falls.
        """
        counted = self.counted + is_counted
        uncounted = self.uncounted + (not is_counted)
        if counted >= COUNTED_MAX:
            return None
        doublings = min(counted + uncounted - 1, 16)
        delay = min(RETRY_FIRST_MILLIS << doublings, RETRY_MILLIS_MAX)
        jittered = int(delay * (0.75 + chance / 2))
        return Alarm(Millis(now + jittered), counted, uncounted)


def decode_alarm(row: bytes) -> Alarm:
    """
    Return the alarm of a row.

    Raises:
        CorruptRecordError: These are no such bytes.
    """
    if len(row) != _ROW.size:
        msg = f"an alarm has {len(row)} bytes where {_ROW.size} are due"
        raise CorruptRecordError(msg)
    due, counted, uncounted = _ROW.unpack(row)
    return Alarm(Millis(due), counted, uncounted)


def alarm_changes(
    body: bytes, before: Alarm | None, after: Alarm | None
) -> list[Change]:
    """Return what sets the alarm of an object from *before* to *after*."""
    key = object_prefix(body, Kind.ALARM)
    changes = []
    if before is not None:
        changes.append(Change(ChangeKind.DELETE, due_key(before.due, body)))
    if after is None:
        changes.append(Change(ChangeKind.DELETE, key))
    else:
        changes.append(Change(ChangeKind.PUT, key, after.encode()))
        changes.append(Change(ChangeKind.PUT, due_key(after.due, body), b""))
    return changes
