"""What operators see of digests and repairs (rule D9)."""

from typing import NamedTuple, Protocol

from kvnode._pb import admin_pb2 as pb
from kvnode.api.clock_entries import clock_entries
from kvnode.core.replication.repair_outcome import RepairOutcome
from kvnode.core.versions.floor import Floor


class DigestStanding(NamedTuple):
    """
    The digest of a node, and what comparing it has shown since it was started.

    Attributes:
        total: The digest of all entries, as it was told to peers last if it counts.
        known: Whether it is that of what is stored.
        view: Fingerprint of what the node covered and had forgotten then: nodes of
            equal view must have equal digests.
        floor: Up to where deletions are forgotten.
        incomparable: Why the digest does not count just now; empty if it does.
        comparisons: With peers.
        differences: Of them, those that showed one.
        alarms: Names of peers that are known to hold other entries.
        scans: Looks through the whole store.
        scans_wrong: Of them, those that found other entries than were written.
        repairs: That have come to their end.
        repaired: Entries that they have stored here.
        repairing_with: Name of a peer; empty if no repair is under way.
    """

    total: int
    known: bool
    view: int
    floor: Floor
    incomparable: str
    comparisons: int
    differences: int
    alarms: tuple[str, ...]
    scans: int
    scans_wrong: int
    repairs: int
    repaired: int
    repairing_with: str


class RepairPort(Protocol):
    """What operators may see and do about a store that may be wrong."""

    def digest_standing(self) -> DigestStanding:
        """Return the digest, and what comparing it has shown."""

    async def repair(self, peer: str) -> RepairOutcome:
        """
        Repair with the peer called *peer*.

        Raises:
            InvalidArgumentError: There is no such peer.
            UnavailableError: It is not connected, another repair is under way, or it
                ended before it was complete.
        """


def digest_status(node: RepairPort) -> pb.DigestStatus:
    """Return how *node* stands, as a message."""
    standing = node.digest_standing()
    return pb.DigestStatus(
        total=standing.total,
        known=standing.known,
        incomparable_because=standing.incomparable,
        view=standing.view,
        floor=clock_entries(standing.floor.vector),
        floor_hlc=standing.floor.hlc,
        comparisons=standing.comparisons,
        differences=standing.differences,
        alarms=standing.alarms,
        scans=standing.scans,
        scans_wrong=standing.scans_wrong,
        repairs=standing.repairs,
        repaired_entries=standing.repaired,
        repairing_with=standing.repairing_with,
    )


def repair_reply(outcome: RepairOutcome) -> pb.RepairReply:
    """Return what a repair has found and mended, as a message."""
    return pb.RepairReply(
        peer=outcome.peer,
        differing_keys=outcome.differing_keys,
        sent_entries=outcome.sent,
        received_entries=outcome.received,
        changed_here=outcome.changed_here,
        changed_there=outcome.changed_there,
        refused_here=outcome.refused_here,
        refused_there=outcome.refused_there,
        damaged_keys=outcome.damaged,
        messages=outcome.messages,
        bytes=outcome.size_bytes,
        duration_ms=round(outcome.seconds * 1000),
    )
