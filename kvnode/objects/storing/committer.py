"""
From what an object has staged to entries of its shard's log.

All that is written without an await in between becomes one entry, and so happens
together or not at all; and so does what calls that run at the same time have written in
the same round of the event loop.  Entries are proposed in the order in which they were
written, and none after one that failed: what comes later may rest on it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from kvnode.completion import called_back, failed
from kvnode.core.objects.map_change import encode_changes
from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    Outcome,
    OverloadedError,
    UnavailableError,
)
from kvnode.objects.storing.overlay import Overlay

logger = logging.getLogger(__name__)

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
        propose: Callable[[bytes], "asyncio.Future[int]"],
        *,
        on_commit: Callable[[], None],
        on_failure: Callable[[KvError], None],
    ) -> None:
        """
        Begin.

        Args:
            overlay: What the object stages in.
            propose: Appends an entry; see kvnode.objects.running.log_port.
            on_commit: Called after each entry that is committed; see `applied`.
            on_failure: Called when an entry is not, or nobody knows.
        """
        self.count = 0
        self.failure: KvError | None = None
        self._overlay = overlay
        self._propose = propose
        self._on_commit = on_commit
        self._on_failure = on_failure
        self._is_held = False
        self._is_due = False
        self._is_refused = False
        self._under_way: set[asyncio.Future[int]] = set()
        self._last: asyncio.Future[int] | None = None
        # All who wait for an entry are woken by one callback: they may be hundreds.
        self._waiting: dict[asyncio.Future[int], list[Callable[[], None]]] = {}
        self._waiting_for_flush: list[Callable[[], None]] = []
        self._under_way_bytes = 0
        self._failed_at = 0
        self._is_fate_unknown = False
        self._committed: deque[tuple[int, int]] = deque()  # entry, batch
        self._shows = asyncio.Event()

    @property
    def is_idle(self) -> bool:
        """Tell whether all that was written shows in the shard's state."""
        is_written = self._under_way or self._committed or self._overlay.is_staging
        return not is_written

    @property
    def round(self) -> object:
        """
        Return what all have in common who are to wait for the same entry.

        It is another object for the next entry, and None while there is nothing to
        propose.
        """
        return self._waiting_for_flush if self._is_due else None

    def check_room(self) -> None:
        """
        Do nothing if more may be written.

        Raises:
            UnavailableError: The instance has ended; nothing was written.
            OverloadedError: Too much waits; nothing was written.
        """
        if self.failure is not None:
            raise UnavailableError(str(self.failure))
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
        is_to_wait = self.failure or self._is_refused or self._is_held
        if is_to_wait or not self._overlay.is_staging:
            waiting, self._waiting_for_flush = self._waiting_for_flush, []
            for then in waiting:
                self.when_settled(then)
            return
        batch, changes = self._overlay.take()
        self.count += 1
        size_bytes = 0
        try:
            data = encode_changes(changes)
            size_bytes = len(data)
            entry = self._propose(data)
        except Exception as error:  # whatever it is: what was taken is in no log
            logger.exception("an entry could not be proposed")
            entry = failed(IndeterminateError(f"an entry is lost: {error!r}"))
        self._last = entry
        self._is_refused = entry.done() and entry.exception() is not None
        self._under_way_bytes += size_bytes
        self._under_way.add(entry)
        self._waiting[entry], self._waiting_for_flush = self._waiting_for_flush, []
        ended = partial(self._ended, self.count, batch, size_bytes)
        entry.add_done_callback(ended)

    async def settled(self, since: int) -> None:
        """
        Return once all that was written so far is committed.

        Args:
            since: `count` when whoever asks began.

        Raises:
            UnavailableError: It will never be, and nothing since then was.
            IndeterminateError: Some of it may be.
        """

        def ask(give: Callable[[None], None]) -> None:
            self.when_settled(partial(give, None))

        await called_back(ask)
        if self.failure is not None:
            raise self.failed_since(since)

    def when_settled(self, then: Callable[[], None]) -> None:
        """
        Call *then* once all that was written so far is committed, or never will be.

        Which of these it is shows in `failure`.  It may be called at once.
        """
        if self._is_due:  # calls that run meanwhile may join the entry
            self._waiting_for_flush.append(then)
            return
        self.flush()
        if self._last in self._under_way:  # an entry commits those before it
            self._waiting[self._last].append(then)
        else:
            then()

    def release(self) -> None:
        """Let all go on who wait for what was written: it has failed."""
        assert self.failure is not None, "they are told why"
        waiting, self._waiting_for_flush = self._waiting_for_flush, []
        for each in self._waiting.values():
            waiting += each
            each.clear()
        for then in waiting:
            then()

    def check_not_held(self) -> None:
        """
        Do nothing if what was written can become durable now.

        Raises:
            InvalidArgumentError: It waits for the end of what runs, and that for it.
        """
        if self._is_held and self._overlay.is_staging:
            msg = (
                "a call with an idempotency key has written, and what it writes becomes"
                " durable together with its result: it can call other objects, or"
                " sync, only before it writes"
            )
            raise InvalidArgumentError(msg)

    def check_not_reserved(self) -> None:
        """
        Do nothing if what is written next can become durable before its call ends.

        Raises:
            InvalidArgumentError: The call that runs has an idempotency key.
        """
        if self._is_held:
            msg = (
                "what a call with an idempotency key writes becomes durable with its"
                " result: restore in one without"
            )
            raise InvalidArgumentError(msg)

    def failed_since(self, since: int) -> KvError:
        """Return what `failure` says to whoever began when `count` was *since*."""
        assert self.failure is not None, "there is something to tell"
        happened_before = self._failed_at - 1 > since
        if self.failure.outcome is Outcome.FAILED and not happened_before:
            return type(self.failure)(str(self.failure))
        msg = f"{self.failure}; what the call wrote may have happened"
        return IndeterminateError(msg)

    @contextmanager
    def held(self, *, reserved_bytes: int) -> Iterator[None]:
        """
        Within it nothing is proposed; afterwards all of it, in one entry.

        What was staged before is proposed first.  If it raises, nothing of it is, and
        the object begins anew.

        Args:
            reserved_bytes: Of the entry, for what is staged last.

        Raises:
            UnavailableError: Nothing is proposed any more.
        """
        self.flush()
        if self.failure is not None:
            raise UnavailableError(str(self.failure))
        self._is_held, self._overlay.reserved_bytes = True, reserved_bytes
        try:
            yield
        except BaseException:
            if self._overlay.is_staging:
                msg = "a call with an idempotency key did not come to its end"
                self._on_failure(UnavailableError(msg))
            raise
        finally:
            self._is_held, self._overlay.reserved_bytes = False, 0
            self.flush()

    def fail(self, failure: KvError) -> None:
        """Propose nothing more, nor what is staged; what was proposed may commit."""
        if self.failure is None:
            self.failure = failure
            self._failed_at = self.count + 1

    def applied(self, number: int) -> bool:
        """
        Let what was written be read from the state, which shows entries up to *number*.

        Returns:
            Whether all that is committed shows.
        """
        while self._committed and self._committed[0][0] <= number:
            self._overlay.settle(self._committed.popleft()[1])
        if not self._committed:
            self._shows.set()
        return not self._committed

    async def drained(self, hurry: Callable[[], None]) -> None:
        """
        Return once all that was proposed shows in the state, or never will.

        Args:
            hurry: Lets what is committed show soon.

        Raises:
            UnavailableError: Nobody knows whether some of it will.
        """
        if self._under_way:
            await asyncio.wait(tuple(self._under_way))
        while self._committed:
            hurry()
            self._shows.clear()
            await self._shows.wait()
        if self._is_fate_unknown:
            msg = f"nobody knows yet what became of what it has written: {self.failure}"
            raise UnavailableError(msg)

    def _ended(
        self, place: int, batch: int, size_bytes: int, entry: "asyncio.Future[int]"
    ) -> None:
        """Take in what became of an entry; they end in their order."""
        self._under_way.discard(entry)
        self._under_way_bytes -= size_bytes
        error = asyncio.CancelledError() if entry.cancelled() else entry.exception()
        if error is None:
            self._committed.append((entry.result(), batch))
            self._on_commit()
        elif isinstance(error, KvError):
            self._failed(place, error)
        else:
            self._failed(place, IndeterminateError(f"an entry is lost: {error!r}"))
        for then in self._waiting.pop(entry):
            then()

    def _failed(self, place: int, error: KvError) -> None:
        if error.outcome is not Outcome.FAILED:
            self._is_fate_unknown = True
        if self.failure is None or place < self._failed_at:
            self.failure, self._failed_at = error, place
            self._on_failure(error)
