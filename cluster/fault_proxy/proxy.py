"""
A user-space TCP proxy between nodes that can be told to behave badly.

Each ordered pair of nodes that may dial has a listener: who connects there is
the dialer, and is connected on to the target.  A connection carries bytes both
ways, each over the road of its direction, whoever dialed; so a cut from A to B
meets what A sends to B over connections of either's making, and nothing else.
Only what TCP says to itself (its acknowledgements) is not cut one-way, because
the proxy ends both halves of a connection itself.

A connection is made through when both roads are open: a handshake needs both.

The proxy must be where the nodes look for each other; if a node can learn
another way, give it `refusing` for an address, which goes nowhere.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

from cluster.fault_proxy.conditions import PERFECT, Conditions
from cluster.fault_proxy.pipe import PIECE_BYTES_MAX, BrokenConnectionError, Pipe
from cluster.fault_proxy.road import Road

HOST = "127.0.0.1"

CONNECTIONS_MAX = 10_000
"""Above that new ones are refused: two file descriptors each, and two buffers."""

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # linger for no time at all
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]

Link = tuple[str, str]
"""(sender, receiver)."""


class FaultProxy:
    """All roads between some nodes; `close` ends what was begun."""

    def __init__(self, random: Random) -> None:
        """Make a proxy without listeners that draws from *random*."""
        self._random = random
        self._roads: dict[Link, Road] = {}
        self._servers: list[asyncio.Server] = []
        self._serving: set[asyncio.Task[None]] = set()

    async def listen(self, dialer: str, target: str, host: str, port: int) -> int:
        """
        Open a way for *dialer* to reach *target*, which is at *host* and *port*.

        Returns:
            The port of 127.0.0.1 to dial.
        """
        return await self._listen(partial(self._serve, (dialer, target), host, port))

    async def refusing(self) -> int:
        """Return a port of 127.0.0.1 at which every connection is reset at once."""

        async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            _tear(writer)

        return await self._listen(refuse)

    async def _listen(
        self,
        serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    ) -> int:
        server = await asyncio.start_server(serve, HOST, 0, limit=PIECE_BYTES_MAX)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def set(self, link: Link, conditions: Conditions) -> None:
        """Have *conditions* on *link*, also for what is on its way."""
        self._road(link).set(conditions)

    def conditions(self, link: Link) -> Conditions:
        """Return the conditions on *link*."""
        return self._road(link).conditions

    def bytes_passed(self, link: Link) -> int:
        """Return how many bytes have arrived over *link*."""
        return self._road(link).bytes_passed

    def heal(self) -> None:
        """Make all roads perfect."""
        for road in self._roads.values():
            road.set(PERFECT)

    async def close(self) -> None:
        """Stop listening, and tear all connections."""
        for server in self._servers:
            server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()

    def _road(self, link: Link) -> Road:
        if link not in self._roads:
            # Each has chance of its own, so that traffic elsewhere changes nothing.
            seed = f"{self._random.getrandbits(64)} {link}"
            self._roads[link] = Road(Random(seed))  # noqa: S311 -- faults, no secrets
        return self._roads[link]

    async def _serve(
        self,
        link: Link,
        host: str,
        port: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        task = asyncio.current_task()
        assert task is not None, "servers run callbacks in tasks"
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        onward, back = self._road(link), self._road(link[::-1])
        forget = [road.on_reset(task.cancel) for road in (onward, back)]
        try:
            if (
                len(self._serving) <= CONNECTIONS_MAX
                and await onward.opened()
                and await back.opened()
            ):
                there = await asyncio.open_connection(host, port, limit=PIECE_BYTES_MAX)
                await _carry((reader, writer), there, onward, back)
        except (OSError, BrokenConnectionError, asyncio.CancelledError):
            pass  # a torn connection is what this is for
        finally:
            for stop in forget:
                stop()
            _tear(writer)


async def _carry(here: Ends, there: Ends, onward: Road, back: Road) -> None:
    """Carry both ways until both sides have ended theirs."""
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Pipe(here[0], there[1], onward).run())
            tasks.create_task(Pipe(there[0], here[1], back).run())
        for _, writer in (here, there):
            writer.close()
            await writer.wait_closed()
    except* BrokenConnectionError as errors:
        raise BrokenConnectionError from errors
    finally:
        _tear(there[1])


def _tear(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset; one that has been closed stays as it is."""
    if not writer.is_closing():
        ends: socket.socket = writer.get_extra_info("socket")
        ends.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        writer.transport.abort()
