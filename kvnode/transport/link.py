"""
One connection to one peer: a queue out, a stream in.

The queue is bounded in bytes: pushes and deltas have their own, lower bounds, so
that only a peer that has stopped reading reaches it, and is then cut off.  For
tests and demonstrations a link can be given a distance, which delays what goes
out, or be blocked, which drops messages both ways as a cut cable would.  A link
that lost a message in a cut ends when the road is open again, because both sides
count on an order without gaps.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kvnode.core.versions.store_view import PeerAddress

QUEUE_BYTES_MAX = 64 * 1024 * 1024


@dataclass(slots=True)
class Conditions:
    """The emulated state of the road to one peer, by its name."""

    delay_ms: int = 0
    blocked: bool = False


class Link:
    """The outgoing half of a connection, and who is at the other end."""

    def __init__(
        self, peer: PeerAddress, conditions: Conditions, *, dialed: bool
    ) -> None:
        self.peer = peer
        self.dialed = dialed
        self.closed = asyncio.Event()
        self.reason = ""
        self._conditions = conditions
        self._queue: deque[tuple[float, bytes]] = deque()
        self._queued_bytes = 0
        self._wakeup = asyncio.Event()
        self._torn = False

    def carries(self) -> bool:
        """Tell whether a message passes now, either way; note if it is lost."""
        if self._conditions.blocked:
            self._torn = True
        elif self._torn:
            self.close("messages were lost while the road was cut")
        return not self._torn

    def send(self, message: bytes) -> None:
        """Queue an encoded message; a full queue closes the link."""
        if self.closed.is_set() or not self.carries():
            return
        if self._queued_bytes + len(message) > QUEUE_BYTES_MAX:
            self.close(f"{QUEUE_BYTES_MAX} bytes wait: the peer has stopped reading")
            return
        due = asyncio.get_running_loop().time() + self._conditions.delay_ms / 1000
        self._queue.append((due, message))
        self._queued_bytes += len(message)
        self._wakeup.set()

    def close(self, reason: str) -> None:
        """End the connection; what is queued is lost."""
        if not self.closed.is_set():
            self.reason = reason
            self.closed.set()
            self._wakeup.set()

    async def pump(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write queued messages in order, each when due, until closed."""
        loop = asyncio.get_running_loop()
        while not self.closed.is_set():
            if not self._queue:
                self._wakeup.clear()
                await self._wakeup.wait()
                continue
            due, message = self._queue.popleft()
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            self._queued_bytes -= len(message)
            if self.carries():
                await write(message)
