"""
Joining concurrent calls into frames, and matching replies to calls.

One gRPC message costs a hundred times what one operation costs, so calls that
are made in the same turn of the event loop, or while a frame is being written,
travel in one frame.  Nobody waits for company: a lone call leaves at once.

The batcher does no I/O.  A call is in one of three places:

    pending ---frame()---> sent ---resolve()---> done
       |                    |
       | never written:     | may have been served:
       | UnavailableError   | ConnectionLostError or DeadlineError

which is what decides whether a failed write may be repeated (kvnode.client.retry).
Operations arrive serialized: their exact size is known, and a frame is their
concatenation, because a repeated field is just its elements in a row.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from kvnode.client.gate import Gate
from kvnode.deadlines import Bucket, Deadlines
from kvnode.errors import (
    ConnectionLostError,
    DeadlineError,
    KvError,
    UnavailableError,
)
from kvnode.framing import frame_element
from kvnode.limits import FRAME_OPERATIONS_MAX

FRAME_BYTES_SOFT_MAX = 4 * 1024 * 1024  # 3 ms of a 10 Gbit link; one larger call is ok


class Identified(Protocol):
    """What a node makes of one operation."""

    @property
    def id(self) -> int:
        """The id that the operation had."""


Result = TypeVar("Result", bound=Identified)
Result_co = TypeVar("Result_co", bound=Identified, covariant=True)


class FrameReply(Protocol[Result_co]):
    """A frame of results."""

    @property
    def results(self) -> Iterable[Result_co]:
        """The results, in any order."""

    @classmethod
    def FromString(cls, s: bytes) -> Self:  # noqa: N802 -- protobuf's name
        """Parse."""


Refusal = Callable[[str, str], KvError]
"""Makes the error for what an address has not done, and why it has not."""


class Call(Generic[Result]):
    """One operation under way; `sent_at` is None until it is in a frame."""

    __slots__ = (
        "batcher",
        "bucket",
        "identifier",
        "payload",
        "reply",
        "sent_at",
        "size_bytes",
    )

    def __init__(
        self,
        batcher: "Batcher[Result]",
        identifier: int,
        payload: bytes,
        reply: asyncio.Future[Result],
    ) -> None:
        self.batcher = batcher
        self.identifier = identifier
        self.payload = payload
        self.size_bytes = len(payload)
        self.reply = reply
        self.sent_at: float | None = None
        self.bucket: Bucket

    def expire(self) -> None:
        """Fail the call: its deadline has passed."""
        self.batcher.expire(self)


class Window(NamedTuple):
    """
    What may be sent and not answered; one call may always be.

    Attributes:
        calls: How many.
        size_bytes: Of all of them.
    """

    calls: int = sys.maxsize
    size_bytes: int = sys.maxsize


NO_WINDOW = Window()


class Batcher(Generic[Result]):
    """
    The calls of one stream to *address*.

    Args:
        address: Of the endpoint, for messages.
        loop: Whose time the deadlines are in.
        gate: What each added call has entered; it leaves when it is done.
        deadlines: Calls `expire` on what is not answered in time.
        on_silence: Called when a call's deadline passed and the stream was
            silent ever since it was sent.
        window: Past that, calls wait for answers of others before they are sent.
    """

    def __init__(  # noqa: PLR0913 -- each is named at the call
        self,
        address: str,
        *,
        loop: asyncio.AbstractEventLoop,
        gate: Gate,
        deadlines: Deadlines,
        on_silence: Callable[[], None],
        window: Window = NO_WINDOW,
    ) -> None:
        self._address = address
        self._loop = loop
        self._gate = gate
        self._deadlines = deadlines
        self._on_silence = on_silence
        self._pending: deque[Call[Result]] = deque()
        self._calls: dict[int, Call[Result]] = {}
        self._window = window
        self._sent = 0
        self._sent_bytes = 0
        self._heard_at = 0.0
        self._closed_because: str | None = None
        self._refused: Refusal = nothing_done
        self._added: asyncio.Future[None] | None = None

    @property
    def call_count(self) -> int:
        """How many calls wait for a frame or a reply."""
        return len(self._calls)

    def add(
        self, identifier: int, payload: bytes, expires_at: float
    ) -> asyncio.Future[Result]:
        """
        Take in a serialized operation that has entered the gate.

        Args:
            identifier: The operation's id, unique among those under way.
            payload: The serialized operation, id included.
            expires_at: Deadline in loop time.

        Raises:
            KvError: The stream is closed; nothing was sent.
        """
        if self._closed_because is not None:
            self._gate.leave(len(payload))
            raise self._refusal()
        assert identifier not in self._calls, "ids are unique among those under way"
        reply: asyncio.Future[Result] = self._loop.create_future()
        call = Call(self, identifier, payload, reply)
        call.bucket = self._deadlines.add(call, expires_at)
        self._calls[identifier] = call
        self._pending.append(call)
        self._wake()
        return reply

    async def frame(self) -> bytes:
        """
        Wait until calls are pending and return the next serialized frame.

        The frame holds calls in the order in which they were added, at most
        FRAME_OPERATIONS_MAX of them and 4 MiB, or one call that is larger.
        """
        while True:
            frame = self._take_frame()
            if frame:
                return frame
            self._added = self._loop.create_future()
            await self._added

    def resolve(self, reply: FrameReply[Result]) -> None:
        """Hand each result to its call; late and unknown ones mean nothing."""
        self._heard_at = self._loop.time()
        take = self._calls.pop
        count, size_bytes = 0, 0
        for result in reply.results:
            call = take(result.id, None)
            if call is None:
                continue
            count += 1
            size_bytes += call.size_bytes
            call.bucket.discard(call)
            if not call.reply.done():
                call.reply.set_result(result)
        self._gate.leave(size_bytes, operations=count)
        self._answered(count, size_bytes)

    def expire(self, call: Call[Result]) -> None:
        """Fail *call*, whose deadline has passed."""
        self._finish(call)
        if call.sent_at is not None and self._heard_at < call.sent_at:
            self._on_silence()
        if call.reply.done():
            return
        if call.sent_at is None:
            msg = f"the deadline passed before {self._address} could be written to"
            call.reply.set_exception(UnavailableError(msg))
        else:
            msg = f"no reply from {self._address} before the deadline"
            call.reply.set_exception(DeadlineError(msg))

    def close(self, because: str, *, refused: Refusal | None = None) -> None:
        """
        Fail all calls, and every later one, since the stream has ended.

        Args:
            because: Why it has.
            refused: If nobody served it, and so nothing that was sent has happened:
                makes the error that says so.
        """
        self._closed_because = self._closed_because or because
        self._refused = refused or self._refused
        self._pending.clear()
        for call in tuple(self._calls.values()):
            self._finish(call)
            if call.reply.done():
                continue
            if call.sent_at is None or refused is not None:
                call.reply.set_exception(self._refusal())
            else:
                msg = f"the connection to {self._address} was lost: {because}"
                call.reply.set_exception(ConnectionLostError(msg))

    def refuse_more(self, because: str) -> None:
        """Fail all calls that were not sent, and every later one; others go on."""
        self._closed_because = because
        pending, self._pending = self._pending, deque()
        for call in pending:
            if call.identifier in self._calls:
                self._finish(call)
            if not call.reply.done():
                call.reply.set_exception(self._refusal())

    def _refusal(self) -> KvError:
        assert self._closed_because is not None, "the stream has ended"
        return self._refused(self._address, self._closed_because)

    def _finish(self, call: Call[Result]) -> None:
        """Give back all that *call* holds."""
        del self._calls[call.identifier]
        self._gate.leave(call.size_bytes)
        call.bucket.discard(call)
        if call.sent_at is not None:
            self._answered(1, call.size_bytes)

    def _answered(self, count: int, size_bytes: int) -> None:
        """Let others be sent in place of *count* calls."""
        self._sent -= count
        self._sent_bytes -= size_bytes
        if self._pending:
            self._wake()

    def _wake(self) -> None:
        if self._added is not None and not self._added.done():
            self._added.set_result(None)

    def _is_full(self, size_bytes: int) -> bool:
        """Tell whether a call of that size has to wait for answers of others."""
        calls, bytes_max = self._window
        is_much = self._sent >= calls or self._sent_bytes + size_bytes > bytes_max
        return is_much and self._sent > 0

    def _take_frame(self) -> bytes:
        """Return a frame of pending calls; empty if there are none."""
        pending, parts, now = self._pending, list[bytes](), self._loop.time()
        size_bytes = 0
        while pending and len(parts) < FRAME_OPERATIONS_MAX:
            call = pending[0]
            if parts and size_bytes + call.size_bytes > FRAME_BYTES_SOFT_MAX:
                break
            if self._is_full(call.size_bytes):
                break
            pending.popleft()
            if call.reply.done():  # cancelled by its caller, or expired
                if call.identifier in self._calls:
                    self._finish(call)
                continue
            parts.append(frame_element(call.payload))
            size_bytes += call.size_bytes
            call.sent_at = now
            call.payload = b""
            self._sent += 1
            self._sent_bytes += call.size_bytes
        return b"".join(parts)


def nothing_done(address: str, because: str) -> UnavailableError:
    """Return the error for what was never sent, or never served."""
    return UnavailableError(f"nothing was done at {address}: {because}")
