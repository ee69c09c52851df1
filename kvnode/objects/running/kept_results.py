"""
The results of calls with idempotency keys, by key and by how long they are kept.

    RESULT      key         what came of the call (kept_result)
    RESULT_DUE  until key   how many bytes it takes
    RESULT_SUM              how many bytes all of them take

Each call that keeps another lets some go whose time is over, and more of them than it
adds: so what is kept shrinks to what has to be kept.
"""

from struct import Struct
from typing import Final

from kvnode.core.objects.map_change import Change, ChangeKind
from kvnode.errors import OverloadedError
from kvnode.objects.running.kept_result import KeptResult, decode_kept
from kvnode.objects.storing.keys import Kind, end_of, object_prefix
from kvnode.objects.storing.overlay import Overlay
from kvnode.types import Millis

KEPT_BYTES_MAX: Final = 256 * 1024 * 1024
"""Of one object: 15 calls a second for a day, with results of some bytes."""

FORGOTTEN_PER_CALL: Final = 4
RESERVED_BYTES: Final = 2 * 1024 * 1024
"""Of an entry, for a result of 1 MiB at most and what goes with it."""

_ROW_BYTES: Final = 150
"""What a kept result takes beside itself and its key: its keys in the map, twice."""

_U64 = Struct(">Q")


class KeptResults:
    """What one object keeps of calls."""

    def __init__(self, overlay: Overlay, body: bytes) -> None:
        """Read in *overlay*, for the object of *body*."""
        self._overlay = overlay
        self._result = object_prefix(body, Kind.RESULT)
        self._due = object_prefix(body, Kind.RESULT_DUE)
        self._sum = object_prefix(body, Kind.RESULT_SUM)

    def find(self, key: bytes, now: Millis) -> KeptResult | None:
        """Return what came of the call with *key*; None if nothing is kept of it."""
        row = self._overlay.get(self._result + key)
        kept = None if row is None else decode_kept(row)
        return kept if kept is not None and kept.until > now else None

    def check_room(self, now: Millis) -> None:
        """
        Do nothing if another result may be kept.

        Raises:
            OverloadedError: It may not; some have to expire before.
        """
        if self._bytes() < KEPT_BYTES_MAX:
            return
        oldest = self._oldest(1)
        if oldest and oldest[0][0] > now:
            msg = (
                f"the object keeps {KEPT_BYTES_MAX} bytes of results of calls with"
                " idempotency keys, which is as many as may be in a day"
            )
            raise OverloadedError(msg)

    def changes(self, key: bytes, kept: KeptResult, now: Millis) -> list[Change]:
        """Return what keeps *kept* under *key*, and forgets some others."""
        row = kept.encode()
        size = len(row) + 2 * len(key) + _ROW_BYTES
        gone = {
            each: (until, bytes_)
            for until, each, bytes_ in self._oldest(FORGOTTEN_PER_CALL)
            if until <= now
        }
        former = self._overlay.get(self._result + key)
        if former is not None:  # its time is over, or the call had not been made
            bytes_ = len(former) + 2 * len(key) + _ROW_BYTES
            gone[key] = decode_kept(former).until, bytes_
        changes = []
        for each, (until, bytes_) in gone.items():
            changes.append(Change(ChangeKind.DELETE, self._result + each))
            changes.append(Change(ChangeKind.DELETE, self._due_key(until, each)))
            size -= bytes_
        at = self._due_key(kept.until, key)
        taken = _U64.pack(len(row) + 2 * len(key) + _ROW_BYTES)
        total = _U64.pack(self._bytes() + size)
        return [
            *changes,
            Change(ChangeKind.PUT, self._result + key, row),
            Change(ChangeKind.PUT, at, taken),
            Change(ChangeKind.PUT, self._sum, total),
        ]

    def _bytes(self) -> int:
        row = self._overlay.get(self._sum)
        found: int = 0 if row is None else _U64.unpack(row)[0]
        return found

    def _oldest(self, count: int) -> list[tuple[Millis, bytes, int]]:
        """Return until when the first to expire are kept, their keys and sizes."""
        rows = self._overlay.scan(self._due, end_of(self._due), limit=count)
        skipped = len(self._due)
        return [
            (
                Millis(_U64.unpack_from(key, skipped)[0]),
                key[skipped + _U64.size :],
                _U64.unpack(value)[0],
            )
            for key, value in rows
        ]

    def _due_key(self, until: Millis, key: bytes) -> bytes:
        return self._due + _U64.pack(until) + key
