"""
The other nodes, as objects see them (kvnode.runtime.objects.ports), over the post.

Requests to voters and calls that are sent on cross in the bytes of the real wire.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

from cluster.simulated.objects.post import Post, Receiver
from kvnode.api.object_calls import call_of, request_of
from kvnode.api.objects_admin_port import ObjectsNode
from kvnode.api.objects_port import Call
from kvnode.core.objects.messages import PeerMessage
from kvnode.core.objects.voters.message_codec import (
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from kvnode.core.objects.voters.messages import VoterAnswer, VoterRequest
from kvnode.errors import UnavailableError
from kvnode.object_values import Value
from kvnode.types import ReplicaId

FORWARDED_SECONDS_MAX: Final = 15.0
"""By then the keepalives of a real connection have given it up."""


class Neighbour(Receiver, Protocol):
    """Another node."""

    @property
    def region(self) -> str:
        """Return where it is."""

    @property
    def replica(self) -> ReplicaId:
        """Return who it is, as long as it has its disk."""

    def receive(self, peer: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Take in a message of a peer."""

    async def answer(self, request: VoterRequest) -> VoterAnswer:
        """Answer as a voter."""

    async def serve(self, call: Call) -> Value:
        """Do a call."""

    async def move(self, shard: str, nodes: tuple[str, ...]) -> None:
        """Move a shard that it leads."""

    async def found(self, shard: str) -> None:
        """Found a shard of its region."""

    async def lead(self, shard: str, *, leads: int = 0) -> None:
        """Lead a shard; refuse it where whoever gives it has only *leads*."""


class PostedPeers:
    """The peers of one node; an `ObjectPeers` and a `VoterTransport`."""

    def __init__(
        self,
        name: str,
        own: ReplicaId,
        post: Post,
        nodes: Mapping[str, Neighbour],
    ) -> None:
        """Reach *nodes* by *post*, as the node *name* with identity *own*."""
        self._name = name
        self._own = own
        self._post = post
        self._nodes = nodes

    def flush(self) -> None:
        """Do nothing: what is sent is on its way."""

    def send(self, peer: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Send a message to who has *peer*'s disk, if anybody still does."""
        name = self.name_of(peer)
        if not name:
            return
        node = self._nodes[name]

        def take() -> None:
            if node.replica == peer:
                node.receive(self._own, shard, message)

        self._post.send(self._name, node, take)

    async def ask(
        self, voter: str, request: VoterRequest, deadline_seconds: float
    ) -> VoterAnswer:
        """Return what the voter of the node named *voter* answers."""
        node, data = self._nodes[voter], encode_request(request)

        async def answer() -> bytes:
            return encode_answer(await node.answer(decode_request(data)))

        return decode_answer(
            await self._post.ask(self._name, node, answer, deadline_seconds)
        )

    def name_of(self, replica: ReplicaId) -> str:
        """Return the name of the node whose disk has that identity."""
        for name, node in self._nodes.items():
            if node.replica == replica:
                return name
        return ""

    def address_of(self, node: str) -> str:
        """Return where clients reach a node: here, by its name."""
        return node if node in self._nodes else ""

    def replicas(self) -> Mapping[str, ReplicaId]:
        """Return the identities of all nodes."""
        return {name: node.replica for name, node in self._nodes.items()}

    async def call(self, node: str, call: Call) -> Value:
        """Let another node do a call; see the port."""
        if node == self._name:
            msg = f"{node} does not send calls on to itself"
            raise UnavailableError(msg)
        request, other = request_of(call), self._nodes[node]
        return await self._post.ask(
            self._name,
            other,
            lambda: other.serve(call_of(request)),
            FORWARDED_SECONDS_MAX,
            is_connected=True,
        )

    def nodes(self) -> tuple[ObjectsNode, ...]:
        """Return all nodes, by name."""
        return tuple(
            ObjectsNode(name, name, node.region, node.replica)
            for name, node in sorted(self._nodes.items())
        )

    def distances(self) -> Mapping[str, int]:
        """Return nothing: nobody measures here."""
        return {}

    def regions(self) -> frozenset[str]:
        """Return where the nodes are."""
        return frozenset(node.region for node in self._nodes.values())

    async def found(self, node: str, shard: str) -> None:
        """Let another node found a shard; see the port."""
        await self._changed(node, lambda: self._nodes[node].found(shard))

    async def move(self, node: str, shard: str, nodes: tuple[str, ...]) -> None:
        """Let another node move a shard; see the port."""
        await self._changed(node, lambda: self._nodes[node].move(shard, nodes))

    async def lead(self, node: str, shard: str, *, leads: int = 0) -> None:
        """Let another node lead a shard; see the port."""
        await self._changed(node, lambda: self._nodes[node].lead(shard, leads=leads))

    async def _changed(
        self, node: str, change: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        await self._post.ask(
            self._name,
            self._nodes[node],
            change,
            FORWARDED_SECONDS_MAX,
            is_connected=True,
        )

    async def close(self) -> None:
        """Do nothing: there are no connections."""
