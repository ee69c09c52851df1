"""
Connections over the simulated network: two ends, bytes in order each way.

An end is what a process holds.  It breaks when the other side closes it, when a
keepalive is not answered, when too much was lost, or when a message is sent to
somebody who does not know of the connection any more; the two ends notice each
by itself.  As with gRPC, whoever dialed sends keepalives, and does so only while
nothing is heard.

A sender waits when too much has not been taken by the receiver.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cluster.simulated.line import Line
from cluster.simulated.loop import VirtualLoop
from cluster.simulated.owner import Life, Owner
from kvnode.errors import RoadError
from kvnode.limits import KEEPALIVE_MILLIS, KEEPALIVE_TIMEOUT_MILLIS

WINDOW_BYTES = 256 * 1024
"""What a sender may have under way and unread before it waits."""

HEAD_BYTES = 60
"""Of every message, for those of TCP and HTTP/2."""

KEEPALIVE_SECONDS = KEEPALIVE_MILLIS / 1000
KEEPALIVE_TIMEOUT_SECONDS = KEEPALIVE_TIMEOUT_MILLIS / 1000


class _Opening(NamedTuple):
    """The first thing that arrives: the other side takes the connection."""

    accept: Callable[["End"], None]


class _Closing(NamedTuple):
    """The last thing that arrives."""

    reason: str


_Item = bytes | _Opening | _Closing


class Pipe:
    """One direction of a connection, as the sender's operating system has it."""

    def __init__(
        self, loop: VirtualLoop, line: Line, sender: "End", receiver: "End"
    ) -> None:
        self.unread_bytes = 0
        self._line = line
        self._loop = loop
        self._context = loop.world.context
        self._sender = sender
        self._receiver = receiver
        self._queue: deque[_Item] = deque()
        self._last_arrival = 0.0
        self._blocked = False
        self._epoch = 0
        line.travellers[self] = None

    def send(self, item: _Item) -> None:
        """Put *item* on its way."""
        self._append(item)
        if isinstance(item, bytes):
            if self._line.duplicates():
                self._append(item)
            if self._line.disorders() and isinstance(self._queue[0], bytes):
                self._queue.rotate(1)  # the newest arrives next

    def _append(self, item: _Item) -> None:
        self._queue.append(item)
        if isinstance(item, bytes):
            self.unread_bytes += len(item)
        if not self._blocked:
            if self._line.cut:
                self._block()
            else:
                self._launch(item)

    def read(self, size_bytes: int) -> None:
        """Note that the receiver has taken so much, which makes room."""
        self.unread_bytes -= size_bytes
        self._sender.wake_writers()

    def drop(self) -> None:
        """Lose what is under way, and whatever comes."""
        self._epoch += 1
        self._queue.clear()
        self._line.travellers.pop(self, None)

    def line_opened(self) -> None:
        """Send again what the cut held back."""
        if self._blocked:
            pause = self._line.retransmission_seconds()
            self._loop.call_later(pause, self._relaunch, context=self._context)

    def _block(self) -> None:
        self._blocked = True
        self._epoch += 1  # what is in flight is lost, and kept to be sent again

    def _relaunch(self) -> None:
        if self._blocked and not self._line.cut:
            self._blocked = False
            epoch = self._epoch
            for item in tuple(self._queue):
                if epoch == self._epoch:  # one that is given up takes all with it
                    self._launch(item)

    def _launch(self, item: _Item) -> None:
        now = self._loop.now
        size = HEAD_BYTES + (len(item) if isinstance(item, bytes) else 0)
        flight = self._line.flight_seconds(size, now)
        if flight is None:
            self._sender.break_off("too many packets were lost")
            self.drop()
            return
        self._last_arrival = max(self._last_arrival, now + flight)
        self._loop.call_at(
            self._last_arrival, self._arrive, self._epoch, context=self._context
        )

    def _arrive(self, epoch: int) -> None:
        if epoch != self._epoch:
            return
        if self._line.cut:
            self._block()
            return
        item = self._queue.popleft()
        if isinstance(item, _Closing):
            self.drop()
        self._receiver.take(item)


@dataclass(slots=True)
class Host:
    """
    Where ends live: a process with a name, as long as it runs.

    Attributes:
        name: Of the node or client.
        owner: Whose callbacks are its own.
        ends: Its open ends, in order.
    """

    name: str
    owner: Owner
    ends: "dict[End, None]"

    @property
    def dead(self) -> bool:
        """Tell whether the process has ended."""
        return self.owner.life is Life.DEAD


