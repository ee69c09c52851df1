"""
What the driver asks of a transport, and what a transport reports.

Messages to one peer arrive in order, or the connection ends; nothing more is
promised.  A simulated network keeps the same promise.
"""

from typing import Protocol

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.events import Message, PeerDown, PeerUp, Received, SeedReached
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.roster import Roster
from kvnode.core.versions.store_view import PeerAddress
from kvnode.types import ReplicaId


class Transport(Protocol):
    """Connections to peers."""

    def send(self, peer: ReplicaId, message: Message) -> None:
        """Queue *message*; dropped if the peer is not connected."""

    def dial(self, address: PeerAddress) -> None:
        """Keep a connection to *address* from now on, redialing as needed."""

    def hang_up(self, address: PeerAddress) -> None:
        """Dial *address* no more, save if this node's own settings name it."""

    def disconnect(self, peer: ReplicaId, reason: str) -> None:
        """End the connection to *peer*; it may be made again."""


class PeerEvents(Protocol):
    """Where a transport reports to, and what it tells peers of this node."""

    async def deliver(self, event: PeerUp | PeerDown | SeedReached | Received) -> None:
        """Hand over one event; returns when there is room for the next."""

    def clock(self) -> VersionVector:
        """Return what this node covers, durably."""

    def known_peers(self) -> tuple[PeerAddress, ...]:
        """Return the peers this node knows of."""

    def roster(self) -> Roster:
        """Return who ever joined, and what became of them."""

    def floor(self) -> Floor:
        """Return up to where deletions are forgotten here."""

    def is_being_filled(self) -> bool:
        """Tell whether members have what this node does not have yet (D10)."""
