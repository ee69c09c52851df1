"""A writer's thread, and waiting for it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec

from kvnode.completion import completed

ArgumentsP = ParamSpec("ArgumentsP")


class SoleWriter:
    """A thread of which one write at a time is asked."""

    def __init__(self, name: str) -> None:
        """Begin with nothing to write; *name* is the thread's, for people."""
        self._thread = ThreadPoolExecutor(1, name)
        self._is_writing = False

    def begin(
        self,
        write: Callable[ArgumentsP, None],
        *arguments: ArgumentsP.args,
        **named: ArgumentsP.kwargs,
    ) -> "Future[None]":
        """Let the thread do a write; the one before has ended."""
        assert not self._is_writing, "writes must not overlap"
        self._is_writing = True

        def work() -> None:
            try:
                write(*arguments, **named)
            finally:
                self._is_writing = False

        return self._thread.submit(work)

    def close(self) -> None:
        """End the thread after what is being written."""
        self._thread.shutdown(wait=True)


async def finished(future: "Future[None]") -> None:
    """Wait for the writer thread to the end, even if the caller is cancelled."""
    await completed(asyncio.wrap_future(future))
