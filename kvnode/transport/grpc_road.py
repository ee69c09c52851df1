"""
Streams between peers over gRPC: dialing, and taking what others dial.

The method is called without the generated stub: messages are handed over in
bytes, because a push goes to every peer and is encoded once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from kvnode._pb import peer_pb2 as pb
from kvnode.errors import PeerProtocolError
from kvnode.limits import KEEPALIVE_MILLIS, KEEPALIVE_TIMEOUT_MILLIS
from kvnode.transport.peer_pool import PeerPool
from kvnode.transport.road import Ending, RoadError

MESSAGE_BYTES_MAX = 8 * 1024 * 1024
"""Pages and pushes are under 1 MiB; the rest is room for what comes later."""

SERVICE = pb.DESCRIPTOR.services_by_name["Peer"].full_name
CONNECT_METHOD = f"/{SERVICE}/Connect"

CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
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


class GrpcRoad:
    """The road over gRPC, each stream on a channel of its own."""

    @asynccontextmanager
    async def open(self, address: str) -> AsyncIterator["DialedStream"]:
        """Open a stream to *address*; see kvnode.transport.road."""
        async with grpc.aio.insecure_channel(
            address, options=CHANNEL_OPTIONS
        ) as channel:
            connect: grpc.aio.StreamStreamMultiCallable[bytes, pb.PeerMessage]
            connect = channel.stream_stream(
                CONNECT_METHOD, response_deserializer=pb.PeerMessage.FromString
            )
            yield DialedStream(connect())


class DialedStream:
    """A stream that this node has dialed."""

    def __init__(self, call: grpc.aio.StreamStreamCall[bytes, pb.PeerMessage]) -> None:
        self._call = call

    async def read(self) -> pb.PeerMessage | None:
        """Return the next message, or None at the end of the stream."""
        try:
            message = await self._call.read()
        except _FAILURES as error:
            raise RoadError(_said(error)) from error
        return message if isinstance(message, pb.PeerMessage) else None

    async def write(self, message: bytes) -> None:
        """Send an encoded message."""
        try:
            await self._call.write(message)
        except _FAILURES as error:
            raise RoadError(_said(error)) from error


class AcceptedStream:
    """A stream that a peer has dialed; errors of its context end the call."""

    def __init__(
        self, context: grpc.aio.ServicerContext[pb.PeerMessage, bytes]
    ) -> None:
        self._context = context

    async def read(self) -> pb.PeerMessage | None:
        """Return the next message, or None at the end of the stream."""
        try:
            message: object = await self._context.read()  # or EOF, untold by its type
        except DecodeError as error:
            msg = "it sent bytes that are no message"
            raise PeerProtocolError(msg) from error
        return message if isinstance(message, pb.PeerMessage) else None

    async def write(self, message: bytes) -> None:
        """Send an encoded message."""
        await self._context.write(message)


def _said(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return error.details() or error.code().name
    return str(error) or type(error).__name__


def add_peer_service(server: grpc.aio.Server, pool: PeerPool) -> None:
    """Let peers dial *pool* at *server*."""
    handler: grpc.RpcMethodHandler[pb.PeerMessage, bytes]
    handler = grpc.stream_stream_rpc_method_handler(
        _Meetings(pool).connect, request_deserializer=pb.PeerMessage.FromString
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {"Connect": handler}),)
    )


class _Meetings:
    """Takes connections that peers dial."""

    def __init__(self, pool: PeerPool) -> None:
        self._pool = pool

    async def connect(
        self,
        request_iterator: AsyncIterator[pb.PeerMessage],
        context: grpc.aio.ServicerContext[pb.PeerMessage, bytes],
    ) -> None:
        """Serve one stream until either side ends it."""
        del request_iterator  # reading through the context allows cancelling a read
        farewell = await self._pool.accept(AcceptedStream(context), context.peer())
        await context.abort(_STATUSES[farewell.ending], farewell.reason)
