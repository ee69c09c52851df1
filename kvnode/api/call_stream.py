"""
One stream of calls: they begin in the order in which they came, and end in any.

A stream holds a bounded number of calls, and of bytes of their arguments and results:
past that nothing more is begun or read, and flow control holds the client back.  The
library holds itself back before: a client that is held back cannot be told from a dead
one without gRPC.
Results that are there at the same time leave in one frame.

A client that goes away ends the stream, and no method that it has called.

Many calls of a stream ask for the same: a request that came before, in the same bytes,
is not read again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from kvnode._pb import kv_pb2
from kvnode._pb import objects_pb2 as pb
from kvnode.api.calling import Caller
from kvnode.api.object_calls import Asked, asked_by, is_plain
from kvnode.api.objects_port import ObjectsPort
from kvnode.deadlines import deadlines_of
from kvnode.errors import IndeterminateError, InvalidArgumentError
from kvnode.limits import (
    FRAME_OPERATIONS_MAX,
    STREAM_BYTES_MAX,
    STREAM_CALLS_MAX,
)
from kvnode.objects.telling import Told

CALLS_MAX: Final = STREAM_CALLS_MAX
"""Of one stream under way: what one object takes, too."""

BYTES_MAX: Final = 2 * STREAM_BYTES_MAX
"""Arguments and results that are held; past that no call is begun."""

BYTES_END: Final = 8 * BYTES_MAX
"""A stream that holds so many ends: the client does not read what it has asked for."""

REPLY_BYTES: Final = 4 * 1024 * 1024
"""
A frame of results is closed before it is larger; one result may be.

