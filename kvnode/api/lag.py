"""
How far behind every other node this one is (rule S3).

In writes: what connected peers cover and this node does not, by who wrote it.  In time:
the age of the newest moment up to which all is here that the origin had written; that
grows while the origin cannot be heard, whether it writes or not.
"""

from functools import reduce

from kvnode._pb import admin_pb2 as pb
from kvnode.api.members import STANDINGS
from kvnode.api.port import AdminPort
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.types import ReplicaId


def lag(node: AdminPort, name: str) -> pb.LagReply:
    """Return what *node*, which is called *name*, lacks of each origin."""
    own, clock, peers = node.replica(), node.clock(), node.peers()
    elsewhere = reduce(
        VersionVector.join, (peer.clock for peer in peers.values()), EMPTY
    )
    missing = _by_origin(elsewhere.minus(clock))
    members = {m.replica for m in node.roster().members()} - {own}
    reply = pb.LagReply(name=name)
    for origin in sorted(members | missing.keys()):
        holders = [
            peer.address.name
            for _, peer in sorted(peers.items())
            if peer.clock.minus(clock).spans(origin)
        ]
        _describe(reply.origins.add(), node, origin, missing.get(origin, 0), holders)
    return reply


def _by_origin(missing: VersionVector) -> dict[ReplicaId, int]:
    return {
        origin: sum(last - first + 1 for first, last in spans)
        for origin, spans in missing.items()
    }


def _describe(
    entry: pb.OriginLag,
    node: AdminPort,
    origin: ReplicaId,
    missing: int,
    holders: list[str],
) -> None:
    entry.replica, entry.missing = origin, missing
    entry.holders.extend(holders)
    entry.connected = origin in node.peers()
    member = node.roster().get(origin)
    if member is not None:
        entry.name, entry.region = member.name, member.region
        entry.standing = STANDINGS[member.standing]
    behind = node.behind(origin)
    if behind is not None:
        entry.behind_ms = behind
