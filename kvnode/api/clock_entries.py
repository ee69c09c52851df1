"""Version vectors as operators see them."""

from kvnode._pb import admin_pb2 as pb
from kvnode.core.clocks.version_vector import VersionVector


def clock_entries(clock: VersionVector) -> list[pb.ClockEntry]:
    """Return how much of each replica's writes *clock* has."""
    return [
        pb.ClockEntry(
            replica=replica,
            covered=clock.prefix(replica),
            newest=clock.newest(replica),
        )
        for replica, _ in clock.items()
    ]
