"""A road in memory, on virtual time: real frames, as bytes, between real meshes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from kvnode._pb import shards_pb2 as pb
from kvnode.errors import RoadError
from kvnode.transport.road import Farewell, Stream

LATENCY_SECONDS = 0.002

Accept = Callable[[Stream[pb.ShardFrame], str], Awaitable[Farewell]]


class MemoryStream:
    """One end of a stream."""

    def __init__(self) -> None:
        self.other: MemoryStream
        self._arriving: deque[bytes] = deque()
        self._arrived: asyncio.Queue[pb.ShardFrame | None] = asyncio.Queue()
        self._broken = ""

    async def read(self) -> pb.ShardFrame | None:
        """Return the next frame, None at the end."""
        frame = await self._arrived.get()
        if frame is None and self._broken:
            raise RoadError(self._broken)
        return frame

    async def write(self, message: bytes) -> None:
        """Let a frame be on its way."""
        if self._broken:
            raise RoadError(self._broken)
        self.other._arriving.append(message)
        loop = asyncio.get_running_loop()
        loop.call_later(LATENCY_SECONDS, self.other._arrive)

    def end(self, reason: str = "") -> None:
        """Let no more come in; *reason* = the stream has broken."""
        self._broken = reason
        self._arrived.put_nowait(None)

    def _arrive(self) -> None:
        self._arrived.put_nowait(pb.ShardFrame.FromString(self._arriving.popleft()))


class MemoryRoads:
    """All roads; whoever listens is known by its address."""

    def __init__(self) -> None:
        self._listening: dict[str, Accept] = {}
        self._accepted: dict[str, set[asyncio.Task[None]]] = {}

    def listen(self, address: str, accept: Accept) -> None:
        """Let streams to *address* be run by *accept*."""
        self._listening[address] = accept
        self._accepted[address] = set()

    async def hang_up(self, address: str) -> None:
        """Let nobody listen at *address*; all streams to it break."""
        del self._listening[address]
        tasks = self._accepted.pop(address)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def open(self, address: str) -> AsyncIterator[MemoryStream]:
        """Open a stream to whoever listens at *address*."""
        await asyncio.sleep(LATENCY_SECONDS)
        accept = self._listening.get(address)
        if accept is None:
            msg = f"nobody listens at {address}"
            raise RoadError(msg)
        dialed, accepted = MemoryStream(), MemoryStream()
        dialed.other, accepted.other = accepted, dialed

        async def run() -> None:
            reason = "the node has stopped"
            try:
                reason = (await accept(accepted, "somewhere")).reason
            finally:
                dialed.end(reason)

        task = asyncio.create_task(run())
        tasks = self._accepted[address]
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        try:
            yield dialed
        finally:
            task.cancel()
