"""
The Kv service: unary calls for other people's tools, Execute for the library.

Both roads run the same operations.  An Execute stream holds at most a bounded
number of unanswered operations: past that it is not read, and HTTP/2 flow
control holds the client back.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from kvnode._pb import kv_pb2 as pb
from kvnode._pb import kv_pb2_grpc
from kvnode.api.operations import Operations
from kvnode.api.port import NodePort
from kvnode.api.status_map import abort, to_message
from kvnode.api.watch import Watches
from kvnode.errors import KvError
from kvnode.limits import FRAME_OPERATIONS_MAX

STREAM_OPERATIONS_MAX = 20_000
"""Unanswered operations of one stream: two full frames."""

REPLY_BYTES = 4 * 1024 * 1024
"""A frame of results is closed at this size; one result may be larger."""

Context = grpc.aio.ServicerContext[Any, Any]


class _ReplyQueue:
    """Results on their way to one stream; `unanswered` counts those to come."""

    def __init__(self) -> None:
        self.unanswered = 0
        self._results: list[pb.OperationResult] = []
        self._wakeup = asyncio.Event()
        self._answered = asyncio.Event()
        self._ended = False

    def add(self, result: pb.OperationResult) -> None:
        """Queue *result*."""
        self._results.append(result)
        self._wakeup.set()

    def end(self) -> None:
        """Nothing more is asked; `write_all` returns after the last answer."""
        self._ended = True
        self._wakeup.set()

    async def room(self) -> None:
        """Wait until another frame may be read."""
        while self.unanswered >= STREAM_OPERATIONS_MAX:
            self._answered.clear()
            await self._answered.wait()

    async def write_all(
        self, write: Callable[[pb.FrameReply], Awaitable[None]]
    ) -> None:
        """Write results in frames, until ended and all are answered."""
        while not (self._ended and not self.unanswered):
            if not self._results:
                self._wakeup.clear()
                await self._wakeup.wait()
                continue
            results, self._results = self._results, []
            for frame in _frames(results):
                await write(frame)
            self.unanswered -= len(results)
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
        queue = _ReplyQueue()
        writing = asyncio.create_task(queue.write_all(context.write))
        try:
            async for frame in request_iterator:
                await queue.room()
                await self._run_frame(frame, queue, context)
            queue.end()
            await writing
        finally:
            writing.cancel()

    async def _run_frame(
        self, frame: pb.Frame, queue: _ReplyQueue, context: Context
    ) -> None:
        count = len(frame.operations)
        if count > FRAME_OPERATIONS_MAX:
            msg = f"a frame has {count} operations; at most {FRAME_OPERATIONS_MAX}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, msg)
        queue.unanswered += count
        with self._node.snapshot() as view:
            self._operations.run(frame.operations, view, queue.add, unary=False)

    async def Watch(  # noqa: N802 -- the name is the protocol's
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.WatchReply]:
        """Send changes until the client stops."""
        try:
            async for reply in self._watches.watch(request):
                yield reply
        except KvError as error:
            await abort(context, to_message(error))

    async def _unary(
        self, operation: pb.Operation, context: Context
    ) -> pb.OperationResult:
        future: asyncio.Future[pb.OperationResult] = (
            asyncio.get_running_loop().create_future()
        )

        def sink(result: pb.OperationResult) -> None:
            if not future.done():
                future.set_result(result)

        with self._node.snapshot() as view:
            self._operations.run((operation,), view, sink, unary=True)
        result = await future
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
