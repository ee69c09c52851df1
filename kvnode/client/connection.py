"""
One endpoint: its channel, and a stream of operations on it.

Both are made when they are first needed.  A channel is used only once it is
connected, so that a call to an unreachable node is known never to have been sent;
one that fails to connect is thrown away, with gRPC's own backoff, because the
pool has its own (kvnode.client.pool).

A stream that ends is not mended: the endpoint opens another when asked again.

Calls of objects go over plain TCP where a node can be dialed so: that takes a quarter
off the wait for one (docs/decisions/0041).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, NoReturn, Protocol

import grpc

from kvnode.client.batching import (
    NO_WINDOW,
    Batcher,
    FrameReply,
    Refusal,
    Result,
    Window,
)
from kvnode.client.gate import Gate
from kvnode.deadlines import Deadlines
from kvnode.errors import PeerProtocolError, RoadError, UnavailableError
from kvnode.limits import (
    FRAME_BYTES_MAX,
    KEEPALIVE_MILLIS,
    KEEPALIVE_TIMEOUT_MILLIS,
    STREAM_BYTES_MAX,
    STREAM_CALLS_MAX,
)

CONNECT_SECONDS_MAX = 1.5  # three round trips around the world, and a lost packet
STOPPING = "the node is stopping"
DIRECT_WINDOW = Window(STREAM_CALLS_MAX, STREAM_BYTES_MAX)
DIAL_AGAIN_SECONDS = 60.0  # a port behind a firewall keeps each connection waiting
_OPTIONS = (
    ("grpc.max_send_message_length", FRAME_BYTES_MAX),
    ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
    ("grpc.keepalive_time_ms", KEEPALIVE_MILLIS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MILLIS),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MILLIS),  # else a minute
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),  # another client's backoff is not ours
    ("grpc.enable_http_proxy", 0),  # nodes are addressed directly
)


class StreamKind(NamedTuple, Generic[Result]):
    """
    A method of nodes that takes a stream of frames.

    Attributes:
        path: Its full name.
        reply: What its frames of results are.
        refusal: Makes the error for what is sent to a node that has no such method.
        dial: Opens the same stream without gRPC, to a node whose channel and address
            are given; returns None if that is not to be had.  None if it never is.
    """

    path: str
    reply: type[FrameReply[Result]]
    refusal: Refusal
    dial: "Dial | None" = None


Dial = Callable[[grpc.aio.Channel, str], Awaitable["Stream | None"]]


class Stream(Protocol):
    """
    Frames both ways.

    Attributes:
        is_ending: Whether the node has said that it stops; see CallFrameReply.
    """

    is_ending: bool

    async def read(self) -> object:
        """
        Return the next frame of results, or None at the end.

        Raises:
            RoadError: The connection has broken.
            PeerProtocolError: What came is no frame, or too large for one.
        """

    async def write(self, message: bytes) -> None:
        """
        Send a frame.

        Raises:
            RoadError: The connection has broken.
        """

    def close(self) -> None:
        """End the stream."""


class _GrpcStream(Generic[Result]):
    """Over gRPC, whose own errors it raises, and which ends streams by itself."""

    def __init__(self, channel: grpc.aio.Channel, kind: StreamKind[Result]) -> None:
        self.is_ending = False
        self._call: grpc.aio.StreamStreamCall[bytes, FrameReply[Result]] = (
            channel.stream_stream(
                kind.path, response_deserializer=kind.reply.FromString
            )()
        )

    async def read(self) -> object:
        return await self._call.read()

    async def write(self, message: bytes) -> None:
        await self._call.write(message)

    def close(self) -> None:
        self._call.cancel()


class Connection(Generic[Result]):
    """A connected channel and a stream on it, until that ends."""

    def __init__(  # noqa: PLR0913 -- each is named at the call
        self,
        address: str,
        channel: grpc.aio.Channel,
        kind: StreamKind[Result],
        *,
        gate: Gate,
        deadlines: Deadlines,
        on_trouble: Callable[["Connection[Result]"], None],
        direct: Stream | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.address = address
        self.channel = channel
        self._kind = kind
        self._batcher: Batcher[Result] = Batcher(
            address,
            loop=loop,
            gate=gate,
            deadlines=deadlines,
            on_silence=lambda: on_trouble(self),
            window=NO_WINDOW if direct is None else DIRECT_WINDOW,
        )
        self._on_trouble = on_trouble
        self.submit = self._batcher.add  # as it is: this is the hot path
        self.alive = True
        self._refused = False
        self._stream: Stream = direct or _GrpcStream(channel, kind)
        self._task = loop.create_task(self._run(), name=f"kvnode client {address}")

    @property
    def has_ended(self) -> bool:
        """Tell whether nothing of it is under way any more."""
        return self._task.done()

    async def close(self, because: str) -> None:
        """End the stream; what was sent and not answered is lost."""
        self._end(because)
        self._task.cancel()
        await asyncio.wait([self._task])
        self._stream.close()  # it has not been run, perhaps

    async def _run(self) -> None:
        """Read and write until the stream ends, from either side."""
        writer = asyncio.get_running_loop().create_task(self._write())
        because = "the stream was cancelled"
        try:
            because = await self._read()
        finally:
            self._end(because)
            writer.cancel()
            self._stream.close()
            await asyncio.wait([writer])

    async def _read(self) -> str:
        """Hand replies to their calls; return why there are no more."""
        try:
            while True:
                reply = await self._stream.read()
                if not isinstance(reply, self._kind.reply):
                    return "the node ended the stream"
                self._batcher.resolve(reply)
                if self._stream.is_ending and self._is_left():
                    return STOPPING
        except grpc.aio.AioRpcError as error:
            # Something listens there, but it has no such method.
            self._refused = error.code() is grpc.StatusCode.UNIMPLEMENTED
            return f"{error.code().name}: {error.details() or 'no details'}"
        except (RoadError, PeerProtocolError) as error:
            return str(error)

    def _is_left(self) -> bool:
        """Let calls go elsewhere; tell whether all that went here are answered."""
        if self.alive:
            self.alive = False
            self._batcher.refuse_more(STOPPING)
            self._on_trouble(self)
        return not self._batcher.call_count

    async def _write(self) -> None:
        """Write frames, one at a time; calls collect meanwhile."""
        # The reader learns from the stream's status why it ended.
        with contextlib.suppress(
            grpc.aio.AioRpcError, asyncio.InvalidStateError, RoadError
        ):
            while True:
                await self._stream.write(await self._batcher.frame())

    def _end(self, because: str) -> None:
        if self.alive:
            self.alive = False
            self._on_trouble(self)
        refusal = self._kind.refusal if self._refused else None
        self._batcher.close(because, refused=refusal)


class Endpoint(Generic[Result]):
    """Where a node listens, and the connection to it while there is one."""

    def __init__(  # noqa: PLR0913 -- each is named at the call
        self,
        address: str,
        kind: StreamKind[Result],
        *,
        credentials: grpc.ChannelCredentials | None,
        gate: Gate,
        deadlines: Deadlines,
        on_trouble: Callable[[Connection[Result]], None],
    ) -> None:
        self.address = address
        self._kind = kind
        self._credentials = credentials
        self._gate = gate
        self._deadlines = deadlines
        self._on_trouble = on_trouble
        self._channel: grpc.aio.Channel | None = None
        self._dial_from = 0.0  # the loop's time; directly, and not before
        self._connection: Connection[Result] | None = None
        self._former: list[Connection[Result]] = []  # whose calls may be under way

    @property
    def connection(self) -> Connection[Result] | None:
        """The open connection, if there is one."""
        connection = self._connection
        return connection if connection is not None and connection.alive else None

    async def connect(self) -> Connection[Result]:
        """
        Open a stream, over the channel of before if that is still connected.

        One caller at a time.

        Raises:
            UnavailableError: Not within CONNECT_SECONDS_MAX; nothing was sent.
        """
        if (connection := self.connection) is not None:
            return connection
        self._leave()
        if self._channel is None:
            self._channel = self._new_channel()
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                connected = await _connected(self._channel)
        except TimeoutError:
            connected = False
        if not connected:
            await self._fail()
        direct = await self._dialed(self._channel)
        is_lost = self._channel.get_state() is not grpc.ChannelConnectivity.READY
        if direct is None and is_lost:  # while it was asked
            await self._fail()
        self._connection = Connection(
            self.address,
            self._channel,
            self._kind,
            gate=self._gate,
            deadlines=self._deadlines,
            on_trouble=self._on_trouble,
            direct=direct,
        )
        return self._connection

    async def _fail(self) -> NoReturn:
        """Start afresh next time; nothing was sent."""
        await self._close_channel()
        msg = f"{self.address} cannot be reached: is a node listening there?"
        raise UnavailableError(msg)

    async def _dialed(self, channel: grpc.aio.Channel) -> Stream | None:
        """Return a stream without gRPC, unless there is none, or it has a key."""
        now = asyncio.get_running_loop().time
        dial = self._kind.dial
        if dial is None or self._credentials is not None or now() < self._dial_from:
            return None
        direct = await dial(channel, self.address)
        if direct is None:
            self._dial_from = now() + DIAL_AGAIN_SECONDS
        return direct

    async def close(self, because: str) -> None:
        """Close stream and channel; a later `connect` starts afresh."""
        self._leave()
        former, self._former = self._former, []
        for each in former:
            await each.close(because)
        await self._close_channel()

    def _leave(self) -> None:
        """Use the stream no more; calls of it may be under way."""
        self._former = [each for each in self._former if not each.has_ended]
        if self._connection is not None:
            self._former.append(self._connection)
            self._connection = None

    async def _close_channel(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    def _new_channel(self) -> grpc.aio.Channel:
        if self._credentials is None:
            return grpc.aio.insecure_channel(self.address, options=_OPTIONS)
        return grpc.aio.secure_channel(
            self.address, self._credentials, options=_OPTIONS
        )


async def _connected(channel: grpc.aio.Channel) -> bool:
    """Connect *channel*; tell whether that worked, as soon as it is known."""
    while True:
        state = channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.READY:
            return True
        if state in {
            grpc.ChannelConnectivity.TRANSIENT_FAILURE,
            grpc.ChannelConnectivity.SHUTDOWN,
        }:
            return False
        await channel.wait_for_state_change(state)
