"""Objects without shards or logs, behind a real gRPC server on a free port."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from kvnode._pb import objects_pb2 as pb
from kvnode._pb import objects_pb2_grpc
from kvnode.api.objects_port import Call, ShardStatus
from kvnode.api.objects_service import Context, ObjectsServicer, add_servicer
from kvnode.errors import ObjectRaisedError
from kvnode.limits import FRAME_BYTES_MAX
from kvnode.object_values import Value
from kvnode.objects.object_id import ObjectId
from kvnode.objects.telling import Leave, Tell
from tests.api.server import OPTIONS
from tests.told_later import told_later


def _echo(call: Call) -> Value:
    return [[*call.arguments], dict(call.named)]


@dataclass
class FakeObjects:
    """
    Notes each call and answers it by `answer`.

    A method `increment` counts; each exception in `failures` is raised in place of an
    answer, and None in it lets one call through.
    """

    answer: Callable[[Call], Value] = _echo
    calls: list[Call] = field(default_factory=list)
    failures: deque[Exception | None] = field(default_factory=deque)
    counts: Counter[str] = field(default_factory=Counter)
    hold: dict[str, asyncio.Event] = field(default_factory=dict)  # by method
    finished: list[str] = field(default_factory=list)  # methods
    cancelled: list[str] = field(default_factory=list)  # methods whose callers left
    leader: str = ""
    began: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def classes(self) -> tuple[str, ...]:
        """What there is."""
        return ("Counter", "Storage")

    def status(self) -> tuple[ShardStatus, ...]:
        """One shard that is led here, and one that is not."""
        return (
            ShardStatus("s000", 7, True, 40, 39, 2, "tokyo"),  # noqa: FBT003 -- as it prints
            ShardStatus("s001", 0, False, 0, 0, 0, "", "gone"),  # noqa: FBT003
        )

    def leader_address(self, target: ObjectId) -> str:
        """Return what the test says."""
        del target
        return self.leader

    def leader_of(self, shard: str) -> str:
        """Return one who leads all shards."""
        del shard
        return "osaka"

    async def call(self, call: Call) -> Value:
        """Answer; a caller that is cancelled does not stop the method."""
        self.calls.append(call)
        self.began.set()
        running = asyncio.create_task(self._run(call))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self.cancelled.append(call.method)
            self.left.set()
            raise

    def begin(self, call: Call, tell: Tell) -> Leave:
        """Answer by `call`, and tell it."""
        return told_later(self.call(call), tell)

    async def _run(self, call: Call) -> Value:
        if call.method in self.hold:
            await self.hold[call.method].wait()
        failure = self.failures.popleft() if self.failures else None
        if failure is not None:
            raise failure
        self.finished.append(call.method)
        if call.method == "increment":
            self.counts[call.target.name] += int(str(call.arguments[0]))
            return self.counts[call.target.name]
        if call.method == "refuse":
            msg = "no more apples"
            raise ObjectRaisedError(msg, type_name="ValueError")
        return self.answer(call)


class NotedServicer(ObjectsServicer):
    """The service, which notes the frames that come."""

    def __init__(
        self, objects: FakeObjects, invitation: pb.DirectReply | None = None
    ) -> None:
        super().__init__(objects, invitation)
        self.frames: list[pb.CallFrame] = []
        self.stream_count = 0
        self.cut_after: int | None = None  # frames that are served before that

    async def Calls(  # type: ignore[override]  # as in ObjectsServicer  # noqa: D102, N802
        self, request_iterator: AsyncIterator[pb.UnreadCallFrame], context: Context
    ) -> None:
        self.stream_count += 1
        await super().Calls(self._noted(request_iterator, context), context)

    async def _noted(
        self, frames: AsyncIterator[pb.UnreadCallFrame], context: Context
    ) -> AsyncIterator[pb.UnreadCallFrame]:
        async for frame in frames:
            self.frames.append(pb.CallFrame.FromString(frame.SerializeToString()))
            if self.cut_after == 0:
                self.cut_after = None
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")
            if self.cut_after is not None:
                self.cut_after -= 1
            yield frame


@dataclass
class ServedObjects:
    """Fake objects and ways to call them."""

    objects: FakeObjects
    servicer: NotedServicer
    address: str
    channel: grpc.aio.Channel
    stub: "objects_pb2_grpc.ObjectsAsyncStub"

    def stream(self) -> "grpc.aio.StreamStreamCall[pb.CallFrame, pb.CallFrameReply]":
        """Begin a stream of calls."""
        call: Any = self.stub.Calls()
        stream: grpc.aio.StreamStreamCall[pb.CallFrame, pb.CallFrameReply] = call
        return stream


@asynccontextmanager
async def listening(
    register: Callable[[grpc.aio.Server], object],
) -> AsyncIterator[str]:
    """Yield the address of a server with whatever *register* adds."""
    server = grpc.aio.server(options=OPTIONS)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def served_objects() -> AsyncIterator[ServedObjects]:
    """Yield fake objects behind the real service."""
    objects = FakeObjects()
    servicer = NotedServicer(objects)

    def register(server: grpc.aio.Server) -> None:
        add_servicer(server, servicer)

    async with listening(register) as address:
        options = (("grpc.max_receive_message_length", FRAME_BYTES_MAX),)
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            stub = objects_pb2_grpc.ObjectsStub(channel)
            yield ServedObjects(objects, servicer, address, channel, stub)
