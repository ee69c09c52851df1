"""
Streams between peers over gRPC: dialing, and taking what others dial.

Methods are called without the generated stubs: messages are handed over in bytes,
because a push goes to every peer and is encoded once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, NamedTuple

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from kvnode._pb import peer_pb2, shards_pb2
from kvnode.direct.stream import Frames, MessageT
from kvnode.errors import PeerProtocolError, RoadError
from kvnode.limits import KEEPALIVE_MILLIS, KEEPALIVE_TIMEOUT_MILLIS
from kvnode.transport.road import Ending, Farewell, Stream

MESSAGE_BYTES_MAX = 8 * 1024 * 1024
"""Pages and pushes are under 1 MiB; the rest is room for what comes later."""

SHARD_MESSAGE_BYTES_MAX = 32 * 1024 * 1024
"""The largest entry of a log is 16 MiB, and what voters hold 12 MiB."""


class Method(NamedTuple, Generic[MessageT]):
    """
    A method that takes a stream and answers with one.

    Attributes:
        service: The full name of its service.
        message: What both streams are made of.
        bytes_max: Of one message.
    """

    service: str
    message: type[MessageT]
    bytes_max: int

    @property
    def path(self) -> str:
        """Return where it is called."""
        return f"/{self.service}/Connect"

    @property
    def frames(self) -> Frames[MessageT]:
        """Return what is sent where no method has to be named."""
        return Frames(self.message, self.bytes_max)


PEERS = Method(
    peer_pb2.DESCRIPTOR.services_by_name["Peer"].full_name,
    peer_pb2.PeerMessage,
    MESSAGE_BYTES_MAX,
)
"""What nodes say to each other of keys."""

SHARDS = Method(
    shards_pb2.DESCRIPTOR.services_by_name["Shards"].full_name,
    shards_pb2.ShardFrame,
    SHARD_MESSAGE_BYTES_MAX,
)
"""What they say to each other of objects."""

CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", KEEPALIVE_MILLIS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MILLIS),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MILLIS),  # else a minute
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]

_FAILURES = (
    asyncio.InvalidStateError,  # of a call that ended before it was used
    grpc.RpcError,
    grpc.aio.BaseError,
)

_STATUSES = {
    Ending.CUT: grpc.StatusCode.UNAVAILABLE,
    Ending.REFUSED: grpc.StatusCode.FAILED_PRECONDITION,
    Ending.OVER: grpc.StatusCode.CANCELLED,
}


class GrpcRoad(Generic[MessageT]):
    """The road over gRPC, each stream on a channel of its own."""

    def __init__(self, method: Method[MessageT]) -> None:
        """Open streams of *method*."""
        self._method = method

    @asynccontextmanager
    async def open(self, address: str) -> AsyncIterator["DialedStream[MessageT]"]:
        """Open a stream to *address*; see kvnode.transport.road."""
        method = self._method
        options = [*CHANNEL_OPTIONS, *_size_options(method.bytes_max)]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            connect: grpc.aio.StreamStreamMultiCallable[bytes, MessageT]
            connect = channel.stream_stream(
                method.path, response_deserializer=method.message.FromString
            )
            call = connect()
            try:
                await call.wait_for_connection()
            except _FAILURES as error:
                raise RoadError(_said(error)) from error
            yield DialedStream(call, method.message)


def _size_options(bytes_max: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", bytes_max),
        ("grpc.max_send_message_length", bytes_max),
    ]


class DialedStream(Generic[MessageT]):
    """A stream that this node has dialed."""

    def __init__(
        self, call: grpc.aio.StreamStreamCall[bytes, MessageT], kind: type[MessageT]
    ) -> None:
        self._call = call
        self._kind = kind

    async def read(self) -> MessageT | None:
        """Return the next message, or None at the end of the stream."""
        try:
            message = await self._call.read()
        except _FAILURES as error:
            raise RoadError(_said(error)) from error
        return message if isinstance(message, self._kind) else None

    async def write(self, message: bytes) -> None:
        """Send an encoded message."""
        try:
            await self._call.write(message)
        except _FAILURES as error:
            raise RoadError(_said(error)) from error


class AcceptedStream(Generic[MessageT]):
    """A stream that a peer has dialed; errors of its context end the call."""

    def __init__(
        self, context: grpc.aio.ServicerContext[MessageT, bytes], kind: type[MessageT]
    ) -> None:
        self._context = context
        self._kind = kind

    async def read(self) -> MessageT | None:
        """Return the next message, or None at the end of the stream."""
        try:
            message: object = await self._context.read()  # or EOF, untold by its type
        except DecodeError as error:
            msg = "it sent bytes that are no message"
            raise PeerProtocolError(msg) from error
        return message if isinstance(message, self._kind) else None

    async def write(self, message: bytes) -> None:
        """Send an encoded message."""
        await self._context.write(message)


def _said(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return error.details() or error.code().name
    return str(error) or type(error).__name__


Accept = Callable[[Stream[MessageT], str], Awaitable[Farewell]]
"""Runs a stream that somebody has dialed, from somewhere; returns why it is over."""


def add_meetings(
    server: grpc.aio.Server, method: Method[MessageT], accept: Accept[MessageT]
) -> None:
    """Let peers call *method* of *server*."""
    handler: grpc.RpcMethodHandler[MessageT, bytes]
    handler = grpc.stream_stream_rpc_method_handler(
        _Meetings(accept, method.message).connect,
        request_deserializer=method.message.FromString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(method.service, {"Connect": handler}),)
    )


class _Meetings(Generic[MessageT]):
    """Takes connections that peers dial."""

    def __init__(self, accept: Accept[MessageT], kind: type[MessageT]) -> None:
        self._accept = accept
        self._kind = kind

    async def connect(
        self,
        request_iterator: AsyncIterator[MessageT],
        context: grpc.aio.ServicerContext[MessageT, bytes],
    ) -> None:
        """Serve one stream until either side ends it."""
        del request_iterator  # reading through the context allows cancelling a read
        stream = AcceptedStream(context, self._kind)
        farewell = await self._accept(stream, context.peer())
        await context.abort(_STATUSES[farewell.ending], farewell.reason)
