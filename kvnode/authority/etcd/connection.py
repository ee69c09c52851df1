"""
The connection to one endpoint of etcd.

A request is sent only over a connection that stands: so what fails before was never
sent.  A connection that was silent or broke is thrown away, and the next request makes
another, without gRPC's own pauses between attempts: who asks has a deadline, and other
endpoints to turn to.

One that has not been used for a while is given up, since etcd is asked seldom: what
lies between may have forgotten it, and would swallow the request that a takeover waits
for.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import grpc
import grpc.aio

from kvnode.authority.etcd.failure import Failure, failure_of, unreachable
from kvnode.authority.etcd.wire import Method, ReplyT, RequestT
from kvnode.completion import is_being_cancelled

IDLE_MILLIS: Final = 20_000
"""Well below what networks remember: 60 s are few, 350 s usual at balancers."""

MESSAGE_BYTES_MAX: Final = 64 * 1024
"""A configuration has 400 bytes at most; somebody else's value may be larger."""

CLOSING_SECONDS_MAX: Final = 2.0
"""As long as anybody waits for an answer on a connection that is given up."""

_GIVEN_UP: Final = "this node has given the connection up"

_OPTIONS: Final = (
    ("grpc.client_idle_timeout_ms", IDLE_MILLIS),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.enable_retries", 0),  # what is tried again is decided here
    ("grpc.use_local_subchannel_pool", 1),  # the pauses of others are not ours
    ("grpc.enable_http_proxy", 0),  # etcd is addressed directly
)


class Connection:
    """
    What is said to one endpoint; several requests at once if need be.

    Attributes:
        endpoint: As in the settings: host:port, perhaps behind a scheme.
    """

    def __init__(
        self, endpoint: str, credentials: grpc.ChannelCredentials | None
    ) -> None:
        """
        Connect to nothing yet.

        Args:
            endpoint: As in the settings.
            credentials: For TLS, which is spoken if they are given.
        """
        self.endpoint = endpoint
        self._address = endpoint.rpartition("/")[2]
        self._credentials = credentials
        self._channel: grpc.aio.Channel | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def ask(
        self,
        method: Method[RequestT, ReplyT],
        request: RequestT,
        metadata: Sequence[tuple[str, str]],
        until: float,
    ) -> ReplyT | Failure:
        """
        Return what the endpoint answers, or why it does not.

        Args:
            method: What is called.
            request: What it is called with.
            metadata: What goes along.
            until: By the loop's clock.
        """
        channel = await self._connect(until)
        if isinstance(channel, Failure):
            return channel
        answer = await self._call(channel, method, request, metadata, until)
        if isinstance(answer, Failure) and answer.is_disconnected:
            self._drop(channel)
        return answer

    async def _connect(self, until: float) -> grpc.aio.Channel | Failure:
        """Return a channel that is connected, or why there is none."""
        begun = asyncio.get_running_loop().time()
        while not self._is_closed:
            if self._channel is None:
                self._channel = self._open()
            channel = self._channel
            try:
                async with asyncio.timeout_at(until):
                    trouble = await _connected(channel)
            except TimeoutError:
                trouble = f"no connection within {until - begun:.1f} s"
                self._drop(channel)
                return unreachable(self.endpoint, trouble)
            if trouble is None:
                return channel
            if channel is self._channel:
                self._drop(channel)
                return unreachable(self.endpoint, trouble)
            # Who had less time has given it up: go on with the next one.
        return self._ended(may_have_happened=False)

    async def _call(
        self,
        channel: grpc.aio.Channel,
        method: Method[RequestT, ReplyT],
        request: RequestT,
        metadata: Sequence[tuple[str, str]],
        until: float,
    ) -> ReplyT | Failure:
        patience = max(0.0, until - asyncio.get_running_loop().time())
        call: grpc.aio.UnaryUnaryMultiCallable[RequestT, ReplyT] = channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.reply.FromString,
        )
        try:
            return await call(request, metadata=tuple(metadata), timeout=patience)
        except grpc.aio.AioRpcError as error:
            return failure_of(self.endpoint, error, patience, changes=method.changes)
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
        except grpc.aio.BaseError:
            pass  # the same, found by gRPC at another place
        return self._ended(may_have_happened=method.changes)

    def _ended(self, *, may_have_happened: bool) -> Failure:
        return Failure(
            f"the connection to {self.endpoint} was closed by this node",
            may_have_happened=may_have_happened,
            is_final=self._is_closed,
            is_disconnected=True,
        )

    def _open(self) -> grpc.aio.Channel:
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._address, options=_OPTIONS)
        return grpc.aio.secure_channel(
            self._address, self._credentials, options=_OPTIONS
        )

    def _drop(self, channel: grpc.aio.Channel) -> None:
        """Let the next request make another; those under way may end on this one."""
        if self._channel is not channel:
            return
        self._channel = None
        closing = asyncio.create_task(channel.close(CLOSING_SECONDS_MAX))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End the connection; requests under way may fail."""
        self._is_closed = True
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
        await asyncio.gather(*self._closing)


async def _connected(channel: grpc.aio.Channel) -> str | None:
    """Connect *channel*; return why that is not possible, None if it is."""
    states = grpc.ChannelConnectivity
    try:
        while (state := channel.get_state(try_to_connect=True)) is not states.READY:
            if state is states.TRANSIENT_FAILURE:
                return await _why_not(channel)
            if state is states.SHUTDOWN:
                return _GIVEN_UP
            await channel.wait_for_state_change(state)
    except grpc.aio.UsageError:  # it waits for calls to end, and takes no others
        return _GIVEN_UP
    return None


async def _why_not(channel: grpc.aio.Channel) -> str | None:
    """Return why *channel* does not connect, which only a call is told."""
    nothing: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
    nothing = channel.unary_unary("/kvnode/Nothing")
    try:
        await nothing(b"", wait_for_ready=False)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return None  # it has connected meanwhile
        return error.details() or error.code().name
    return None
