"""
Streams between nodes over plain TCP, dialed and accepted.

gRPC hands every message from one thread to another several times.  Where an entry of a
log has to go to a majority and back before anybody is answered, that is most of the
wait, and of the work: a stream of this kind costs less than half (docs/decisions/0031).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, Generic, Self

from kvnode.address import split_address
from kvnode.direct.listening import bound_socket
from kvnode.direct.stream import DirectStream, Frames, MessageT, dialed
from kvnode.errors import RoadError
from kvnode.transport.grpc_road import Method

logger = logging.getLogger(__name__)

CONNECT_SECONDS_MAX: Final = 2.0
"""Ten round trips around the Earth: a port behind a firewall answers nothing."""

CONNECTIONS_MAX: Final = 1024
"""That others have dialed: four times the nodes that a cluster of objects may have.

Clients that are turned away for it speak gRPC.
"""


class DirectRoad(Generic[MessageT]):
    """The road over plain TCP."""

    def __init__(self, method: Method[MessageT]) -> None:
        """Open streams for messages of *method*, which are as large as there."""
        self._frames = method.frames

    @asynccontextmanager
    async def open(self, address: str) -> AsyncIterator[DirectStream[MessageT]]:
        """
        Connect to *address*; see kvnode.transport.road.

        Raises:
            RoadError: Nobody answers there.
        """
        stream = await dialed(
            self._frames, split_address(address), seconds=CONNECT_SECONDS_MAX
        )
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

    def __init__(self) -> None:
        """Take no streams yet; see `open`."""
        self.port = 0
        self._accept: Callable[[DirectStream[MessageT], str], Awaitable[object]]
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._attached = asyncio.Event()

    @classmethod
    async def open(cls, frames: Frames[MessageT], host: str, port: int) -> Self:
        """
        Listen; whoever comes waits for `attach`.  Blocks while it looks *host* up.

        Args:
            frames: What others send.
            host: The address to listen on.
            port: 0 takes a free one.

        Raises:
            OSError: It cannot be listened on.
        """
        door = cls()
        listening = bound_socket(host, port)
        door.port = listening.getsockname()[1]
        door._server = await asyncio.get_running_loop().create_server(
            lambda: DirectStream(frames, door._begin), sock=listening
        )
        return door

    def attach(
        self, accept: Callable[[DirectStream[MessageT], str], Awaitable[object]]
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

    def _begin(self, stream: DirectStream[MessageT]) -> None:
        """Serve whoever has dialed."""
        if len(self._serving) >= CONNECTIONS_MAX:
            logger.warning(
                "%d streams have been dialed to port %d: one more is too many",
                len(self._serving),
                self.port,
            )
            stream.close()
            return
        task = asyncio.create_task(self._serve(stream), name=f"serve {stream.peer}")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, stream: DirectStream[MessageT]) -> None:
        try:
            await self._attached.wait()
            # Its end has no room for a reason: who dials has been met over gRPC.
            with suppress(RoadError):
                await self._accept(stream, stream.peer)
        finally:
            stream.close()
