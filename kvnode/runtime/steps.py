"""Long work of the core on the event loop: a step at a time."""

import asyncio

from kvnode.core.replication.entry_scan import ResultT, Steps


async def finish(steps: Steps[ResultT], *, pause_seconds: float = 0.0) -> ResultT:
    """
    Return the result of *steps*; other tasks have their turn after each.

    With a pause between them, what is not urgent leaves most of the time to others.
    Being cancelled ends the work, and releases what it holds.
    """
    try:
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                result: ResultT = stop.value
                return result
            await asyncio.sleep(pause_seconds)
    finally:
        steps.close()
