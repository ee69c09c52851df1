"""What the objects of a node ask of other nodes."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from kvnode.api.objects_admin_port import ObjectsNode
from kvnode.api.objects_port import Call
from kvnode.authority.port import Authority
from kvnode.authority.voter_host import VoterHost
from kvnode.core.objects.messages import PeerMessage
from kvnode.errors import UnavailableError
from kvnode.object_values import Value
from kvnode.storage.shards.port import ShardLogStore
from kvnode.storage.shards.state_port import ShardStates
from kvnode.types import ReplicaId


class ObjectPeers(Protocol):
    """The other nodes that serve objects; see kvnode.runtime.shards.ports, too."""

    def send(self, peer: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Send *message*, soon; it may be lost."""

    def flush(self) -> None:
        """Let what was sent leave now."""

    def name_of(self, replica: ReplicaId) -> str:
        """Return the name of a node that can be reached, or of this one; else empty."""

    def address_of(self, node: str) -> str:
        """Return where *node* listens; empty if it cannot be reached."""

    def replicas(self) -> Mapping[str, ReplicaId]:
        """Return the identities of all nodes that can be reached, and of this one."""

    def nodes(self) -> tuple[ObjectsNode, ...]:
        """Return all nodes that can be reached, and this one, by name."""

    def distances(self) -> Mapping[str, int]:
        """Return how long round trips to nodes take, in ms, where that was measured."""

    def regions(self) -> frozenset[str]:
        """Return where members of the cluster are, reachable or not."""

    async def found(self, node: str, shard: str) -> None:
        """Let *node* found a shard of its region; see ObjectsAdminPort."""

    async def move(self, node: str, shard: str, nodes: tuple[str, ...]) -> None:
        """Let *node*, which leads *shard*, move it; see ObjectsAdminPort."""

    async def lead(self, node: str, shard: str, *, leads: int = 0) -> None:
        """Let *node* lead *shard*; see ObjectsAdminPort."""

    async def call(self, node: str, call: Call) -> Value:
        """
        Let the node named *node* do a call, if the object lives there.

        Raises:
            NotLeaderError: It does not; nothing was done.
            UnavailableError: The node cannot be reached; nothing was done.
            IndeterminateError: No answer came back; it may have happened.
            KvError: See kvnode.api.objects_port.ObjectsPort.begin.
        """

    async def close(self) -> None:
        """End all connections."""


class Alone:
    """A node that has no peers."""

    def __init__(self, name: str, own: ReplicaId, region: str = "") -> None:
        """Be the node *name* in *region*, whose logs have the identity *own*."""
        self._name = name
        self._own = own
        self._region = region

    def send(self, peer: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Lose the message, as if the peer were gone."""

    def flush(self) -> None:
        """Do nothing: nothing is left."""

    def name_of(self, replica: ReplicaId) -> str:
        """Return the name of this node, if *replica* is its own."""
        return self._name if replica == self._own else ""

    def address_of(self, node: str) -> str:
        """Return nothing: nobody is asked instead of this node."""
        del node
        return ""

    def replicas(self) -> Mapping[str, ReplicaId]:
        """Return this node."""
        return {self._name: self._own}

    def nodes(self) -> tuple[ObjectsNode, ...]:
        """Return this node."""
        return (ObjectsNode(self._name, "", self._region, self._own),)

    def distances(self) -> Mapping[str, int]:
        """Return nothing: there is nobody to measure."""
        return {}

    def regions(self) -> frozenset[str]:
        """Return where this node is."""
        return frozenset({self._region})

    async def found(self, node: str, shard: str) -> None:
        """Refuse."""
        del shard
        raise self._unknown(node)

    async def move(self, node: str, shard: str, nodes: tuple[str, ...]) -> None:
        """Refuse."""
        del shard, nodes
        raise self._unknown(node)

    async def lead(self, node: str, shard: str, *, leads: int = 0) -> None:
        """Refuse."""
        del shard, leads
        raise self._unknown(node)

    async def call(self, node: str, call: Call) -> Value:
        """Refuse."""
        del call
        raise self._unknown(node)

    def _unknown(self, node: str) -> UnavailableError:
        return UnavailableError(f"there is no connection to {node!r}")

    async def close(self) -> None:
        """Do nothing."""


class ObjectParts(NamedTuple):
    """
    What the objects of a node stand on.

    Attributes:
        store: The logs of shards.
        states: What they have done.
        authority: Who may lead them.
        peers: The other nodes.
        founders: The names of those that keep the shards at first, this one among them;
            empty if this node keeps none unless it is told to.
        voter: This node's part of the authority, if it has one.
    """

    store: ShardLogStore
    states: ShardStates
    authority: Authority
    peers: ObjectPeers
    founders: tuple[str, ...]
    voter: VoterHost | None = None
