"""
What has been written and does not show yet in what lies below.

An object reads its own writes at once, long before they are committed and applied.
So reads look here first, and only then into the state of the shard; and what is
staged here is taken, batch by batch, to be proposed.  A transaction is an overlay
over an overlay.

    put, delete, clear  ->  staged  ->  taken: a batch  ->  committed, applied: settled
    reads see it     *         *           *                    *     from below now
"""

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Final

from kvnode.core.objects.map_change import ENTRY_BYTES_MAX, Change, ChangeKind
from kvnode.core.objects.state_reader import Row, StateReader
from kvnode.errors import InvalidArgumentError

CHANGE_BYTES: Final = 8
"""What a change takes beside key and value, about."""

_PUT: Final = ChangeKind.PUT
_DELETE_PREFIX: Final = ChangeKind.DELETE_PREFIX

STAMP_BYTES: Final = 16
"""What is before them in an entry (kvnode.core.objects.history), about."""


class Overlay:
    """
    Writes over a state.

    Attributes:
        reserved_bytes: Of the entry that is being staged; not for what comes now.
    """

    def __init__(self, below: StateReader) -> None:
        self.reserved_bytes = 0
        self._below = below
        self._number = 1  # of the batch that is being staged
        self._staged: dict[bytes, Change] = {}  # in the order in which they count
        self._staged_bytes = 0
        self._written: dict[bytes, tuple[int, bytes | None]] = {}
        self._hidden: dict[bytes, int] = {}  # prefixes of which nothing below shows
        self._by_batch: dict[int, dict[bytes, None]] = {}  # in order, unlike sets

    # -- reading ---------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """Return the value of *key*, None if there is none."""
        written = self._written.get(key)
        if written is not None:
            return written[1]
        return None if self._hides(key) else self._below.get(key)

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False, limit: int
    ) -> list[Row]:
        """
        Return the first *limit* rows of [start, end), or the last if *reverse*.

        A range that begins under a cleared prefix must end under it.
        """
        assert limit > 0, "somebody wants something"
        own = sorted(
            (
                (key, value)
                for key, (_, value) in self._written.items()
                if start <= key and (end is None or key < end)
            ),
            reverse=reverse,
        )
        if self._hides(start):
            below: Iterable[Row] = ()
        else:
            below = _rows(self._below, start, end, reverse=reverse, limit=limit)
        return list(islice(self._merged(own, below, reverse=reverse), limit))

    def _hides(self, key: bytes) -> bool:
        return any(key.startswith(prefix) for prefix in self._hidden)

    def _merged(
        self,
        own: list[tuple[bytes, bytes | None]],
        below: Iterable[Row],
        *,
        reverse: bool,
    ) -> Iterator[Row]:
        written = self._written
        others = ((key, value) for key, value in below if key not in written)
        for key, value in merge(own, others, key=_key, reverse=reverse):
            if value is not None:
                yield key, value

    # -- writing ---------------------------------------------------------------

    def try_stage(self, changes: Sequence[Change]) -> bool:
        """
        Take in changes, in order, if they may join what is staged in one entry.

        Returns:
            Whether they may; if not, none of them is taken in.
        """
        size = self._staged_bytes + self.reserved_bytes + STAMP_BYTES
        for change in changes:
            size += _size(change)
        if size > ENTRY_BYTES_MAX:
            return False
        for change in changes:
            self._stage_one(change)
        return True

    def stage(self, changes: Sequence[Change]) -> None:
        """
        Take in changes, in order.

        Raises:
            InvalidArgumentError: They are too much for one entry of the log; none of
                them is taken in, and those before them stay.
        """
        if not self.try_stage(changes):
            msg = (
                f"more than {ENTRY_BYTES_MAX} bytes are written in one step: write"
                " less, or await something else than storage in between"
            )
            raise InvalidArgumentError(msg)

    def _stage_one(self, change: Change) -> None:
        kind, key, value = change
        number = self._number
        if kind is _DELETE_PREFIX:
            self._clear(key)
            self._hidden[key] = number
        else:
            self._written[key] = (number, value if kind is _PUT else None)
        staged = self._staged
        former = staged.pop(key, None)  # it counts from now on, not before
        staged[key] = change
        if former is not None:
            self._staged_bytes += len(value) - len(former.value)
        else:
            self._staged_bytes += _size(change)
            self._by_batch.setdefault(number, {})[key] = None

    def _clear(self, prefix: bytes) -> None:
        """Forget what was written below a prefix; of that, all goes."""
        for key in [key for key in self._written if key.startswith(prefix)]:
            del self._written[key]
        for key in [key for key in self._staged if key.startswith(prefix)]:
            self._staged_bytes -= _size(self._staged.pop(key))

    @property
    def is_staging(self) -> bool:
        """Tell whether there is anything to take."""
        return bool(self._staged)

    def take(self) -> tuple[int, tuple[Change, ...]]:
        """Return what is staged, and the number of that batch; the next begins."""
        assert self._staged, "there is something to take"
        number, changes = self._number, tuple(self._staged.values())
        self._number += 1
        self._staged = {}
        self._staged_bytes = 0
        return number, changes

    def settle(self, number: int) -> None:
        """What lies below shows batch *number* and all before it from now on."""
        for batch in [each for each in self._by_batch if each <= number]:
            for key in self._by_batch.pop(batch):
                written = self._written.get(key)
                if written is not None and written[0] <= number:
                    del self._written[key]
                if self._hidden.get(key, number + 1) <= number:
                    del self._hidden[key]


def _size(change: Change) -> int:
    _, key, value = change
    return len(key) + len(value) + CHANGE_BYTES


def _key(row: tuple[bytes, bytes | None]) -> bytes:
    return row[0]


def _rows(
    state: StateReader, start: bytes, end: bytes | None, *, reverse: bool, limit: int
) -> Iterator[Row]:
    """Yield all rows of a range, read in pieces: what was written hides some."""
    while True:
        rows = state.scan(start, end, reverse=reverse, limit=limit)
        yield from rows
        if len(rows) < limit:
            return
        if reverse:
            end = rows[-1][0]
        else:
            start = rows[-1][0] + b"\0"
