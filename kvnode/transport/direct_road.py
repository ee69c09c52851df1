"""
Streams between nodes over plain TCP: frames behind their lengths, and nothing else.

    u32 length, frame; u32 length, frame; ...

gRPC hands every message from one thread to another several times.  Where an entry of a
log has to go to a majority and back before anybody is answered, that is most of the
wait, and of the work: a stream of this kind costs less than half (docs/decisions/0027).

A peer whose machine is gone tells nobody.  What has been written and is not
acknowledged for long ends the stream, and so does a peer that answers no probes.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from struct import Struct
from typing import Final, Generic, Self

from google.protobuf.message import DecodeError

from kvnode.address import split_address
from kvnode.errors import PeerProtocolError
from kvnode.limits import KEEPALIVE_MILLIS, KEEPALIVE_TIMEOUT_MILLIS
from kvnode.transport.grpc_road import MessageT, Method
from kvnode.transport.listening import bound_socket, set_if_known
from kvnode.transport.road import Farewell, RoadError, Stream

logger = logging.getLogger(__name__)

CONNECT_SECONDS_MAX: Final = 2.0
"""Ten round trips around the Earth: a port behind a firewall answers nothing."""

CONNECTIONS_MAX: Final = 1024
"""That others have dialed: four times the nodes that a cluster of objects may have."""

PROBES: Final = 3
"""Unanswered, one after another, before a quiet connection counts as dead."""

_LENGTH: Final = Struct(">I")


class DirectStream(Generic[MessageT]):
    """One connection; see kvnode.transport.road.Stream."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        method: Method[MessageT],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._method = method
        _notice_dead_peers(writer.get_extra_info("socket"))

    async def read(self) -> MessageT | None:
        """
        Return the next message, or None at the end of the stream.

        Raises:
            RoadError: The connection has broken.
            PeerProtocolError: What came is no message, or too large for one.
        """
        try:
            length = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))[0]
            if length > self._method.bytes_max:
                msg = (
                    f"it announced a message of {length} bytes, and one may have"
                    f" {self._method.bytes_max}"
                )
                raise PeerProtocolError(msg)
            frame = await self._reader.readexactly(length)
        except asyncio.IncompleteReadError:
            return None
        except OSError as error:
            raise RoadError(_said(error)) from error
        try:
            return self._method.message.FromString(frame)
        except DecodeError as error:
            msg = "it sent bytes that are no message"
            raise PeerProtocolError(msg) from error

    async def write(self, message: bytes) -> None:
        """
        Send an encoded message.

        Raises:
            RoadError: The connection has broken.
        """
        try:
            self._writer.writelines((_LENGTH.pack(len(message)), message))
            await self._writer.drain()
        except OSError as error:
            raise RoadError(_said(error)) from error

    def close(self) -> None:
        """End the stream; what was written still goes out."""
        self._writer.close()


class DirectRoad(Generic[MessageT]):
    """The road over plain TCP."""

    def __init__(self, method: Method[MessageT]) -> None:
        """Open streams for messages of *method*, which are as large as there."""
        self._method = method

    @asynccontextmanager
    async def open(self, address: str) -> AsyncIterator[DirectStream[MessageT]]:
        """
        Connect to *address*; see kvnode.transport.road.

        Raises:
            RoadError: Nobody answers there.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                reader, writer = await asyncio.open_connection(*split_address(address))
        except TimeoutError as error:
            msg = f"{address} did not answer within {CONNECT_SECONDS_MAX:g} s"
            raise RoadError(msg) from error
        except OSError as error:
            raise RoadError(_said(error)) from error
        stream = DirectStream(reader, writer, self._method)
        try:
            yield stream
        finally:
            stream.close()


class DirectDoor(Generic[MessageT]):
    """
    Where others dial this node directly.

    Attributes:
        port: At which it listens.
    """

    def __init__(self, method: Method[MessageT]) -> None:
        """Take streams for messages of *method*; see `open`."""
        self.port = 0
        self._method = method
        self._accept: Callable[[Stream[MessageT], str], Awaitable[Farewell]]
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._attached = asyncio.Event()

    @classmethod
    async def open(cls, method: Method[MessageT], host: str, port: int) -> Self:
        """
        Listen; whoever comes waits for `attach`.  Blocks while it looks *host* up.

        Args:
            method: Says what messages are, and how large.
            host: The address to listen on.
            port: 0 takes a free one.

        Raises:
            OSError: It cannot be listened on.
        """
        door = cls(method)
        listening = bound_socket(host, port)
        door.port = listening.getsockname()[1]
        door._server = await asyncio.start_server(door._serve, sock=listening)
        return door

    def attach(
        self, accept: Callable[[Stream[MessageT], str], Awaitable[Farewell]]
    ) -> None:
        """Let *accept* run each stream, like those of kvnode.transport.grpc_road."""
        self._accept = accept
        self._attached.set()

    async def close(self) -> None:
        """Listen no more, and end all streams."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None, "the server makes one for each connection"
        if len(self._serving) >= CONNECTIONS_MAX:
            logger.warning(
                "%d nodes have dialed: one more is too many", len(self._serving)
            )
            writer.close()
            return
        self._serving.add(task)
        stream = DirectStream(reader, writer, self._method)
        try:
            await self._attached.wait()
            # Its end has no room for a reason: who dials has been met over gRPC.
            with suppress(RoadError):
                await self._accept(stream, str(writer.get_extra_info("peername")))
        except asyncio.CancelledError:
            pass  # asyncio would log the end of a task that it has not begun
        finally:
            self._serving.discard(task)
            stream.close()


def _notice_dead_peers(connection: socket.socket) -> None:
    """Let the kernel end *connection* when nobody is at its other end any more."""
    dead_after = KEEPALIVE_MILLIS + KEEPALIVE_TIMEOUT_MILLIS
    options = {
        "TCP_KEEPIDLE": KEEPALIVE_MILLIS // 1000,
        "TCP_KEEPINTVL": max(1, KEEPALIVE_TIMEOUT_MILLIS // 1000 // PROBES),
        "TCP_KEEPCNT": PROBES,
        "TCP_USER_TIMEOUT": dead_after,
    }
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        set_if_known(connection, name, value)


def _said(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
