"""
Peers on the simulated network: the road of kvnode.transport.road without gRPC.

Messages cross in the bytes that gRPC would carry, and are parsed again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.protobuf.message import DecodeError

from cluster.simulated.attacks import HOSTILE
from cluster.simulated.network import Network
from cluster.simulated.stream import End, Host
from kvnode._pb import peer_pb2 as pb
from kvnode.errors import RoadError
from kvnode.transport.peer_pool import PeerPool
from kvnode.types import ReplicaId


class PeerStream:
    """
    A stream of peer messages over one end of a connection.

    Attributes:
        speaker: Whom the other side says that it is; 0 before it has said so.
    """

    def __init__(self, end: End) -> None:
        self.speaker = ReplicaId(0)
        self._end = end

    async def read(self) -> pb.PeerMessage | None:
        """Return the next message; see kvnode.transport.road.Stream."""
        message = await self._end.receive()
        try:
            parsed = pb.PeerMessage.FromString(message)
        except DecodeError as error:
            self._end.close("a message does not parse")
            msg = f"a message of {len(message)} bytes does not parse"
            raise RoadError(msg) from error
        self.speaker = self.speaker or ReplicaId(parsed.hello.self.replica)
        return parsed

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
            await end.connection()
            yield PeerStream(end)
        finally:
            end.close("the peer hung up")


async def take_peer(
    network: Network, pool: PeerPool, end: End, impostors: dict[PeerStream, None]
) -> None:
    """
    Serve a connection that a peer has dialed, to its end.

    Until then it is among *impostors* if an attacker has dialed in the peer's name.
    """
    stream = PeerStream(end)
    if end.peer_name == HOSTILE:
        impostors[stream] = None
    tape = network.tapes.begin(end.host.name, end.peer_name)
    end.listeners.append(tape.record)
    reason = "the peer hung up"
    try:
        reason = (await pool.accept(stream, end.peer_name)).reason
    except RoadError as error:
        reason = str(error)
    finally:
        impostors.pop(stream, None)
        end.close(reason)
