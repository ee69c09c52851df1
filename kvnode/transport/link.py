"""
One connection to one peer: two queues out, a stream in.

Fresh writes and their acknowledgements go before all else that waits (`urgent`), so
that a bootstrap does not hold them up: it may have megabytes queued here.  Each queue
keeps its order.  What is urgent may pass what is not, never the other way round, and
that is safe:

  - pages of a delta, and everything that answers a page or a request, keep their
    order among themselves;
  - a report or digest passes nothing, so it never speaks of a push that comes later;
  - a push or an acknowledgement that comes before pages sent earlier might as well
    have been sent between or before them: it was made while they were, nothing is
    covered by the pages until the last one, and a push waits for what it depends on
    (rules D2 and D4);
  - a question about a damaged record still travels behind all pushes that were sent
    before it (kvnode.core.node.healing), since nothing passes a push.

The urgent queue cannot starve the other: after URGENT_BYTES_MAX of it, a message of the
other goes that was sent before what is urgent.

The queues are bounded in bytes together: pushes and deltas have their own, lower
bounds, so that only a peer that has stopped reading reaches it, and is then cut off.
For tests and demonstrations a link can be given a distance, which delays what goes
out, or be blocked, which drops messages both ways as a cut cable would.  A link
that lost a message in a cut ends when the road is open again, because both sides
count on an order without gaps.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from kvnode.core.versions.store_view import PeerAddress

QUEUE_BYTES_MAX = 64 * 1024 * 1024

URGENT_BYTES_MAX = 1024 * 1024
"""Four pages' worth: maintenance gets at least a fifth of a busy link."""


@dataclass(slots=True)
class Conditions:
    """The emulated state of the road to one peer, by its name."""

    delay_ms: int = 0
    blocked: bool = False


class _Queued(NamedTuple):
    """An encoded message, its place in the order of sending, and when it may go."""

    number: int
    due: float
    message: bytes


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
        self._urgent: deque[_Queued] = deque()
        self._other: deque[_Queued] = deque()
        self._urgent_bytes = 0  # since another message went
        self._numbers = count()
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

    def send(self, message: bytes, *, urgent: bool = False) -> None:
        """
        Queue an encoded message; a full queue closes the link.

        An *urgent* one may go before those that are not; see the module.
        """
        if self.closed.is_set() or not self.carries():
            return
        if self._queued_bytes + len(message) > QUEUE_BYTES_MAX:
            self.close(f"{QUEUE_BYTES_MAX} bytes wait: the peer has stopped reading")
            return
        due = asyncio.get_running_loop().time() + self._conditions.delay_ms / 1000
        queued = _Queued(next(self._numbers), due, message)
        (self._urgent if urgent else self._other).append(queued)
        self._queued_bytes += len(message)
        self._wakeup.set()

    def close(self, reason: str) -> None:
        """End the connection; what is queued is lost."""
        if not self.closed.is_set():
            self.reason = reason
            self.closed.set()
            self._wakeup.set()

    async def pump(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write queued messages in the order of their queues, until closed."""
        loop = asyncio.get_running_loop()
        while not self.closed.is_set():
            if not self._urgent and not self._other:
                self._wakeup.clear()
                await self._wakeup.wait()
                continue
            queue = self._next_queue(loop.time())
            _, due, message = queue.popleft()
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            self._queued_bytes -= len(message)
            self._urgent_bytes += len(message)
            if queue is self._other:
                self._urgent_bytes = 0
            if self.carries():
                await write(message)

    def _next_queue(self, now: float) -> "deque[_Queued]":
        """Return the queue whose turn it is; not both may be empty."""
        if not self._urgent or not self._other:
            return self._urgent or self._other
        urgent, other = self._urgent[0], self._other[0]
        if urgent.number < other.number:
            return self._urgent  # nothing passes what is urgent
        if urgent.due > now or self._urgent_bytes >= URGENT_BYTES_MAX:
            return self._other
        return self._urgent
