"""Waiting for a writer's thread."""

import asyncio
from concurrent.futures import Future


async def finished(future: "Future[None]") -> None:
    """Wait for the writer thread to the end, even if the caller is cancelled."""
    waiting = asyncio.wrap_future(future)
    try:
        await asyncio.shield(waiting)
    except asyncio.CancelledError:
        await asyncio.wait([waiting])
        raise
