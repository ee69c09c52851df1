"""
One direction of one connection through the proxy.

What is on its way is kept in a bounded queue.  When that is full nothing more is
read, so that the sender's own buffers fill and it feels what it would feel of a
slow or cut network; the proxy's memory stays bounded whatever is sent.
"""

import asyncio
from collections import deque

from cluster.fault_proxy.road import Flight, Road

PIECE_BYTES_MAX = 64 * 1024
FLIGHT_BYTES_MAX = 1024 * 1024
"""What may be on its way at once: 80 Mbit/s at 100 ms."""


class BrokenConnectionError(Exception):
    """One end is gone, or the road tears connections: so must the other end be."""


class Pipe:
    """Carries bytes from a reader to a writer, as a road lets it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, road: Road
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._road = road
        self._flying: deque[tuple[Flight, bytes]] = deque()
        self._flying_bytes = 0
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """
        Carry until the sender has ended its side, and tell the receiver.

        Raises:
            BrokenConnectionError: The connection must be torn down.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take_in())
                tasks.create_task(self._hand_out())
        except* (OSError, BrokenConnectionError) as errors:
            raise BrokenConnectionError from errors

    async def _take_in(self) -> None:
        while True:
            while self._flying_bytes >= FLIGHT_BYTES_MAX:
                self._moved.clear()
                await self._moved.wait()
            piece = await self._reader.read(PIECE_BYTES_MAX)
            if not await self._road.opened():
                raise BrokenConnectionError
            self._flying.append((self._road.send(len(piece)), piece))
            self._flying_bytes += len(piece)
            self._moved.set()
            if not piece:
                return

    async def _hand_out(self) -> None:
        while True:
            while not self._flying:
                self._moved.clear()
                await self._moved.wait()
            flight, piece = self._flying[0]
            await self._road.arrival(flight)
            # A cut meets also what was on its way when it came.
            if not await self._road.opened() or self._road.gives_up(flight):
                raise BrokenConnectionError
            if not piece:
                self._writer.write_eof()
                return
            self._writer.write(piece)
            await self._writer.drain()
            self._road.bytes_passed += len(piece)
            self._flying.popleft()
            self._flying_bytes -= len(piece)
            self._moved.set()
