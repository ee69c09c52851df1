"""
How a node that serves objects is met: over gRPC, and then directly if that is possible.

gRPC's port is the one that everybody knows.  The node that is met there says at which
port it takes plain TCP (kvnode.transport.direct_road), and is met again there; one that
does not answer at that port, as behind a firewall, is spoken with over gRPC.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple

from kvnode._pb import shards_pb2 as pb
from kvnode.address import split_address
from kvnode.errors import PeerProtocolError, RoadError
from kvnode.transport.link import Conditions
from kvnode.transport.road import Road, Stream
from kvnode.transport.shards.introduction import Introduction, MetNode
from kvnode.transport.shards.lane import hello_frame

logger = logging.getLogger(__name__)

HELLO_SECONDS_MAX: Final = 10.0

DIRECT_AGAIN_SECONDS: Final = 60.0
"""After a failure: it may have been that the node ended just then, not a firewall."""

CUT: Final = "the road is cut"
STREAM_ENDED: Final = "the stream ended"


class Met(NamedTuple):
    """Whom a stream leads to."""

    node: MetNode
    stream: Stream[pb.ShardFrame]


class Approach:
    """
    Opens streams to nodes that serve objects.

    Attributes:
        own: Who this node is.
        conditions: Emulated distances by the name of a node.
    """

    def __init__(
        self,
        own: Introduction,
        road: Road[pb.ShardFrame],
        *,
        conditions: Callable[[str], Conditions],
        direct_road: Road[pb.ShardFrame] | None = None,
    ) -> None:
        """
        Approach nobody yet.

        Args:
            own: Who this node is.
            road: On which everybody is met.
            conditions: Emulated distances by the name of a node.
            direct_road: What goes to direct ports; if None, none is dialed.
        """
        self.own = own
        self._road = road
        self._direct_road = direct_road
        self.conditions = conditions
        self._not_directly: dict[str, float] = {}  # addresses, and until when

    @asynccontextmanager
    async def open(self, address: str) -> AsyncIterator[Met]:
        """
        Meet whoever listens at *address*; the stream is open while entered.

        Raises:
            TimeoutError: It says nothing.
            RoadError: There is no way to it.
            PeerProtocolError: It must be turned away.
        """
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(HELLO_SECONDS_MAX):
                stream = await stack.enter_async_context(self._road.open(address))
            node = await self._meet(stream)
            directly = self._direct_address(node, address)
            node = node._replace(address=address)
            if not directly:
                yield Met(node, stream)
                return
        async with self._open_directly(node, directly) as stream:
            yield Met(node, stream)

    @asynccontextmanager
    async def _open_directly(
        self, node: MetNode, directly: str
    ) -> AsyncIterator[Stream[pb.ShardFrame]]:
        assert self._direct_road is not None, "it is why there is such an address"
        has_met = False
        try:
            async with self._direct_road.open(directly) as stream:
                await self._meet(stream, node)
                has_met = True
                yield stream
        except (TimeoutError, RoadError, PeerProtocolError) as error:
            if not has_met and not self.conditions(node.name).blocked:
                until = asyncio.get_running_loop().time() + DIRECT_AGAIN_SECONDS
                self._not_directly[node.address] = until
                logger.warning(
                    "%s is spoken with over gRPC, which takes longer: its port for"
                    " objects, %s, cannot be reached (%s); open it, see objects_port",
                    node.name,
                    directly,
                    str(error) or "no hello",
                )
            raise

    def _direct_address(self, node: MetNode, address: str) -> str:
        """
        Return where *node* is to be met directly; empty if it is not.

        One that was dialed at another port than its own is behind a tunnel or a proxy,
        and whoever has put that there has put none before its other ports.
        """
        until = self._not_directly.get(address, 0.0)
        if (
            self._direct_road is None
            or not node.direct_port
            or asyncio.get_running_loop().time() < until
        ):
            return ""
        try:
            own_port = split_address(node.address)[1]
        except ValueError:
            return ""
        host, _, port = address.rpartition(":")
        return f"{host}:{node.direct_port}" if int(port) == own_port else ""

    async def _meet(
        self, stream: Stream[pb.ShardFrame], expected: MetNode | None = None
    ) -> MetNode:
        """Say hello on *stream*; return who has answered, *expected* if given."""
        async with asyncio.timeout(HELLO_SECONDS_MAX):
            await stream.write(hello_frame(self.own.hello()))
            first = await stream.read()
        if first is None:
            msg = f"{STREAM_ENDED} without a hello"
            raise RoadError(msg)
        node = self.own.checked(first)
        if expected is not None and node.replica != expected.replica:
            msg = f"{node.name} has answered in place of {expected.name}"
            raise PeerProtocolError(msg)
        if self.conditions(node.name).blocked:
            raise RoadError(CUT)
        return node
