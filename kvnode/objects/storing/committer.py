"""
From what an object has staged to entries of its shard's log.

All that is written without an await in between becomes one entry, and so happens
together or not at all.  Entries are proposed in the order in which they were written,
and none after one that failed: what comes later may rest on it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from kvnode.core.objects.map_change import encode_changes
from kvnode.errors import IndeterminateError, KvError, Outcome, OverloadedError
from kvnode.objects.storing.overlay import Overlay

UNDER_WAY_BYTES_MAX: Final = 64 * 1024 * 1024
"""Four of the largest entries: an object cannot fill the memory with what waits."""


class Committer:
    """
    Brings one object's writes into the log.

    Attributes:
        count: How many entries it has proposed.
        failure: Why it does not go on, if it does not.
    """

    def __init__(
        self,
        overlay: Overlay,
        propose: Callable[[bytes], Awaitable[int]],
        *,
        on_commit: Callable[[], None],
        on_failure: Callable[[KvError], None],
    ) -> None:
        """
        Begin.

        Args:
            overlay: What the object stages in.
            propose: Appends an entry; returns its number when it is committed.
            on_commit: Called after each entry that is committed.
            on_failure: Called when an entry is not, or nobody knows.
        """
        self.count = 0
        self.failure: KvError | None = None
        self._overlay = overlay
        self._propose = propose
        self._on_commit = on_commit
        self._on_failure = on_failure
        self._is_held = False
        self._shows = asyncio.Event()
        self._is_due = False
        self._last: asyncio.Task[None] | None = None
        self._under_way_bytes = 0
        self._failed_at = 0
        self._committed: deque[tuple[int, int]] = deque()  # entry, batch
        self._applied = 0

    @property
    def is_idle(self) -> bool:
        """Tell whether all that was written shows in the shard's state."""
        is_done = self._last is None or self._last.done()
        return is_done and not self._committed and not self._overlay.is_staging

    def check_room(self) -> None:
        """
        Do nothing if more may be written.

        Raises:
            OverloadedError: Too much waits; nothing was written.
        """
        if self._under_way_bytes > UNDER_WAY_BYTES_MAX:
            msg = (
                f"{self._under_way_bytes} bytes that this object has written wait to be"
                " committed: await storage.sync() between large writes"
            )
            raise OverloadedError(msg)

    def wrote(self) -> None:
        """Propose what is staged, as soon as the object awaits something."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Propose what is staged."""
        self._is_due = False
        if self.failure or self._is_held or not self._overlay.is_staging:
            return
        batch, changes = self._overlay.take()
        data = encode_changes(changes)
        self._under_way_bytes += len(data)
        self.count += 1
        self._last = asyncio.create_task(
            self._commit(self._last, self.count, batch, data)
        )

    async def settled(self, since: int) -> None:
        """
        Return once all that was written so far is committed.

        Args:
            since: `count` when whoever asks began.

        Raises:
            UnavailableError: It will never be, and nothing since then was.
            IndeterminateError: Some of it may be.
        """
        self.flush()
        if self._last is not None and not self._last.done():
            await asyncio.wait([self._last])
        if self.failure is not None:
            raise self.failed_since(since)

    def failed_since(self, since: int) -> KvError:
        """Return what `failure` says to whoever began when `count` was *since*."""
        assert self.failure is not None, "there is something to tell"
        happened_before = self._failed_at - 1 > since
        if self.failure.outcome is Outcome.FAILED and not happened_before:
            return type(self.failure)(str(self.failure))
        msg = f"{self.failure}; what the call wrote may have happened"
        return IndeterminateError(msg)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within it nothing is proposed; afterwards all of it, in one entry."""
        assert not self._overlay.is_staging, "it begins with nothing staged"
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            self.flush()

    def fail(self, failure: KvError) -> None:
        """Propose nothing from now on."""
        if self.failure is None:
            self.failure = failure
            self._failed_at = self.count + 1

    def applied(self, number: int) -> None:
        """The shard's state shows entries up to *number* from now on."""
        self._applied = max(self._applied, number)
        while self._committed and self._committed[0][0] <= self._applied:
            self._overlay.settle(self._committed.popleft()[1])
        if not self._committed:
            self._shows.set()

    async def drained(self) -> None:
        """Return once all that was proposed shows in the state, or never will."""
        if self._last is not None and not self._last.done():
            await asyncio.wait([self._last])
        while self._committed:
            self._shows.clear()
            await self._shows.wait()

    async def _commit(
        self, before: asyncio.Task[None] | None, place: int, batch: int, data: bytes
    ) -> None:
        # Tasks begin in the order in which they were made; one that was refused on
        # the spot has ended by now.
        if before is not None and before.done() and self.failure is not None:
            return
        try:
            number = await self._propose(data)
        except KvError as error:
            if self.failure is None or place < self._failed_at:
                self.failure, self._failed_at = error, place
                self._on_failure(error)
            return
        finally:
            self._under_way_bytes -= len(data)
        self._committed.append((number, batch))
        self.applied(self._applied)
        self._on_commit()
