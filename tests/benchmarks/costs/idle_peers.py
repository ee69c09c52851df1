"""
Many peers that have nothing to say, in one process, to burden one real node.

`python -m tests.benchmarks.costs.idle_peers HOST:PORT CLUSTER COUNT`

Each dials the node over a TCP connection and a stream of its own, and compares
digests with it as a node does: every second, or in turn where there are many peers,
with a clock in which all COUNT have written, and with all others as members it knows.
The one delta that the node then asks for is empty.  What the node pushes is
acknowledged at once and forgotten.  Each probes the node in turn, and answers probes.
To the node it is a cluster of COUNT + 1 in which nobody else writes; only that a peer
has no address, so that nobody is dialed, and a long name instead.
"""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from random import Random

import grpc

from cluster.scale.arithmetic import compared_with
from kvnode._pb import peer_pb2 as pb
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.membership.messages import Ack, Health, Ping, Update
from kvnode.core.node.events import PeerDown, PeerUp, Received, SeedReached
from kvnode.core.replication.anti_entropy import view_digest
from kvnode.core.replication.messages import (
    DeltaPage,
    DeltaRequest,
    Digest,
    Push,
    PushAcknowledgement,
    Report,
)
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.roster import Member, Roster
from kvnode.core.versions.store_view import PeerAddress
from kvnode.transport.grpc_road import CHANNEL_OPTIONS, PEERS, DialedStream
from kvnode.transport.peer_pool import PeerPool
from kvnode.types import Millis, ReplicaId
from tests.benchmarks.dataset import SEED

REPORT_SECONDS = 1.0  # as often as a node does, unless told otherwise
WRITES_EACH = 1_000_000  # as a clock entry of a cluster that is some hours old


def members(count: int) -> tuple[PeerAddress, ...]:
    """Return the peers; those of a smaller count are the first of a larger one."""
    rng = Random(SEED)
    return tuple(
        PeerAddress(
            name=f"edge-{number:05}-at-10.20.30.40:7400",
            address="",
            replica=ReplicaId(rng.getrandbits(64) | 1),
            region="nowhere",
        )
        for number in range(count)
    )


class _OwnConnection:
    """The road over gRPC; two streams never share a connection."""

    @asynccontextmanager
    async def open(self, address: str) -> AsyncIterator[DialedStream[pb.PeerMessage]]:
        """Open a stream to *address*."""
        options = [*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            connect: grpc.aio.StreamStreamMultiCallable[bytes, pb.PeerMessage]
            connect = channel.stream_stream(
                PEERS.path, response_deserializer=_without_entries
            )
            yield DialedStream(connect(), pb.PeerMessage)


def _without_entries(data: bytes) -> pb.PeerMessage:
    """Read a message; a push's entries would be the most of the work, for nothing."""
    message = pb.PeerMessage.FromString(data)
    if message.WhichOneof("kind") == "push":
        message.push.ClearField("entries")
    return message


class IdlePeer:
    """One peer, which covers what all have written or push, and writes nothing."""

    def __init__(
        self, own: PeerAddress, everyone: tuple[PeerAddress, ...], cluster: str
    ) -> None:
        self._own = own
        self._known = tuple(peer for peer in everyone if peer != own)
        self._clock = VersionVector.of({peer.replica: WRITES_EACH for peer in everyone})
        self._roster = Roster(
            Member(p.replica, p.name, p.address, p.region) for p in everyone
        )
        self._floor = GROUND
        self._pool = PeerPool(
            own, cluster, {}, road=_OwnConnection(), uniform=Random(own.name).uniform
        )
        self._pool.attach(self)

    def known_peers(self) -> tuple[PeerAddress, ...]:
        """Return all the others."""
        return self._known

    def clock(self) -> VersionVector:
        """Return the clock that all have."""
        return self._clock

    def roster(self) -> Roster:
        """Return all members, the node that is burdened too once it was heard."""
        return self._roster

    def floor(self) -> Floor:
        """Return what the node has forgotten, once it was heard."""
        return self._floor

    def is_being_filled(self) -> bool:
        """Return that all is here."""
        return False

    async def deliver(self, event: PeerUp | PeerDown | SeedReached | Received) -> None:
        """Answer what must be answered."""
        match event:
            case PeerUp(members=members):
                self._roster = self._roster.join(members)
            case Received(peer, DeltaRequest(session)):
                page = DeltaPage(session, 0, self._clock, (), last=True)
                self._pool.send(peer, page)
            case Received(_, Report(members=members, floor=floor)):
                self._roster = self._roster.join(members)
                self._floor = floor
            case Received(peer, Ping(number)):
                alive = Update(self._own.replica, 0, Health.ALIVE)
                self._pool.send(peer, Ack(number, _now(), (alive,)))
            case Received(peer, Push(origin, first, last, _)):
                self._clock = self._clock.with_range(origin, first, last)
                self._pool.send(peer, PushAcknowledgement(origin, first, last))
            case _:
                pass

    async def run(self, address: str, delay_seconds: float) -> None:
        """Dial *address* after *delay_seconds* and report for ever."""
        await asyncio.sleep(delay_seconds)
        self._pool.dial(PeerAddress(name="", address=address))
        others = len(self._known) + 1
        rounds = others // compared_with(others)
        for number in count(Random(self._own.name).randrange(others)):
            await asyncio.sleep(REPORT_SECONDS)
            for peer in self._pool.connected():
                if number % rounds == 0:
                    self._pool.send(peer, Digest(self._view(), 0, _now()))
                if number % others == 0:
                    self._pool.send(peer, Ping(number, peer))

    def _view(self) -> int:
        return view_digest(self._clock, EMPTY, self._roster.digest(), self._floor)


def _now() -> Millis:
    return Millis(time.time_ns() // 1_000_000)


async def _run(address: str, cluster: str, peer_count: int) -> None:
    everyone = members(peer_count)
    peers = [IdlePeer(own, everyone, cluster) for own in everyone]
    running = asyncio.gather(
        *(
            peer.run(address, REPORT_SECONDS * number / peer_count)
            for number, peer in enumerate(peers)
        )
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await asyncio.gather(running, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
