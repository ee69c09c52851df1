"""
One shard's applied state, and what brings it behind the log.

Entries that are committed are applied in the background, in their order, many in one
transaction.  The log is there for as long as the state may lose them (`checkpoint`), so
nothing waits for the state's disk.

A state that cannot take entries for the moment is asked again and again.  One whose
disk has failed is closed and opened again.  One that is damaged, or lacks what has left
the log, is lost: the replica goes on holding the log, and does not lead, until another
node has sent it the state (`install`) or somebody has repaired it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from kvnode.core.objects.quorum_log import ORIGIN, Position, QuorumLog
from kvnode.errors import CorruptRecordError, KvError, UnavailableError
from kvnode.storage.shards.state_port import ShardState, ShardStates, StateInstall

logger = logging.getLogger(__name__)

APPLY_ENTRIES_MAX: Final = 1024
"""In one transaction: some tenths of a second where SQLite is slow."""

APPLY_PAUSE_SECONDS: Final = 0.5
"""
After what there was: ten entries cost little more than one in a transaction.

Sixteen shards that applied twenty times a second took a third of a node's work.
"""

APPLY_BYTES_MAX: Final = 4 * 1024 * 1024
"""And so many, or one entry."""

RETRY_SECONDS: Final = 1.0
"""A disk that was full is full for a while."""


class Applier:
    """
    The state of one shard, and its way behind the log.

    Attributes:
        fault: What is wrong with the state; empty if nothing is.
        is_lost: It will not get better by itself: this node must not lead.
        applied_bytes: How large the entries were that were applied, since the start.
    """

    def __init__(
        self,
        shard: str,
        states: ShardStates,
        log: Callable[[], QuorumLog],
        *,
        on_applied: Callable[[int], None],
        on_lost: Callable[[], None],
    ) -> None:
        """
        Take over the state of *shard*, which `run` opens.

        Args:
            shard: Its name.
            states: Those of this node.
            log: Returns the replica's log as it is now.
            on_applied: Told up to which entry the state has all, when that changes.
            on_lost: Told when `is_lost` becomes true.
        """
        self.fault = ""
        self.is_lost = False
        self.applied_bytes = 0
        self._shard = shard
        self._states = states
        self._log = log
        self._on_applied = on_applied
        self._on_lost = on_lost
        self._state: ShardState | None = None
        self._is_failed = False  # it takes no more until it has been opened again
        self._committed = 0
        self._uses = 0
        self._wake = asyncio.Event()
        self._hurried = asyncio.Event()
        self._wake.set()
        self._changing = asyncio.Lock()  # of what must not overlap

    @property
    def applied(self) -> Position:
        """Return the last entry that the state has, ORIGIN while it is not open."""
        return ORIGIN if self._state is None else self._state.applied

    @property
    def state(self) -> ShardState:
        """
        Return the state, which another object may have after a failure.

        Raises:
            UnavailableError: It is not open.
        """
        if self._state is None or self.is_lost:
            msg = f"the state of shard {self._shard} is not there: {self.fault}"
            raise UnavailableError(msg)
        return self._state

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep a state whose disk has failed from being closed meanwhile."""
        self._uses += 1
        try:
            yield
        finally:
            self._uses -= 1

    def has(self, position: Position) -> bool:
        """Tell whether the state is there, and has that entry."""
        return not self.is_lost and self.applied.number >= position.number

    def committed(self, number: int) -> None:
        """Let entries up to *number* be applied."""
        self._committed = max(self._committed, number)
        self._wake.set()

    def hurry(self) -> None:
        """Let no entries gather before the next are applied: somebody waits for it."""
        self._hurried.set()

    async def run(self) -> None:
        """Apply what is committed, for ever; see the module."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._open()
                while await self._apply_some():
                    pass
            except (KvError, OSError) as error:
                if self._failed(error):
                    await asyncio.sleep(RETRY_SECONDS)
                    self._wake.set()
            else:
                if not self.is_lost:
                    self.fault = ""
                await self._pause()

    async def _pause(self) -> None:
        """Let entries gather for a while, unless somebody waits for them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(APPLY_PAUSE_SECONDS):
                await self._hurried.wait()
        self._hurried.clear()

    async def checkpoint(self) -> Position | None:
        """Return up to where the state is durable now, None if it cannot be made so."""
        try:
            with self.used():
                return await self.state.checkpoint()
        except (KvError, OSError) as error:
            if self._failed(error):
                self._wake.set()
            return None

    async def begin_install(self) -> StateInstall:
        """
        Begin to take in another state, be this one lost or not.

        Raises:
            KvError, OSError: See kvnode.storage.shards.state_port.
        """
        return await (self._state or self.state).install()

    async def finish_install(self, install: StateInstall, base: Position) -> None:
        """
        Put *install* in place of the state, durably, unless the state is beyond it.

        Raises:
            KvError, OSError: The state is what it was.
        """
        async with self._changing:
            if self.has(base):
                await self.state.checkpoint()
                return
            try:
                await install.finish(base)
            except OSError as error:
                self._failed(error)
                self._wake.set()
                raise
            self.is_lost, self.fault = False, ""
        self._committed = max(self._committed, base.number)
        self._wake.set()
        self._on_applied(base.number)

    async def _open(self) -> None:
        """Open the state, and again if its disk has failed."""
        is_due = self._state is None and not self.is_lost
        if self._is_failed:
            is_due = True
            if self._uses:
                msg = "its disk has failed, and others have not noticed yet"
                raise UnavailableError(msg)
            async with self._changing:
                if self._state is not None:
                    self._state.close()
                self._state, self._is_failed = None, False
        if is_due:
            self._state = self._states.open(self._shard)
            if self.applied.number:
                self._on_applied(self.applied.number)

    async def _apply_some(self) -> bool:
        """Apply the next entries; tell whether there were any."""
        async with self._changing:
            log, applied = self._log(), self.applied
            until = min(self._committed, log.last_number)
            if not self.is_lost and applied.number < log.base.number:
                msg = (
                    f"it ends with entry {applied.number}, and the log begins behind"
                    f" {log.base.number}"
                )
                raise CorruptRecordError(msg)
            if self.is_lost or applied.number >= until:
                return False
            if log.epoch_at(applied.number) != applied.epoch:
                msg = f"entry {applied.number} that it has is not that of the log"
                raise CorruptRecordError(msg)
            entries = log.after(
                applied.number,
                entries_max=min(APPLY_ENTRIES_MAX, until - applied.number),
                bytes_max=APPLY_BYTES_MAX,
            )
            await self.state.apply(entries)
            self.applied_bytes += sum(entry.size_bytes for entry in entries)
        self._on_applied(self.applied.number)
        return True

    def _failed(self, error: KvError | OSError) -> bool:
        """Note what is wrong; tell whether it may pass."""
        if isinstance(error, OSError | UnavailableError):
            self._is_failed = self._is_failed or isinstance(error, OSError)
            self._say(f"{error}; it is tried again")
            return True
        self.is_lost = True
        self._say(f"{error}; this node does not lead the shard until it has another")
        self._on_lost()
        return False

    def _say(self, fault: str) -> None:
        """Show what is wrong; a state that goes on failing is told of once."""
        if fault != self.fault:
            logger.error("the state of shard %s: %s", self._shard, fault)
        self.fault = fault