It is what clients take by default.
"""

ELEMENT_BYTES: Final = 6
"""What a result takes in a frame beside itself, at most."""

REMEMBERED_MAX: Final = 256
"""Requests of a stream that are not read again."""

REMEMBERED_BYTES_MAX: Final = 256
"""Of one such request."""

Write = Callable[[bytes], Awaitable[None]]
"""Writes a serialized CallFrameReply."""


class StreamCall(Caller):
    """
    A call of a stream, until it is answered.

    Attributes:
        identifier: The client's, of the call.
        size_bytes: How much that takes, or what came of it.
        asked: What it asks for; None if that is not known yet, or never will be.
        outcome: What it is answered, once that is known: a result, or why there is
            none.
    """

    __slots__ = ("_stream", "asked", "identifier", "outcome", "size_bytes")

    def __init__(self, stream: "CallStream", identifier: int, size_bytes: int) -> None:
        super().__init__()
        self._stream = stream
        self.identifier = identifier
        self.size_bytes = size_bytes
        self.asked: Asked | None = None
        self.outcome: bytes | kv_pb2.Error

    def answer(self, told: Told) -> None:
        """Answer it with what came of it."""
        self._stream.answer(self, told)


Failure = Callable[[StreamCall, Exception], kv_pb2.Error]
"""Returns what is said of a call of which that has come; must not raise."""

SetResult = Callable[[pb.ObjectCallResult, StreamCall], None]
"""Lets a message, which is empty, say what a call is answered; must not raise."""

NewFrame = Callable[[], SetResult]
"""Returns what sets the results of one frame."""


class CallStream:
    """The calls of one client; made within a loop."""

    def __init__(
        self,
        objects: ObjectsPort,
        failure: Failure,
        new_frame: NewFrame,
        write: Write,
    ) -> None:
        """
        Begin.

        Args:
            objects: Do the calls.
            failure: Returns what is said of one that has failed.
            new_frame: Returns what sets the results of one frame.
            write: Takes frames of results.
        """
        self._objects = objects
        self._failure = failure
        self._new_frame = new_frame
        self._write = write
        loop = asyncio.get_running_loop()
        self._time = loop.time
        self._deadlines = deadlines_of(loop)
        self._remembered: dict[bytes, Asked] = {}
        self._under_way = 0  # not written yet
        self._bytes = 0  # of their arguments, or results
        self._answered: deque[StreamCall] = deque()  # not written yet
        self._calls: set[StreamCall] = set()  # not answered yet
        self._has_ended = False
        self._is_too_much = False  # an answer was dropped
        self._changed = asyncio.Event()
        self._written = asyncio.Event()

    async def serve(self, frames: AsyncIterator[pb.UnreadCallFrame]) -> None:
        """
        Do all calls of *frames*; return when all are answered.

        Raises:
            InvalidArgumentError: A frame has too many calls.  None of its own was
                begun, and all of earlier ones are answered.
            IndeterminateError: Too many bytes of results wait to be read.
        """
        reading = asyncio.create_task(self._read_all(frames))
        writing = asyncio.create_task(self._write_all())
        try:
            await asyncio.gather(reading, writing)
        finally:
            reading.cancel()
            writing.cancel()
            for call in tuple(self._calls):
                call.leave()

    async def _read_all(self, frames: AsyncIterator[pb.UnreadCallFrame]) -> None:
        """Begin the calls of *frames*."""
        async for frame in frames:
            if (count := len(frame.calls)) > FRAME_OPERATIONS_MAX:
                while self._under_way:
                    await self._progress()
                msg = f"a frame has {count} calls; at most {FRAME_OPERATIONS_MAX}"
                raise InvalidArgumentError(msg)
            now = self._time()
            for call in frame.calls:
                while self._under_way >= CALLS_MAX or self._bytes >= BYTES_MAX:
                    await self._progress()
                    now = self._time()
                self._do(call, now)
        self._has_ended = True
        self._changed.set()

    def _do(self, call: pb.UnreadCall, now: float) -> None:
        """Begin a call, which others share a stream with: nothing may end that."""
        request = b"".join(call.call[:])  # a list of them is joined twice as fast
        size_bytes = len(request)
        begun = StreamCall(self, call.id, size_bytes)
        self._under_way += 1
        self._bytes += size_bytes
        self._calls.add(begun)
        try:
            asked = self._remembered.get(request) or self._read(request)
            begun.asked = asked
            begun.begin(self._objects, asked.call, self._deadlines, now)
        except Exception as error:  # noqa: BLE001 -- it is told, whatever it is
            begun.answer(error)

    def _read(self, request: bytes) -> Asked:
        """
        Return what a request asks for that is not remembered.

        Raises:
            InvalidArgumentError: It breaks a rule or a limit.
        """
        asked = asked_by(request)
        # What a method is given is its own, to be changed: but for what cannot be.
        if len(request) <= REMEMBERED_BYTES_MAX and is_plain(asked.call):
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[request] = asked
        return asked

    def answer(self, call: StreamCall, told: Told) -> None:
        """Let what came of *call* go with the next frame."""
        self._calls.discard(call)
        if isinstance(told, bytes):
            call.outcome, size_bytes = told, len(told)
        else:  # it would hold all that is in the frames in which it was raised
            failure = self._failure(call, told)
            call.outcome, size_bytes = failure, failure.ByteSize()
        self._bytes += size_bytes - call.size_bytes
        call.size_bytes = size_bytes
        self._is_too_much = self._is_too_much or self._bytes > BYTES_END
        if not self._is_too_much:
            self._answered.append(call)
        self._changed.set()

    async def _progress(self) -> None:
        """Wait until a result has been written."""
        self._written.clear()
        await self._written.wait()

    async def _write_all(self) -> None:
        """Write results in frames, until all frames are read and all is answered."""
        while self._under_way or not self._has_ended:
            if self._is_too_much:
                msg = f"more than {BYTES_END} bytes of results wait to be read"
                raise IndeterminateError(msg)
            if not self._answered:
                self._changed.clear()
                await self._changed.wait()
                continue
            frame, calls = self._next_frame()
            await self._write(frame)
            self._bytes -= sum(call.size_bytes for call in calls)
            self._under_way -= len(calls)
            self._written.set()

    def _next_frame(self) -> tuple[bytes, list[StreamCall]]:
        """Return the next frame, and the calls of which it has the results."""
        frame = pb.CallFrameReply()
        set_result = self._new_frame()
        calls: list[StreamCall] = []
        size_bytes = 0
        while self._answered:
            result = frame.results.add()
            set_result(result, self._answered[0])
            size_bytes += result.ByteSize() + ELEMENT_BYTES
            if calls and size_bytes > REPLY_BYTES:
                del frame.results[-1]
                break
            calls.append(self._answered.popleft())
        return frame.SerializeToString(), calls
