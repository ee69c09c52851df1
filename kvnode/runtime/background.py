"""Work in the background, of which no failure goes unnoticed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Background:
    """
    Tasks that end by themselves, or with all others.

    Attributes:
        failure: The first error that a task has ended with; None if none has.
    """

    def __init__(self, on_failure: Callable[[], None]) -> None:
        """Begin with nothing; *on_failure* is told when `failure` is set."""
        self.failure: BaseException | None = None
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start *work*, which deals with the errors that it expects."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def end(self) -> None:
        """Cancel all, and wait for them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.failure = self.failure or task.exception()
            self._on_failure()
