"""
A thread that waits for the disk, so that a loop need not.

It takes what it is given in order, and its loop is told of each end by one callback.
An executor of the standard library does the same by two futures, which are chained, and
several locks (docs/decisions/0039).
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import ParamSpec

ArgumentsP = ParamSpec("ArgumentsP")


def _nothing() -> None:
    """Do what is left to do of what was done."""


class Work:
    """
    Something that a thread was given to do.

    Attributes:
        is_done: Nothing more is done; whoever waits may not know yet.
    """

    __slots__ = ("_do", "_error", "_loop", "_waiter", "is_done")

    def __init__(self, do: Callable[[], None]) -> None:
        self._do = do
        self._error: BaseException | None = None
        self.is_done = False
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None

    def run(self) -> None:
        """Do it, and let the loop know; on the thread."""
        try:
            do, self._do = self._do, _nothing  # it may hold much
            do()
        except BaseException as error:  # noqa: BLE001 -- it is told
            self._error = error
        self.is_done = True
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._ended)

    def _ended(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def end(self) -> None:
        """
        Wait for its end, even if the caller is cancelled; one caller may wait.

        Who is cancelled learns of it once the work has ended, and not of what came of
        it.  Who is cancelled again waits no more.

        Raises:
            Exception: What it has raised.
        """
        try:
            await self._wait()
        except asyncio.CancelledError:
            await self._wait()
            raise
        if self._error is not None:
            raise self._error

    async def _wait(self) -> None:
        if not self.is_done:
            self._waiter = self._loop.create_future()
            await self._waiter


class DiskThread:
    """A thread that does one thing after another."""

    def __init__(self, name: str) -> None:
        """Begin with nothing to do; *name* is for people."""
        self._name = name
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._last: Work | None = None

    @property
    def is_at_work(self) -> bool:
        """Tell whether something that it was given is not done."""
        return self._last is not None and not self._last.is_done

    def begin(
        self,
        do: Callable[ArgumentsP, None],
        *arguments: ArgumentsP.args,
        **named: ArgumentsP.kwargs,
    ) -> Work:
        """Let the thread do something, after what it was given before."""
        assert not self._is_closed, "a thread that has ended does nothing"
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name=self._name, daemon=True
            )
            self._thread.start()
        self._last = work = Work(lambda: do(*arguments, **named))
        self._queue.put(work)
        return work

    def close(self) -> None:
        """End the thread after what it was given; blocks."""
        self._is_closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work.run()
