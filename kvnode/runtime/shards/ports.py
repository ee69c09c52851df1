"""What a host of shards asks of the network, and what it tells the layer above."""

from typing import Protocol

from kvnode.core.objects.messages import PeerMessage
from kvnode.types import ReplicaId


class ShardTransport(Protocol):
    """What a host asks of the network."""

    def send(self, peer: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Send *message*, soon; it may be lost."""

    def flush(self) -> None:
        """Let what was sent leave now."""


class ShardListener(Protocol):
    """
    What a host tells of its shards, in the order in which it happens.

    The state of a shard (`ShardHost.state`) has what `applied` has told of, and lacks
    what was proposed since: who reads it looks first at what it has itself proposed.
    """

    def opened(self, shard: str, epoch: int, number: int) -> None:
        """Entries up to *number* are all there ever was, and the state has them."""

    def closed(self, shard: str, epoch: int) -> None:
        """This node does not lead any more, in an epoch that was told as opened."""

    def led(self, shard: str, leader: ReplicaId) -> None:
        """*leader* leads, as far as is known here, in another epoch than before."""

    def committed(self, shard: str, number: int) -> None:
        """Entries up to *number* are committed."""

    def applied(self, shard: str, number: int) -> None:
        """The state has entries up to *number*."""
