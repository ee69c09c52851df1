"""An event loop in a thread of its own, for callers that have none."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator
from typing import Any, TypeVar

from kvnode.errors import UnavailableError

Result = TypeVar("Result")


class LoopThread:
    """Runs coroutines for any number of threads, until `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # Reentrant: the collector may finish an abandoned iterator at any point.
        self._closing = threading.RLock()
        self._closed = False
        # A daemon: a program that forgets to close can still end.
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="kvnode client", daemon=True
        )
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """
        Return what *coroutine* returns, or raise what it raises.

        If the waiting thread is interrupted, the coroutine is cancelled.

        Raises:
            UnavailableError: The loop is closed; nothing was done.
        """
        assert threading.current_thread() is not self._thread, "it would wait for ever"
        with self._closing:
            if self._closed:
                coroutine.close()
                msg = "this client is closed: make a new one"
                raise UnavailableError(msg)
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncIterator[Result]) -> Generator[Result, None, None]:
        """Yield what *items* yields; closes it when the caller stops."""
        try:
            while True:
                found = self.run(_next(items))
                if found is None:
                    return
                yield found[0]
        finally:
            self._abandon(items)

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Run *last*, cancel all else, and end the thread; once."""
        with self._closing:
            if self._closed:
                last.close()
                return
            self._closed = True
            future = asyncio.run_coroutine_threadsafe(self._finish(last), self._loop)
        try:
            future.result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _finish(self, last: Coroutine[Any, Any, None]) -> None:
        await last
        this = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not this]
        # What the closing has failed gets its turn to say so.
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()

    def _abandon(self, items: AsyncIterator[object]) -> None:
        if not isinstance(items, AsyncGenerator):
            return
        with self._closing:
            if self._closed:  # closing the loop has closed its generators
                return
            future = asyncio.run_coroutine_threadsafe(_close(items), self._loop)
        if threading.current_thread() is not self._thread:
            future.result()


async def _next(items: AsyncIterator[Result]) -> tuple[Result] | None:
    async for item in items:
        return (item,)
    return None


async def _close(items: AsyncGenerator[object, None]) -> None:
    await items.aclose()