class End:
    """
    One side's end of a connection.

    Attributes:
        host: Whose end it is.
        peer_name: Who is at the other end.
        number: Of the connection.
        listeners: Are told of what is sent.
        broken: Why nothing can be sent any more; empty while it can.
        heard_at: When something arrived last.
    """

    def __init__(self, loop: VirtualLoop, host: Host, peer_name: str) -> None:
        self.host = host
        self.peer_name = peer_name
        self.broken = ""
        self.heard_at = loop.now
        self.number = 0
        self.listeners: list[Callable[[bytes], None]] = []
        self._loop = loop
        self._out: Pipe | None = None
        self._in: Pipe | None = None
        self._reset_peer: Callable[[], None] | None = None
        self._inbox: deque[bytes] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._writers: deque[asyncio.Future[None]] = deque()
        host.ends[self] = None

    # -- for the process that holds it ----------------------------------------

    async def receive(self) -> bytes:
        """
        Return the next message.

        Raises:
            RoadError: There is none, and none will come.
        """
        while not self._inbox:
            if self.broken:
                raise RoadError(self.broken)
            self._reader = self._loop.create_future()
            await self._reader
        message = self._inbox.popleft()
        assert self._in is not None, "what was received came in"
        self._in.read(len(message))
        return message

    async def send(self, message: bytes) -> None:
        """
        Send *message*; waits until connected, and while too much is unread.

        Raises:
            RoadError: The connection has ended, or could not be made.
        """
        await self.connection()
        while not self.broken and self._unread_bytes > WINDOW_BYTES:
            await self._change()
        self.send_now(message)

    async def connection(self) -> None:
        """
        Wait until the connection stands.

        Raises:
            RoadError: It could not be made, or has ended.
        """
        while not self.broken and self._out is None:
            await self._change()
        if self.broken:
            raise RoadError(self.broken)

    @property
    def _unread_bytes(self) -> int:
        return 0 if self._out is None else self._out.unread_bytes

    async def _change(self) -> None:
        """Wait until this end may be able to send."""
        writer: asyncio.Future[None] = self._loop.create_future()
        self._writers.append(writer)
        await writer

    def send_now(self, message: bytes) -> None:
        """
        Send *message* on a connection that stands, whatever is unread.

        Raises:
            RoadError: The connection has ended.
        """
        if self.broken or self._out is None:
            raise RoadError(self.broken or "not connected yet")
        for listener in self.listeners:
            listener(message)
        self._out.send(message)

    def close(self, reason: str) -> None:
        """End the connection; the other side hears *reason* after all else."""
        if not self.broken and self._out is not None:
            self._out.send(_Closing(reason))
        self.break_off("closed here")

    # -- for the network ------------------------------------------------------

    def connect(self, other: "End", there: Line, reset: Callable[[], None]) -> None:
        """
        Make this end's half of the connection to *other*.

        Args:
            other: The other end.
            there: The line to it.
            reset: Tells the other end that this one knows of nothing.
        """
        self._out = other._in = Pipe(self._loop, there, self, other)
        self._reset_peer = reset
        self.heard_at = self._loop.now
        self.wake_writers()

    @property
    def connected(self) -> bool:
        """Tell whether the connection has been made, broken since or not."""
        return self._out is not None

    def open_with(self, accept: Callable[["End"], None]) -> None:
        """Let the other side *accept* the connection when that arrives there."""
        assert self._out is not None, "connected comes first"
        self._out.send(_Opening(accept))

    def take(self, item: _Item) -> None:
        """Take what has arrived."""
        self.heard_at = self._loop.now
        if isinstance(item, _Opening):
            item.accept(self)
            return
        if self.broken:
            if isinstance(item, bytes) and self._reset_peer is not None:
                self._reset_peer()
            return
        if isinstance(item, bytes):
            self._inbox.append(item)
            self._wake_reader()
        else:
            self.break_off(item.reason)

    def break_off(self, reason: str) -> None:
        """Notice that the connection is over; nobody else is told."""
        if self.broken:
            return
        self.broken = reason
        self.host.ends.pop(self, None)
        self._wake_reader()
        self.wake_writers()

    def lose_unsent(self) -> None:
        """Lose what has not arrived yet."""
        if self._out is not None:
            self._out.drop()

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)

    def wake_writers(self) -> None:
        """Let whoever waits to send look again."""
        while self._writers:
            writer = self._writers.popleft()
            if not writer.done():
                writer.set_result(None)
