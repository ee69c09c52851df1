"""
What of a log may go, since the state has it for good.

The newest entries are kept: who was away for a moment is sent those, and not the whole
state.  The others go once a checkpoint of the state covers them, a few in each turn.

While a snapshot is on its way, and for a while after, what comes behind it is kept:
otherwise who has been sent one would need the next one at once.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from kvnode.core.objects.quorum_log import LogEntry, QuorumLog
from kvnode.runtime.shards.state.applier import RETRY_SECONDS, Applier

KEPT_ENTRIES: Final = 10_000
"""Two seconds of writes at full speed, an hour at three a second."""

KEPT_BYTES: Final = 64 * 1024 * 1024
"""Or so many: to send them takes about as long as a small state would take."""

CHECKPOINT_ENTRIES: Final = 2 * KEPT_ENTRIES
"""Applied between two checkpoints, each of which waits for the disk."""

CHECKPOINT_BYTES: Final = KEPT_BYTES
"""Or so many: until then the state's own log grows."""

STEP_ENTRIES: Final = 2_000
"""Leave in one turn, whose sync others wait for: deleting them takes some 4 ms."""

HELD_ENTRIES_MAX: Final = 1_000_000
"""A log that is kept for the sake of a snapshot grows up to here, and no longer."""

HELD_BYTES_MAX: Final = 1 << 30
"""Nor by more than this since the snapshot was begun."""


class Compaction:
    """How far one shard's log may be cut."""

    def __init__(self, applier: Applier, log: Callable[[], QuorumLog]) -> None:
        self._applier = applier
        self._log = log
        self._durable = 0
        self._bytes_then = 0
        self._until = 0
        self._is_writing = False

    @property
    def is_due(self) -> bool:
        """Tell whether it is time for a checkpoint."""
        applier = self._applier
        if self._is_writing or applier.is_lost:
            return False
        last = max(self._durable, self._log().base.number)
        return (
            applier.applied.number - last >= CHECKPOINT_ENTRIES
            or applier.applied_bytes - self._bytes_then >= CHECKPOINT_BYTES
        )

    async def checkpoint(self) -> None:
        """Make the state durable, and find out what of the log may go."""
        self._is_writing = True
        try:
            written = self._applier.applied_bytes
            position = await self._applier.checkpoint()
            if position is None:
                await asyncio.sleep(RETRY_SECONDS)
                return
        finally:
            self._is_writing = False
        self._durable, self._bytes_then = position.number, written
        log = self._log()
        kept = _newest(log.entries)
        self._until = max(self._until, min(position.number, log.last_number - kept))

    def cut(self, committed: int, held: int | None) -> int:
        """
        Return up to which entry the log may be cut in this turn, 0 if not at all.

        Args:
            committed: Up to where the replica knows entries to be committed.
            held: What comes behind this is needed, if anything is.
        """
        log = self._log()
        until = min(self._until, committed, log.base.number + STEP_ENTRIES)
        if held is not None and log.last_number - log.base.number < HELD_ENTRIES_MAX:
            until = min(until, held)
        return until if until > log.base.number else 0


def _newest(entries: tuple[LogEntry, ...]) -> int:
    """Return how many of the newest entries are to be kept."""
    count = size_bytes = 0
    for entry in reversed(entries[-KEPT_ENTRIES:]):
        size_bytes += entry.size_bytes
        if size_bytes > KEPT_BYTES:
            break
        count += 1
    return count
