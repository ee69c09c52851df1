"""
The Kv service: unary calls for other people's tools, Execute for the library.

Both roads run the same operations.  An Execute stream holds at most a bounded
number of unanswered operations and bytes of results: past that nothing more is
begun or read, and HTTP/2 flow control holds the client back.  Should the results
of what was begun grow beyond all bounds nevertheless, the stream ends.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio

from kvnode._pb import kv_pb2 as pb
from kvnode._pb import kv_pb2_grpc
from kvnode.api.operations import Operations, Waiting
from kvnode.api.port import NodePort
from kvnode.api.status_map import abort, to_message
from kvnode.api.watch import Watches
from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    OverloadedError,
)
from kvnode.limits import FRAME_BYTES_MAX, FRAME_OPERATIONS_MAX

STREAM_OPERATIONS_MAX = 20_000
"""Unanswered operations of one stream: two full frames."""

STREAM_BYTES_MAX = 64 * 1024 * 1024
"""Results of one stream not written yet; past that no operation is begun."""

STREAM_BYTES_END = 8 * STREAM_BYTES_MAX
"""A stream with so many ends: many operations that waited came back at once."""

RESULT_BYTES_MAX = FRAME_BYTES_MAX - 1024
"""A larger result could not be sent, and would end the stream."""

SLICE_OPERATIONS = 32
"""
Operations of a frame that are begun before replies leave.  With all 64 callers
of a client in one frame, node and client took turns; in two halves both work at
once, which measured a quarter more reads a second.
"""

REPLY_BYTES = 4 * 1024 * 1024
"""A frame of results is closed at this size; one result may be larger."""

WATCH_WRITE_SECONDS_MAX = 20.0
"""A watcher that reads nothing holds a snapshot, and with it old pages."""

Context = grpc.aio.ServicerContext[Any, Any]


class _ReplyQueue:
    """Results on their way to one stream; `unanswered` counts those to come."""

    def __init__(self) -> None:
        self.unanswered = 0
        self._results: list[pb.OperationResult] = []
        self._bytes = 0  # queued, and being written
        self._queued_bytes = 0
        self._wakeup = asyncio.Event()
        self._answered = asyncio.Event()
        self._ended = False

    @property
    def full(self) -> bool:
        """Tell whether nothing more should be begun for now."""
        return (
            self.unanswered >= STREAM_OPERATIONS_MAX or self._bytes >= STREAM_BYTES_MAX
        )

    def add(self, result: pb.OperationResult) -> None:
        """Queue *result*."""
        size = result.ByteSize()
        if size > RESULT_BYTES_MAX:
            msg = f"the result has {size} bytes; at most {RESULT_BYTES_MAX} can be sent"
            result.error.CopyFrom(to_message(InvalidArgumentError(msg)))
            size = result.ByteSize()
        self._bytes += size
        if self._bytes <= STREAM_BYTES_END:
            self._queued_bytes += size
            self._results.append(result)
        self._wakeup.set()

    @property
    def ready(self) -> bool:
        """Tell whether results wait to be written."""
        return bool(self._results)

    def end(self) -> None:
        """Nothing more is asked; `write_all` returns after the last answer."""
        self._ended = True
        self._wakeup.set()

    def while_room(self, left: deque[pb.Operation]) -> Iterator[pb.Operation]:
        """Take a slice of operations to begin from *left*, while there is room."""
        for _ in range(min(len(left), SLICE_OPERATIONS)):
            if self.full:
                return
            self.unanswered += 1
            yield left.popleft()

    async def room(self) -> None:
        """Wait until more may be begun."""
        while self.full:
            await self._progress()

    async def all_answered(self) -> None:
        """Wait until nothing that was begun is unanswered."""
        while self.unanswered:
            await self._progress()

    async def _progress(self) -> None:
        self._answered.clear()
        await self._answered.wait()

    async def write_all(
        self, write: Callable[[pb.FrameReply], Awaitable[None]]
    ) -> None:
        """
        Write results in frames, until ended and all are answered.

        Raises:
            IndeterminateError: There were too many bytes of them.
        """
        while not (self._ended and not self.unanswered):
            if self._bytes > STREAM_BYTES_END:
                msg = f"more than {STREAM_BYTES_END} bytes of results wait to be read"
                raise IndeterminateError(msg)
            if not self._results:
                self._wakeup.clear()
                await self._wakeup.wait()
                continue
            results, self._results = self._results, []
            queued, self._queued_bytes = self._queued_bytes, 0
            frames = _frames(results)
            for frame in frames:
                size = queued
                if len(frames) > 1:
                    size = sum(result.ByteSize() for result in frame.results)
                await write(frame)
                self._bytes -= size
                self.unanswered -= len(frame.results)
                self._answered.set()


def _frames(results: list[pb.OperationResult]) -> list[pb.FrameReply]:
    """Return *results* in frames of bounded size."""
    frames = [pb.FrameReply(results=results)]
    if frames[0].ByteSize() <= REPLY_BYTES:
        return frames
    frames, size = [pb.FrameReply()], 0
    for result in results:
        if size and size + result.ByteSize() > REPLY_BYTES:
            frames.append(pb.FrameReply())
            size = 0
        frames[-1].results.append(result)
        size += result.ByteSize()
    return frames


class KvServicer(kv_pb2_grpc.KvServicer):
    """Serves clients."""

    def __init__(
        self, node: NodePort, operations: Operations, watches: Watches
    ) -> None:
        self._node = node
        self._operations = operations
        self._watches = watches

    async def Execute(  # type: ignore[override]  # noqa: N802 -- writes through the context, which the stub's type leaves out
        self, request_iterator: AsyncIterator[pb.Frame], context: Context
    ) -> None:
        """Run the frames of one stream until the client ends it."""
        queue, waiting = _ReplyQueue(), Waiting()
        reading = asyncio.create_task(self._read_all(request_iterator, queue, waiting))
        writing = asyncio.create_task(queue.write_all(context.write))
        try:
            await asyncio.gather(reading, writing)
        except KvError as error:
            await abort(context, to_message(error))
        finally:
            for task in (reading, writing, *waiting):
                task.cancel()

    async def _read_all(
        self, frames: AsyncIterator[pb.Frame], queue: _ReplyQueue, waiting: Waiting
    ) -> None:
        """
        Begin the operations of all *frames*; then end *queue*.

        Raises:
            InvalidArgumentError: A frame has too many operations.  None of its
                own was begun, and all of earlier ones are answered.
        """
        async for frame in frames:
            if (count := len(frame.operations)) > FRAME_OPERATIONS_MAX:
                await queue.all_answered()
                msg = f"a frame has {count} operations; at most {FRAME_OPERATIONS_MAX}"
                raise InvalidArgumentError(msg)
            left = deque(frame.operations)
            while left:
                await queue.room()
                with self._node.snapshot() as view:
                    begun = queue.while_room(left)
                    self._operations.run(begun, view, queue.add, waiting, unary=False)
                if left and queue.ready:
                    await asyncio.sleep(0)  # reads are answered now, not after all
        queue.end()

    async def Watch(  # type: ignore[override]  # noqa: N802 -- writes through the context, which the stub's type leaves out
        self, request: pb.WatchRequest, context: Context
    ) -> None:
        """Send changes until the client stops."""
        try:
            async with aclosing(self._watches.watch(request)) as replies:
                async for reply in replies:
                    async with asyncio.timeout(WATCH_WRITE_SECONDS_MAX):
                        await context.write(reply)
        except KvError as error:
            await abort(context, to_message(error))
        except TimeoutError:
            msg = (
                f"the watcher took nothing for {WATCH_WRITE_SECONDS_MAX} s; resume"
                " from the last token"
            )
            await abort(context, to_message(OverloadedError(msg)))

    async def _unary(
        self, operation: pb.Operation, context: Context
    ) -> pb.OperationResult:
        future: asyncio.Future[pb.OperationResult] = (
            asyncio.get_running_loop().create_future()
        )

        def sink(result: pb.OperationResult) -> None:
            if not future.done():
                future.set_result(result)

        waiting = Waiting()
        with self._node.snapshot() as view:
            self._operations.run((operation,), view, sink, waiting, unary=True)
        try:
            result = await future
        finally:
            for task in waiting:
                task.cancel()
        if result.HasField("error"):
            await abort(context, result.error)
        return result

    # Each of the unary calls is the operation of that name.

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetReply:  # noqa: N802 -- protocol
        """Read one key."""
        return (await self._unary(pb.Operation(get=request), context)).get

    async def Put(self, request: pb.PutRequest, context: Context) -> pb.WriteReply:  # noqa: N802 -- protocol
        """Store a value."""
        return (await self._unary(pb.Operation(put=request), context)).write

    async def Delete(  # noqa: N802 -- protocol
        self, request: pb.DeleteRequest, context: Context
    ) -> pb.WriteReply:
        """Delete a key."""
        return (await self._unary(pb.Operation(delete=request), context)).write

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListReply:  # noqa: N802 -- protocol
        """Read a page of keys."""
        return (await self._unary(pb.Operation(list=request), context)).list

    async def Batch(self, request: pb.BatchRequest, context: Context) -> pb.BatchReply:  # noqa: N802 -- protocol
        """Apply many writes in one transaction."""
        return (await self._unary(pb.Operation(batch=request), context)).batch

    async def Conflicts(  # noqa: N802 -- protocol
        self, request: pb.ConflictsRequest, context: Context
    ) -> pb.ConflictsReply:
        """Read conflict logs."""
        return (await self._unary(pb.Operation(conflicts=request), context)).conflicts

    async def Counter(  # noqa: N802 -- protocol
        self, request: pb.CounterRequest, context: Context
    ) -> pb.CounterReply:
        """Read or change a counter."""
        return (await self._unary(pb.Operation(counter=request), context)).counter

    async def Set(self, request: pb.SetRequest, context: Context) -> pb.SetReply:  # noqa: N802 -- protocol
        """Read or change a set."""
        return (await self._unary(pb.Operation(set=request), context)).set

    async def Document(  # noqa: N802 -- protocol
        self, request: pb.DocumentRequest, context: Context
    ) -> pb.DocumentReply:
        """Read or change a document."""
        return (await self._unary(pb.Operation(document=request), context)).document
