"""Waiting for what must not be left half way."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ResultT = TypeVar("ResultT")


async def completed(work: "asyncio.Future[ResultT]") -> ResultT:
    """
    Wait for *work* to its end, even if the caller is cancelled, and return its result.

    Who is cancelled learns of it once the work has ended, and not of what came of it.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await ended(work)
        raise


def begun(
    work: Coroutine[Any, Any, ResultT],
    tasks: "dict[KeyT, asyncio.Task[ResultT]]",
    key: KeyT,
) -> "asyncio.Task[ResultT]":
    """
    Begin *work*, and keep it in *tasks* under *key* until it ends.

    Whoever asked for it may have gone by then: that nobody hears of its failure is
    nobody's fault.
    """

    def is_over(task: "asyncio.Task[ResultT]") -> None:
        del tasks[key]
        if not task.cancelled():
            task.exception()

    task = tasks[key] = asyncio.create_task(work)
    task.add_done_callback(is_over)
    return task


async def ended(work: "asyncio.Future[Any]") -> None:
    """
    Return once *work* is done, with whatever; who is cancelled leaves it going on.

    What `asyncio.wait` does with one future, at a third of what that takes; like that
    it lets others run first, so that callbacks of *work* have been called.
    """
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(_: "asyncio.Future[Any]") -> None:
        if not waiter.done():
            waiter.set_result(None)

    work.add_done_callback(wake)
    try:
        await waiter
    except asyncio.CancelledError:
        work.remove_done_callback(wake)
        raise


async def called_back(ask: Callable[[Callable[[ResultT], None]], None]) -> ResultT:
    """
    Return what a callback is given once it is called, perhaps before *ask* returns.

    Who is cancelled meanwhile waits no more; the callback may be called all the same.
    """
    waiter: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()

    def give(result: ResultT) -> None:
        if not waiter.done():
            waiter.set_result(result)

    ask(give)
    return await waiter


def failed(error: Exception) -> "asyncio.Future[ResultT]":
    """Return what becomes of work that was refused with *error*, on the spot."""
    future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


def is_being_cancelled() -> bool:
    """Tell whether somebody else has cancelled the task that runs."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
