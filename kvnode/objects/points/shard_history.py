"""
The history of a shard that is led here: what it stamps, finds, and lets go.

Every entry that is proposed here begins with the time.  So each replica puts down what
the entry changes (kvnode.core.objects.history), and what can be restored is the same
whoever leads next.  Times never go back within a shard, also where another leader's
clock was ahead: points are found by time in a binary search.

What is let go is decided here as well, by an entry: by age and by size, whichever is
less.  That and restores exclude each other, so a restore that was found possible is.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from kvnode.core.objects.history import (
    UNDO_END,
    UNKNOWN_TIME,
    Forget,
    HistoryMark,
    decode_before,
    mark_of,
    parse_undo_key,
    stamp,
    undo_key,
)
from kvnode.core.objects.map_change import encode_changes
from kvnode.errors import InvalidArgumentError, KvError, NotLeaderError
from kvnode.objects.running.log_port import ShardLog
from kvnode.types import Millis

logger = logging.getLogger(__name__)

HOURS_DEFAULT: Final = 168
"""A week: a mistake of Friday night is seen on Monday."""

SHARD_BYTES_DEFAULT: Final = 256 * 1024 * 1024
"""4 GiB for 16 shards; and a snapshot of a shard takes up to half a minute longer."""

_HOUR_MILLIS: Final = 3600 * 1000
_SLACK: Final = 20
"""A twentieth more is kept, in age and size: what goes, goes in large pieces."""


class HistoryLimits(NamedTuple):
    """
    How much of a shard's history is kept.

    Attributes:
        hours: 0 = none at all.
        shard_bytes: Of what keys held before.
    """

    hours: int = HOURS_DEFAULT
    shard_bytes: int = SHARD_BYTES_DEFAULT


HISTORY_DEFAULT: Final = HistoryLimits()


class ShardHistory:
    """
    The history of one shard, while this node leads it.

    Attributes:
        shard: Its name.
        changing: Held by whoever restores, or lets go.
        shard: Its name.
    """

    def __init__(
        self,
        shard: str,
        log: ShardLog,
        limits: HistoryLimits,
        now: Callable[[], Millis],
        *,
        opened: int,
    ) -> None:
        """
        Begin.

        Args:
            shard: Its name.
            log: Where its entries go.
            limits: How much is kept.
            now: Returns ms since 1970.
            opened: The last entry there is; the state has it.
        """
        self.changing = asyncio.Lock()
        self.shard = shard
        self._log = log
        self._limits = limits
        self._now = now
        self._committed = self._applied = opened
        self._shows = asyncio.Event()
        self._is_closed = False
        mark = self._mark()
        self._last_time = Millis(0) if mark is None else mark.last_time

    @property
    def is_kept(self) -> bool:
        """Tell whether there is any."""
        return self._limits.hours > 0

    @property
    def applied_number(self) -> int:
        """Return the last entry that the state shows."""
        return self._applied

    @property
    def committed(self) -> int:
        """Return the last entry that is known here to be committed."""
        return self._committed

    def propose(self, data: bytes) -> "asyncio.Future[int]":
        """Append an entry with the time before it; see ShardLog.propose."""
        if self.is_kept:
            self._last_time = max(self._last_time, self._now())
            data = encode_changes([stamp(self._last_time)]) + data
        return self._append(data)

    def _append(self, data: bytes) -> "asyncio.Future[int]":
        entry = self._log.propose(self.shard, data)
        entry.add_done_callback(self._appended)
        return entry

    def _appended(self, entry: "asyncio.Future[int]") -> None:
        if not entry.cancelled() and entry.exception() is None:
            self._committed = max(self._committed, entry.result())

    def applied(self, number: int) -> None:
        """The shard's state shows entries up to *number* from now on."""
        self._applied = max(self._applied, number)
        self._committed = max(self._committed, number)
        self._shows.set()

    def close(self) -> None:
        """Let nobody wait any more: this node does not lead."""
        self._is_closed = True
        self._shows.set()

    async def shows(self, number: int) -> None:
        """
        Return once the state shows entry *number*.

        Raises:
            NotLeaderError: This node has lost the lead before.
        """
        while self._applied < number and not self._is_closed:
            self._log.hurry(self.shard)
            self._shows.clear()
            await self._shows.wait()
        if self._is_closed:
            msg = f"this node has lost the lead of shard {self.shard}"
            raise NotLeaderError(msg)

    # -- points --------------------------------------------------------------------

    async def number_at(self, time: int) -> int:
        """
        Return the last entry that was proposed by *time*, in ms since 1970.

        Raises:
            InvalidArgumentError: That is in the future, or further back than is kept.
            NotLeaderError: This node has lost the lead meanwhile.
        """
        await self.shows(self._committed)
        self._check_kept()
        if time > self._now():
            msg = f"{_shown(time)} is in the future: it is {_shown(self._now())}"
            raise InvalidArgumentError(msg)
        mark = self._mark()
        if mark is None or time < mark.floor_time:
            msg = f"nothing is kept of what was at {_shown(time)}: {self._kept(mark)}"
            raise InvalidArgumentError(msg)
        return self._last_by(time, mark)

    async def check(self, number: int) -> None:
        """
        Return if an object can be restored to what it was behind entry *number*.

        Raises:
            InvalidArgumentError: It cannot: that is yet to come, or too long ago.
            NotLeaderError: This node has lost the lead meanwhile.
        """
        committed = self._committed
        await self.shows(committed)
        self._check_kept()
        if number > committed:
            msg = (
                f"the bookmark is in the future: it names entry {number} of shard"
                f" {self.shard}, which has {committed}; was it taken before data was"
                " lost?"
            )
            raise InvalidArgumentError(msg)
        mark = self._mark()
        floor = self._applied if mark is None else mark.floor
        if number < floor:
            msg = f"the bookmark is too old: {self._kept(mark)}"
            raise InvalidArgumentError(msg)

    def _check_kept(self) -> None:
        if not self.is_kept:
            msg = (
                f"the node that leads shard {self.shard} keeps nothing to restore"
                " from: its objects_history_hours is 0"
            )
            raise InvalidArgumentError(msg)

    def _kept(self, mark: HistoryMark | None) -> str:
        begins = "from now on"
        if mark is not None and mark.floor_time != UNKNOWN_TIME:
            begins = f"from {_shown(mark.floor_time)} on"
        return (
            f"shard {self.shard} can be restored {begins}, at most"
            f" {self._limits.hours} hours and {self._limits.shard_bytes} bytes"
            " (objects_history_hours, objects_history_bytes)"
        )

    def _last_by(self, time: int, mark: HistoryMark) -> int:
        """Return the last entry up to *time*, by binary search."""
        first, behind = mark.floor + 1, self._committed + 1
        while first < behind:
            middle = (first + behind) // 2
            found = self._first(middle)
            if found is None or found[1] > time:
                behind = middle
            else:
                first = found[0] + 1
        return first - 1

    def _first(self, number: int) -> tuple[int, Millis] | None:
        """Return the first entry from *number* on that has put something down."""
        state = self._log.state(self.shard)
        rows = state.scan(undo_key(number), UNDO_END, limit=1)
        if not rows:
            return None
        key, row = rows[0]
        return parse_undo_key(key)[0], decode_before(row).time

    def _mark(self) -> HistoryMark | None:
        return mark_of(self._log.state(self.shard))

    # -- what is let go --------------------------------------------------------------

    async def forget(self) -> None:
        """Let go what is too old, or too much, after a restore that is under way."""
        async with self.changing:
            try:
                forget = self._due()
                if forget is not None:
                    number = await self._append(encode_changes([forget.change()]))
                    await self.shows(number)
            except KvError as error:
                logger.debug("history of shard %s stays for now: %s", self.shard, error)

    def _due(self) -> Forget | None:
        """Return what is to be let go, if it is time for that."""
        mark = self._mark()
        first = self._first(0)
        if mark is None or first is None:
            return None
        if not self.is_kept:
            return Forget(mark.floor, 0)
        number, time = first
        age = self._limits.hours * _HOUR_MILLIS
        oldest = self._now() - age
        is_useless = number <= mark.floor
        is_old = time < oldest - age // _SLACK
        bytes_max = self._limits.shard_bytes
        is_large = mark.size_bytes > bytes_max + bytes_max // _SLACK
        if not is_useless and not is_old and not is_large:
            return None
        until = self._last_by(oldest, mark) if time <= oldest else mark.floor
        return Forget(until, bytes_max)


def _shown(time: int) -> str:
    """Return a time in words, or as it is where there are none."""
    try:
        return datetime.fromtimestamp(time / 1000, UTC).isoformat(
            timespec="milliseconds"
        )
    except (OverflowError, ValueError, OSError):
        return f"{time} ms since 1970"
