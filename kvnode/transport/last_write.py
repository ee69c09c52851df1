"""
The end of what writes on a stream that somebody else has dialed.

A write that is cancelled goes on within gRPC, and a call that is being written to
cannot be given its end: it fails, and who has dialed waits for a reason that never
comes.  So whatever writes is told to stop, and is cancelled only if the other side does
not read.
"""

import asyncio
from typing import Final

LAST_WRITE_SECONDS_MAX: Final = 1.0
"""A peer that takes no frame for three round trips around the Earth has stopped."""


async def after_last_write(pump: "asyncio.Task[None]") -> None:
    """Return once *pump* has ended, which was told to do so after its next write."""
    try:
        await asyncio.wait([pump], timeout=LAST_WRITE_SECONDS_MAX)
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
