"""Parts of a node's account of itself: what it forgets, and how full it is by now."""

from kvnode._pb import admin_pb2 as pb
from kvnode.api.clock_entries import clock_entries
from kvnode.api.port import AdminPort
from kvnode.core.clocks.hybrid_logical_clock import millis_of

_PERCENT = 100


def floor_status(node: AdminPort) -> pb.FloorStatus:
    """Return up to where deletions are forgotten, and how old that is."""
    floor = node.floor()
    age = max(0, node.now() - millis_of(floor.hlc)) if floor.hlc else -1
    return pb.FloorStatus(hlc=floor.hlc, age_ms=age, vector=clock_entries(floor.vector))


def forgetting_status(node: AdminPort) -> pb.ForgettingStatus:
    """Return how far forgetting is, and what holds it up."""
    forgetting = node.forgetting()
    return pb.ForgettingStatus(
        settled=forgetting.settled,
        dropped=forgetting.dropped,
        hindrances=node.hindrances(),
    )


def filling_status(node: AdminPort) -> pb.FillingStatus | None:
    """Return how far a bootstrap is; None = there is none."""
    filling = node.filling()
    if filling is None:
        return None
    donor = node.donor()
    peer = None if donor is None else node.peers().get(donor)
    percent = 0
    if filling.expected:
        # What is written meanwhile is not expected: only the end is the end.
        percent = min(99, _PERCENT * filling.done // filling.expected)
    return pb.FillingStatus(
        done=filling.done,
        expected=filling.expected,
        percent=percent,
        donor=peer.address.name if peer is not None else "",
    )
