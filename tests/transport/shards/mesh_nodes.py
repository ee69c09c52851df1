"""Nodes of a mesh in one process, each with a real gRPC server on a free port."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

import grpc
import grpc.aio

from kvnode._pb.shards_pb2 import ShardFrame
from kvnode.core.objects.messages import Appended, PeerMessage
from kvnode.core.objects.voters.messages import (
    Inquire,
    Standing,
    VoterAnswer,
    VoterRequest,
)
from kvnode.core.versions.store_view import PeerAddress
from kvnode.runtime.app import SERVER_OPTIONS
from kvnode.transport.direct_road import DirectDoor, DirectRoad
from kvnode.transport.grpc_road import SHARDS, GrpcRoad, add_meetings
from kvnode.transport.link import Conditions
from kvnode.transport.shards.approach import Approach
from kvnode.transport.shards.introduction import Introduction
from kvnode.transport.shards.mesh import ShardMesh
from kvnode.types import ReplicaId
from tests.runtime.nodes import until

INQUIRE = Inquire()


def standing(replica: ReplicaId) -> Standing:
    """Return what the voter of a fresh node says of itself."""
    return Standing(
        replica, ("a", "b"), barred=False, pledge=None, electorate=None, successor=None
    )


class Share(float):
    """A drawn part of a pause; keeps the pauses of which it is taken."""

    def __new__(cls, value: float, pauses: list[float]) -> Self:
        """Draw *value*."""
        share = super().__new__(cls, value)
        share.pauses = pauses
        return share

    pauses: list[float]

    def __rmul__(self, pause: float) -> float:
        """Return the part of *pause*."""
        self.pauses.append(pause)
        return pause * float(self)


class MeshNode:
    """
    A mesh with its server; it keeps what is reported to it.

    Attributes:
        approach: How it meets others: directly those that have a port for it.
        known: The addresses that it dials.
        received: Who has sent what, for which shard.
        asked: What its voter was asked.
        door: Its voter answers once that is open.
        failure: What its voter raises instead.
        pauses: How long it has waited at most before it dialed again, each time.
    """

    def __init__(self, own: Introduction) -> None:
        self.address = own.address
        self.own = own
        self.known: set[str] = set()
        self.received: list[tuple[ReplicaId, str, PeerMessage]] = []
        self.asked: list[VoterRequest] = []
        self.door = asyncio.Event()
        self.door.set()
        self.failure: Exception | None = None
        self.pauses: list[float] = []
        self.conditions: dict[str, Conditions] = defaultdict(Conditions)
        self.approach = Approach(
            own,
            GrpcRoad(SHARDS),
            conditions=self.conditions.__getitem__,
            direct_road=DirectRoad(SHARDS),
        )
        self.mesh = ShardMesh(
            self.approach,
            known=lambda: [PeerAddress("", address) for address in self.known],
            uniform=self.uniform,
        )
        self.mesh.attach(self)
        self.running: asyncio.Task[None] | None = None

    def uniform(self, low: float, high: float) -> float:
        """Return the middle."""
        return Share((low + high) / 2, self.pauses)

    @property
    def drawn(self) -> int:
        """Return how often it has drawn how long to wait."""
        return len(self.pauses)

    def receive(self, sender: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Keep a message."""
        self.received.append((sender, shard, message))

    async def answer(self, request: VoterRequest) -> VoterAnswer:
        """Say who the voter is, or fail."""
        self.asked.append(request)
        await self.door.wait()
        if self.failure is not None:
            raise self.failure
        return standing(self.own.replica)

    def run(self, *others: "MeshNode") -> None:
        """Dial *others* from now on."""
        self.known.update(other.address for other in others)
        if self.running is None:
            self.running = asyncio.create_task(self.mesh.run())

    def say(self, other: "MeshNode", number: int) -> None:
        """Send a message that can be told from others."""
        self.mesh.send(other.own.replica, "s000", Appended(1, 1, number))

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the messages that have come."""
        messages = (message for _, _, message in self.received)
        return [each.number for each in messages if isinstance(each, Appended)]

    async def met(self, *others: "MeshNode") -> None:
        """Return when there is a way to each of *others*."""
        names = {other.own.name for other in others}
        await until(lambda: self.mesh.nodes.keys() >= names)

    async def ask(self, other: "MeshNode", seconds: float = 5.0) -> VoterAnswer:
        """Ask the voter of *other* who it is."""
        return await self.mesh.ask(other.own.name, INQUIRE, seconds)

    async def end(self) -> None:
        """Dial nobody any more."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait([self.running])


class MeshSite:
    """Starts nodes, and ends all of them."""

    def __init__(self, *, is_direct: bool) -> None:
        """
        Begin without nodes.

        Args:
            is_direct: They have ports for plain TCP.
        """
        self._is_direct = is_direct
        self._servers: dict[MeshNode, grpc.aio.Server] = {}
        self.doors: dict[MeshNode, DirectDoor[ShardFrame]] = {}

    async def start(
        self, name: str, replica: int, *, cluster: str = "test", port: int = 0
    ) -> MeshNode:
        """Return a node that listens, and dials nobody yet."""
        server = grpc.aio.server(options=SERVER_OPTIONS)
        port = server.add_insecure_port(f"127.0.0.1:{port}")
        door: DirectDoor[ShardFrame] | None = None
        if self._is_direct:
            door = await DirectDoor.open(SHARDS.frames, "127.0.0.1", 0)
        address = f"127.0.0.1:{port}"
        own = Introduction(cluster, name, ReplicaId(replica), address, "somewhere")
        node = MeshNode(own._replace(direct_port=door.port if door else 0))
        add_meetings(server, SHARDS, node.mesh.accept)
        if door is not None:
            self.doors[node] = door
            door.attach(node.mesh.accept)
        await server.start()
        self._servers[node] = server
        return node

    async def both(self) -> tuple[MeshNode, MeshNode]:
        """Return two nodes that have met, either way."""
        a, b = await self.start("a", 1), await self.start("b", 2)
        a.run(b)
        b.run(a)
        await a.met(b)
        await b.met(a)
        return a, b

    async def stop(self, node: MeshNode, *, grace: float = 0.0) -> int:
        """End *node* and its server; return the port that is free now."""
        await node.end()
        if node in self.doors:
            await self.doors.pop(node).close()
        await self._servers.pop(node).stop(grace)
        return int(node.address.rpartition(":")[2])

    async def close(self) -> None:
        """End all."""
        for node in self._servers:
            await node.end()
        for door in self.doors.values():
            await door.close()
        for server in self._servers.values():
            await server.stop(0)


@asynccontextmanager
async def mesh_site(*, is_direct: bool) -> AsyncIterator[MeshSite]:
    """Yield a site whose nodes are ended in the end; see `MeshSite`."""
    site = MeshSite(is_direct=is_direct)
    try:
        yield site
    finally:
        await site.close()


def shard_tasks() -> set[str]:
    """Return the names of the tasks by which somebody is dialed."""
    names = (task.get_name() for task in asyncio.all_tasks())
    return {name for name in names if name.startswith("dial shards")}


async def holds(condition: Callable[[], bool], seconds: float = 0.15) -> None:
    """Check that something stays so for a while."""
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        assert condition()
        await asyncio.sleep(0.01)
