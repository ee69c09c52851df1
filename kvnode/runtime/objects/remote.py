"""
The other nodes over the network: messages of shards, voters, and calls sent on.

A node that sends a call on is a client of the one that gets it, so it does so by the
client library, on connections of their own: a large argument is no reason to take a
leader for dead.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from kvnode._pb import objects_pb2
from kvnode.api.limits import DEADLINE_MILLIS_MAX
from kvnode.api.object_calls import request_of
from kvnode.api.objects_admin_port import ObjectsNode
from kvnode.api.objects_port import Call
from kvnode.client.object_dispatcher import FOUND, LEAD, MOVE, ObjectDispatcher
from kvnode.core.objects.messages import PeerMessage
from kvnode.core.objects.voters.messages import VoterAnswer, VoterRequest
from kvnode.errors import (
    CorruptRecordError,
    IndeterminateError,
    PeerProtocolError,
    UnavailableError,
)
from kvnode.object_values import Value, decode_value
from kvnode.transport.shards.introduction import MetNode
from kvnode.transport.shards.mesh import ShardMesh
from kvnode.types import ReplicaId

CHANGE_SECONDS_MAX: Final = 600.0
"""For a shard to move: a gigabyte at a few megabytes a second."""

FOUND_SECONDS_MAX: Final = 2.0
"""For a node to ask the authority two or three times: some round trips each."""

CONNECT_SECONDS_MAX: Final = 1.5
"""Three round trips around the world, and a lost packet."""


class RemotePeers:
    """See kvnode.runtime.objects.ports.ObjectPeers."""

    def __init__(
        self,
        mesh: ShardMesh,
        distances: Callable[[], Mapping[str, int]] = dict,
        regions: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        """
        Reach other nodes.

        Args:
            mesh: The streams to them; as who it introduces.
            distances: Returns how long round trips to nodes take, in ms, by name.
            regions: Returns where members of the cluster are.
        """
        self._mesh = mesh
        self._distances = distances
        self._regions = regions
        self._dispatchers: dict[str, ObjectDispatcher] = {}
        self._is_closed = False

    def send(self, peer: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Send *message*, soon; it may be lost."""
        self._mesh.send(peer, shard, message)

    def flush(self) -> None:
        """Let what was sent leave now."""
        self._mesh.flush()

    async def ask(
        self, voter: str, request: VoterRequest, deadline_seconds: float
    ) -> VoterAnswer:
        """Ask a voter; see kvnode.authority.voter_port.VoterTransport."""
        return await self._mesh.ask(voter, request, deadline_seconds)

    def name_of(self, replica: ReplicaId) -> str:
        """Return the name of a node that can be reached, or of this one."""
        return self._mesh.name_of(replica)

    def address_of(self, node: str) -> str:
        """Return where *node* listens; empty if it cannot be reached."""
        met = self._mesh.nodes.get(node)
        return "" if met is None else met.address

    def replicas(self) -> Mapping[str, ReplicaId]:
        """Return the identities of all nodes that can be reached, and of this one."""
        met = {name: node.replica for name, node in self._mesh.nodes.items()}
        return met | {self._mesh.own.name: self._mesh.own.replica}

    async def call(self, node: str, call: Call) -> Value:
        """Let *node* do a call; see the port."""
        conditions = self._mesh.conditions(node)
        if conditions.delay_ms:
            await asyncio.sleep(conditions.delay_ms / 1000)
        value = await self._call_at(node, call)
        if conditions.delay_ms:
            await asyncio.sleep(conditions.delay_ms / 1000)
        if conditions.blocked:
            msg = f"the road to {node} was cut while it did {call.method}"
            raise IndeterminateError(msg)
        return value

    async def _call_at(self, node: str, call: Call) -> Value:
        result = await self._dispatcher_to(node).call_once(
            request_of(call),
            connect_seconds=CONNECT_SECONDS_MAX,
            deadline=(call.patience_ms or DEADLINE_MILLIS_MAX) / 1000,
        )
        try:
            return decode_value(result.cbor)
        except CorruptRecordError as error:
            msg = f"{node} has answered a call with no value: {error}"
            raise PeerProtocolError(msg) from error

    def nodes(self) -> tuple[ObjectsNode, ...]:
        """Return all nodes that can be reached, and this one, by name."""
        own = self._mesh.own
        met = [MetNode(own.name, own.replica, own.address, own.region)]
        met += self._mesh.nodes.values()
        return tuple(
            ObjectsNode(each.name, each.address, each.region, each.replica)
            for each in sorted(met)
        )

    def distances(self) -> Mapping[str, int]:
        """Return how long round trips to nodes take, in ms, where that was measured."""
        return self._distances()

    def regions(self) -> frozenset[str]:
        """Return where members of the cluster are, reachable or not."""
        return self._regions() | {each.region for each in self.nodes()}

    async def found(self, node: str, shard: str) -> None:
        """Let *node* found a shard of its region; see the port."""
        request = objects_pb2.FoundShardRequest(shard=shard)
        await self._dispatcher_to(node).unary_call(
            FOUND, request, writes=True, deadline=FOUND_SECONDS_MAX
        )

    async def move(self, node: str, shard: str, nodes: tuple[str, ...]) -> None:
        """Let *node* move a shard; see the port."""
        request = objects_pb2.MoveShardRequest(shard=shard, nodes=nodes, forwarded=True)
        await self._dispatcher_to(node).unary_call(
            MOVE, request, writes=True, deadline=CHANGE_SECONDS_MAX
        )

    async def lead(self, node: str, shard: str, *, leads: int = 0) -> None:
        """Let *node* lead a shard; see the port."""
        request = objects_pb2.LeadShardRequest(shard=shard, giver_leads=leads)
        await self._dispatcher_to(node).unary_call(
            LEAD, request, writes=True, deadline=CHANGE_SECONDS_MAX
        )

    def _dispatcher_to(self, node: str) -> ObjectDispatcher:
        if self._is_closed:
            msg = "this node has stopped: ask another"
            raise UnavailableError(msg)
        met = self._mesh.nodes.get(node)
        if met is None or self._mesh.conditions(node).blocked:
            msg = f"there is no connection to {node}"
            raise UnavailableError(msg)
        dispatcher = self._dispatchers.get(met.address)
        if dispatcher is None:
            dispatcher = ObjectDispatcher((met.address,), credentials=None)
            self._dispatchers[met.address] = dispatcher
        return dispatcher

    async def close(self) -> None:
        """End all connections; calls under way fail."""
        self._is_closed = True
        for dispatcher in self._dispatchers.values():
            await dispatcher.close()
        self._dispatchers.clear()
