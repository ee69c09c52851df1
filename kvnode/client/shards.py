"""Who keeps the shards of objects, as nodes tell it."""

from dataclasses import dataclass

from kvnode._pb import objects_pb2


@dataclass(frozen=True, slots=True)
class ObjectsNode:
    """
    A node that serves objects.

    `address` is host:port at which other nodes reach it; `replica` is the identity of
    its logs, in hex.
    """

    name: str
    address: str
    region: str
    replica: str


@dataclass(frozen=True, slots=True)
class ShardReplica:
    """
    A replica, as the leader of its shard sees it.

    `node` is empty if it cannot be reached; `behind` is how many entries it lacks, as
    far as the leader knows.
    """

    node: str
    replica: str
    behind: int
    is_silent: bool


@dataclass(frozen=True, slots=True)
class LedShard:
    """
    A shard that the node leads; `moving_to` is empty unless it moves.

    `heir` is the node that is to lead it next, so that leads are spread; empty = none.
    """

    shard: str
    epoch: int
    replicas: tuple[ShardReplica, ...]
    moving_to: tuple[str, ...]
    heir: str = ""


@dataclass(frozen=True, slots=True)
class Voter:
    """One voter; `voter` is its identity in hex, empty if it does not answer."""

    node: str
    role: str
    voter: str
    trouble: str


@dataclass(frozen=True, slots=True)
class ShardsOverview:
    """
    Who keeps what, as far as one node knows.

    `nodes` are the node itself and those that it can reach; `voters` is empty if it
    keeps its objects by itself.
    """

    name: str
    nodes: tuple[ObjectsNode, ...]
    led: tuple[LedShard, ...]
    voters: tuple[Voter, ...]


def overview_of(reply: objects_pb2.ShardsReply) -> ShardsOverview:
    """Return the overview that *reply* tells."""
    return ShardsOverview(
        reply.name,
        tuple(
            ObjectsNode(each.name, each.address, each.region, f"{each.replica:016x}")
            for each in reply.nodes
        ),
        tuple(
            LedShard(
                led.shard,
                led.epoch,
                tuple(
                    ShardReplica(
                        each.node, f"{each.replica:016x}", each.behind, each.silent
                    )
                    for each in led.replicas
                ),
                tuple(led.moving_to),
                led.heir,
            )
            for led in reply.led
        ),
        tuple(
            Voter(
                each.node,
                each.role,
                f"{each.voter:016x}" if each.voter else "",
                each.trouble,
            )
            for each in reply.voters
        ),
    )
