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
from kvnode.errors import IndeterminateError, InvalidArgumentError
from kvnode.framing import frame_element
from kvnode.limits import FRAME_OPERATIONS_MAX
from kvnode.objects.telling import Leave

CALLS_MAX: Final = 1000
"""Of one stream under way: what one object takes, too."""

BYTES_MAX: Final = 64 * 1024 * 1024
"""Arguments and results that are held; past that no call is begun."""

BYTES_END: Final = 8 * BYTES_MAX
"""A stream that holds so many ends: the client does not read what it has asked for."""

REPLY_BYTES: Final = 4 * 1024 * 1024
"""A frame of results is closed at this size; one result may be larger."""

TellResult = Callable[[pb.ObjectCallResult], None]
"""Is called once; see kvnode.objects.telling."""

Write = Callable[[bytes], Awaitable[None]]
"""Writes a serialized CallFrameReply."""

Begin = Callable[[pb.ObjectCall, TellResult], Leave]
"""Begins a call; whatever goes wrong is in the result."""


class CallStream:
    """The calls of one client."""

    def __init__(self, begin: Begin, write: Write) -> None:
        """Do calls by *begin*, and give frames of results to *write*."""
        self._begin = begin
        self._write = write
        self._under_way = 0  # not written yet
        self._bytes = 0  # of their arguments, or results
        self._results: list[bytes] = []  # elements of a frame
        self._leaves: dict[int, Leave] = {}  # of those that are not answered yet
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
            for leave in tuple(self._leaves.values()):
                leave()

    async def _read_all(self, frames: AsyncIterator[pb.CallFrame]) -> None:
        """Begin the calls of *frames*."""
        number = 0
        async for frame in frames:
            if (count := len(frame.calls)) > FRAME_OPERATIONS_MAX:
                while self._under_way:
                    await self._progress()
                msg = f"a frame has {count} calls; at most {FRAME_OPERATIONS_MAX}"
                raise InvalidArgumentError(msg)
            for call in frame.calls:
                while self._under_way >= CALLS_MAX or self._bytes >= BYTES_MAX:
                    await self._progress()
                number += 1
                self._do(number, call)
        self._has_ended = True
        self._changed.set()

    def _do(self, number: int, call: pb.ObjectCall) -> None:
        """Begin a call, which is the *number*-th of the stream."""
        size_bytes = call.ByteSize()
        self._under_way += 1
        self._bytes += size_bytes
        is_over = False

        def tell(result: pb.ObjectCallResult) -> None:
            nonlocal is_over
            is_over = True
            self._leaves.pop(number, None)
            element = frame_element(result.SerializeToString())
            self._bytes += len(element) - size_bytes
            if self._bytes <= BYTES_END:
                self._results.append(element)
            self._changed.set()

        leave = self._begin(call, tell)
        if not is_over:
            self._leaves[number] = leave

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
