"""
Peers on the simulated network: the road of kvnode.transport.road without gRPC.

Messages cross in the bytes that gRPC would carry, and are parsed again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.protobuf.message import DecodeError

from cluster.simulated.network import Network
from cluster.simulated.stream import End, Host
from kvnode._pb import peer_pb2 as pb
from kvnode.transport.peer_pool import PeerPool
from kvnode.transport.road import RoadError


class PeerStream:
    """A stream of peer messages over one end of a connection."""

    def __init__(self, end: End) -> None:
        self._end = end

    async def read(self) -> pb.PeerMessage | None:
        """Return the next message; see kvnode.transport.road.Stream."""
        message = await self._end.receive()
        try:
            return pb.PeerMessage.FromString(message)
        except DecodeError as error:
            self._end.close("a message does not parse")
            msg = f"a message of {len(message)} bytes does not parse"
            raise RoadError(msg) from error

    async def write(self, message: bytes) -> None:
        """Send an encoded message; see kvnode.transport.road.Stream."""
        await self._end.send(message)


class SimulatedRoad:
    """What one node dials peers on."""

    def __init__(self, network: Network, host: Host) -> None:
        self._network = network
        self._host = host

    @asynccontextmanager
    async def open(self, address: str) -> AsyncIterator[PeerStream]:
        """Open a stream to *address*; see kvnode.transport.road.Road."""
        end = self._network.dial(self._host, address)
        tape = self._network.tapes.begin(end.host.name, end.peer_name)
        end.listeners.append(tape.record)
        try:
            yield PeerStream(end)
        finally:
            end.close("the peer hung up")


async def take_peer(network: Network, pool: PeerPool, end: End) -> None:
    """Serve a connection that a peer has dialed, to its end."""
    tape = network.tapes.begin(end.host.name, end.peer_name)
    end.listeners.append(tape.record)
    reason = "the peer hung up"
    try:
        reason = (await pool.accept(PeerStream(end), end.peer_name)).reason
    except RoadError as error:
        reason = str(error)
    finally:
        end.close(reason)
