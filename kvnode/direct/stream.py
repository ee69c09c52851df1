"""
One connection over plain TCP: frames behind their lengths, and nothing else.

    u32 length, frame; u32 length, frame; ...

What comes in is cut into frames where the loop hands it over, without a buffer and a
task in between.  Past a bound of frames that nobody has read no more is taken in.

A peer whose machine is gone tells nobody.  What has been written and is not
acknowledged for long ends the stream, and so does a peer that answers no probes; and
one that is there, and takes in nothing for as long.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Final, Generic, NamedTuple, Protocol, Self, TypeVar, cast

from google.protobuf.message import DecodeError

from kvnode.direct.listening import set_if_known
from kvnode.errors import PeerProtocolError, RoadError
from kvnode.limits import KEEPALIVE_MILLIS, KEEPALIVE_TIMEOUT_MILLIS

PROBES: Final = 3
"""Unanswered, one after another, before a quiet connection counts as dead."""

UNREAD_BYTES_MAX: Final = 1024 * 1024
"""Whole frames that wait to be read; TCP holds the peer back past that."""

_LENGTH: Final = Struct(">I")

ENDED: Final = "the stream has ended"


class Message(Protocol):
    """A protobuf message."""

    @classmethod
    def FromString(cls, data: bytes, /) -> Self:  # noqa: N802 -- protobuf's name
        """Return the message in *data*."""


MessageT = TypeVar("MessageT", bound=Message)


class Frames(NamedTuple, Generic[MessageT]):
    """
    What is read from a stream.

    Attributes:
        message: Of what kind each is.
        bytes_max: Of each, at first; see `DirectStream.take`.
        dead_after_ms: For how long what was written may go without being acknowledged,
            or without being read: TCP does not tell the two apart.
    """

    message: type[MessageT]
    bytes_max: int
    dead_after_ms: int = KEEPALIVE_MILLIS + KEEPALIVE_TIMEOUT_MILLIS


class DirectStream(asyncio.Protocol, Generic[MessageT]):
    """See kvnode.transport.road.Stream."""

    def __init__(
        self,
        read: Frames[MessageT],
        on_connected: "Callable[[DirectStream[MessageT]], None]" = lambda _: None,
    ) -> None:
        """Wait to be connected; callers let the loop make it, and *on_connected*."""
        self._read = read
        self._bytes_max = read.bytes_max
        self._on_connected = on_connected
        self._transport: asyncio.Transport
        self._begun = bytearray()  # of a frame that has not come whole
        self._wanted_bytes = 0  # as long as it must be, to look at it again
        self._frames: deque[bytes] = deque()
        self._frames_bytes = 0
        self._is_held_back = False
        self._refused: PeerProtocolError | None = None
        self._lost: RoadError | None = None
        self._has_ended = False
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self._is_full = False

    @property
    def peer(self) -> str:
        """Return where the other side is, for people."""
        return str(self._transport.get_extra_info("peername"))

    def take(self, bytes_max: int) -> None:
        """Let messages from now on have so many bytes."""
        self._bytes_max = bytes_max

    def close(self) -> None:
        """
        End the stream.

        What was written still goes out, unless something came that nobody has read:
        then the kernel throws both away.
        """
        self._transport.close()

    async def read(self) -> MessageT | None:
        """
        Return the next message, or None at the end of the stream.

        Raises:
            RoadError: The connection has broken.
            PeerProtocolError: What came is no message, or too large for one.
        """
        while not self._frames:
            if self._refused is not None:
                raise self._refused
            if self._lost is not None:
                raise self._lost
            if self._has_ended:
                return None
            assert self._reader is None, "one reads at a time"
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        frame = self._frames.popleft()
        self._frames_bytes -= _LENGTH.size + len(frame)
        if self._is_held_back and self._frames_bytes <= UNREAD_BYTES_MAX:
            self._is_held_back = False
            self._transport.resume_reading()
        try:
            return self._read.message.FromString(frame)
        except DecodeError as error:
            msg = "it sent bytes that are no message"
            raise PeerProtocolError(msg) from error

    async def write(self, message: bytes) -> None:
        """
        Send an encoded message.

        Raises:
            RoadError: The connection has broken.
        """
        self._check_open()
        self._send(message)
        if self._is_full:
            there_is_room = asyncio.get_running_loop().create_future()
            self._writers.append(there_is_room)
            await there_is_room
            self._check_open()

    def try_write(self, message: bytes) -> bool:
        """Send an encoded message if there is room at once; tell whether it was."""
        if self._is_full or self._has_ended:
            return False
        self._send(message)
        return True

    def _check_open(self) -> None:
        if self._has_ended:
            raise self._lost or RoadError(ENDED)

    def _send(self, message: bytes) -> None:
        # Not by `writelines`: that holds nobody back in Python 3.12.0 to 3.12.8, and in
        # 3.13.0 and 3.13.1 (CVE-2024-12254).
        self._transport.write(b"".join((_LENGTH.pack(len(message)), message)))

    # -- what the loop tells (asyncio.Protocol) --------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        connection = transport.get_extra_info("socket")
        _notice_dead_peers(connection, self._read.dead_after_ms)
        self._on_connected(self)

    def data_received(self, data: bytes) -> None:
        """Cut what has come into frames."""
        if self._refused is not None:
            return
        if self._begun:
            self._begun += data
            if len(self._begun) < self._wanted_bytes:
                return
            data = bytes(self._begun)
            self._begun.clear()
        place, behind, self._wanted_bytes = 0, len(data), _LENGTH.size
        while behind - place >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(data, place)
            if length > self._bytes_max:
                self._refuse(length)
                break
            end = place + _LENGTH.size + length
            if end > behind:
                self._wanted_bytes = end - place
                break
            self._frames.append(data[place + _LENGTH.size : end])
            self._frames_bytes += _LENGTH.size + length
            place = end
        if place < behind:
            self._begun += data[place:]
        if self._frames_bytes > UNREAD_BYTES_MAX and not self._is_held_back:
            self._is_held_back = True
            self._transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> None:
        """End: the other side says no more."""
        self._has_ended = True
        self._wake_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: nothing goes through any more."""
        self._has_ended = True
        if exc is not None:
            self._lost = RoadError(said(exc))
        self._wake_reader()
        self._wake_writers()

    def pause_writing(self) -> None:
        """Let writers wait."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Let writers go on."""
        self._is_full = False
        self._wake_writers()

    def _refuse(self, length: int) -> None:
        self._refused = PeerProtocolError(
            f"it announced a message of {length} bytes, and one may have"
            f" {self._bytes_max}"
        )

    def _wake_reader(self) -> None:
        is_due = self._frames or self._has_ended or self._refused is not None
        if is_due and self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _wake_writers(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            if not writer.done():
                writer.set_result(None)


async def dialed(
    frames: Frames[MessageT], address: tuple[str, int], *, seconds: float
) -> DirectStream[MessageT]:
    """
    Return a stream to whoever listens at *address*, a host and a port.

    Raises:
        RoadError: Nobody does, or answers within *seconds*.
    """
    try:
        async with asyncio.timeout(seconds):
            _, stream = await asyncio.get_running_loop().create_connection(
                lambda: DirectStream(frames), *address
            )
    except TimeoutError as error:
        msg = f"{address[0]}:{address[1]} did not answer within {seconds:g} s"
        raise RoadError(msg) from error
    except OSError as error:
        raise RoadError(said(error)) from error
    return stream


def said(error: Exception) -> str:
    """Return what *error* says, in words if there are any."""
    words = error.strerror if isinstance(error, OSError) else ""
    return words or str(error) or type(error).__name__


def _notice_dead_peers(connection: socket.socket, dead_after_ms: int) -> None:
    """Let the kernel end *connection* when nobody is at its other end any more."""
    options = {
        "TCP_KEEPIDLE": KEEPALIVE_MILLIS // 1000,
        "TCP_KEEPINTVL": max(1, KEEPALIVE_TIMEOUT_MILLIS // 1000 // PROBES),
        "TCP_KEEPCNT": PROBES,
        "TCP_USER_TIMEOUT": dead_after_ms,
    }
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        set_if_known(connection, name, value)
