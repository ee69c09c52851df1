"""What a node knows of a connected peer, and forgets with the connection."""

from dataclasses import dataclass

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.replication.outbox import Outbox
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.store_view import PeerAddress
from kvnode.types import Millis


@dataclass(slots=True)
class Peer:
    """
    A connected peer.

    Attributes:
        address: Who it is, and where.
        clock: What it covers at least, durably.
        outbox: What has been pushed to it and not acknowledged.
        protocol: The version that both speak.
        roster: Fingerprint of its roster as it said last; 0 = not said.
        floor: What it has forgotten at least.
        lacking_since: When its clock first showed what is lacking here.
    """

    address: PeerAddress
    clock: VersionVector
    outbox: Outbox
    protocol: int = 1
    roster: int = 0
    floor: Floor = GROUND
    lacking_since: Millis | None = None

    def has_forgotten(self, floor: Floor) -> bool:
        """
        Note what it says it has forgotten, and tell whether it may be followed.

        Not if it has given up claims for a damaged record: it is to start over.
        """
        if not self.clock.includes(floor.vector):
            return False
        self.floor = floor
        return True

    @property
    def speaks_digests(self) -> bool:
        """Tell whether it knows what came with protocol 2."""
        return self.protocol >= 2  # noqa: PLR2004 -- see kvnode.transport.wire
