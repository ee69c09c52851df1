"""
One stream of calls: they begin in the order in which they came, and end in any.

A stream holds a bounded number of calls, and of bytes of their arguments and results:
past that nothing more is begun or read, and HTTP/2 flow control holds the client back.
Results that are there at the same time leave in one frame.

A client that goes away ends the stream, and no method that it has called.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from kvnode._pb import objects_pb2 as pb
from kvnode.api.calling import Caller
from kvnode.deadlines import Deadlines, deadlines_of
from kvnode.errors import IndeterminateError, InvalidArgumentError
from kvnode.framing import frame_element
from kvnode.limits import FRAME_OPERATIONS_MAX
from kvnode.objects.object_id import ObjectId
from kvnode.objects.telling import Told

CALLS_MAX: Final = 1000
"""Of one stream under way: what one object takes, too."""

BYTES_MAX: Final = 64 * 1024 * 1024
"""Arguments and results that are held; past that no call is begun."""

BYTES_END: Final = 8 * BYTES_MAX
"""A stream that holds so many ends: the client does not read what it has asked for."""

REPLY_BYTES: Final = 4 * 1024 * 1024
"""A frame of results is closed at this size; one result may be larger."""

Write = Callable[[bytes], Awaitable[None]]
"""Writes a serialized CallFrameReply."""


class StreamCall(Caller):
    """
    A call of a stream, until it is answered.

    Attributes:
        call: What the client has sent.
        size_bytes: How much that takes.
        target: Which object it is of; None if that is not known yet, or never will be.
    """

    __slots__ = ("_stream", "call", "size_bytes", "target")

    def __init__(
        self, stream: "CallStream", call: pb.ObjectCall, deadlines: Deadlines
    ) -> None:
        super().__init__(deadlines)
        self._stream = stream
        self.call = call
        self.size_bytes = call.ByteSize()
        self.target: ObjectId | None = None

    def answer(self, told: Told) -> None:
        """Answer it with what came of it."""
        self._stream.answer(self, told)


Begin = Callable[[StreamCall], None]
"""Begins a call; whatever goes wrong is told."""

Result = Callable[[StreamCall, Told], pb.ObjectCallResult]
"""Returns what a call is answered; must not raise."""


class CallStream:
    """The calls of one client; made within a loop."""

    def __init__(self, begin: Begin, result: Result, write: Write) -> None:
        """Do calls by *begin*, and give frames of each *result* to *write*."""
        self._begin = begin
        self._result = result
        self._write = write
        self._deadlines = deadlines_of(asyncio.get_running_loop())
        self._under_way = 0  # not written yet
        self._bytes = 0  # of their arguments, or results
        self._results: list[bytes] = []  # elements of a frame
        self._calls: set[StreamCall] = set()  # not answered yet
        self._has_ended = False
        self._changed = asyncio.Event()
        self._written = asyncio.Event()

    async def serve(self, frames: AsyncIterator[pb.CallFrame]) -> None:
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

    async def _read_all(self, frames: AsyncIterator[pb.CallFrame]) -> None:
        """Begin the calls of *frames*."""
        async for frame in frames:
            if (count := len(frame.calls)) > FRAME_OPERATIONS_MAX:
                while self._under_way:
                    await self._progress()
                msg = f"a frame has {count} calls; at most {FRAME_OPERATIONS_MAX}"
                raise InvalidArgumentError(msg)
            for call in frame.calls:
                while self._under_way >= CALLS_MAX or self._bytes >= BYTES_MAX:
                    await self._progress()
                self._do(call)
        self._has_ended = True
        self._changed.set()

    def _do(self, call: pb.ObjectCall) -> None:
        """Begin a call."""
        begun = StreamCall(self, call, self._deadlines)
        self._under_way += 1
        self._bytes += begun.size_bytes
        self._calls.add(begun)
        self._begin(begun)

    def answer(self, call: StreamCall, told: Told) -> None:
        """Let what came of *call* go with the next frame."""
        self._calls.discard(call)
        element = frame_element(self._result(call, told).SerializeToString())
        self._bytes += len(element) - call.size_bytes
        if self._bytes <= BYTES_END:
            self._results.append(element)
        self._changed.set()

    async def _progress(self) -> None:
        """Wait until a result has been written."""
        self._written.clear()
        await self._written.wait()

    async def _write_all(self) -> None:
        """Write results in frames, until all frames are read and all is answered."""
        while self._under_way or not self._has_ended:
            if self._bytes > BYTES_END:
                msg = f"more than {BYTES_END} bytes of results wait to be read"
                raise IndeterminateError(msg)
            if not self._results:
                self._changed.clear()
                await self._changed.wait()
                continue
            elements = self._next_elements()
            frame = b"".join(elements)
            await self._write(frame)
            self._bytes -= len(frame)
            self._under_way -= len(elements)
            self._written.set()

    def _next_elements(self) -> list[bytes]:
        """Return what the next frame has."""
        count = size_bytes = 0
        for element in self._results:
            if count and size_bytes + len(element) > REPLY_BYTES:
                break
            count += 1
            size_bytes += len(element)
        elements = self._results[:count]
        del self._results[:count]
        return elements
