"""Waiting for a writer's thread."""

import asyncio
from concurrent.futures import Future

from kvnode.completion import completed


async def finished(future: "Future[None]") -> None:
    """Wait for the writer thread to the end, even if the caller is cancelled."""
    await completed(asyncio.wrap_future(future))
