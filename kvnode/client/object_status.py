"""What a node says of the objects that it serves."""

from dataclasses import dataclass

from kvnode._pb import objects_pb2


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """
    What a node knows of a shard.

    `epoch` is the newest that it has heard of, 0 if none; `committed` is the last entry
    of the log that it knows to be committed, `applied` the last one that its state
    shows; `instances` is how many objects of the shard are in memory.  `leader` is the
    name of the node that leads it, empty if that is not known; `fault` is what is wrong
    with its state here, empty if nothing is.
    """

    shard: str
    epoch: int
    is_led_here: bool
    committed: int
    applied: int
    instances: int
    leader: str
    fault: str


@dataclass(frozen=True, slots=True)
class ObjectsStatus:
    """The classes that a node serves, ascending, and the shards that it knows."""

    classes: tuple[str, ...]
    shards: tuple[ShardStatus, ...]


def objects_status_of(reply: objects_pb2.ObjectsStatusReply) -> ObjectsStatus:
    """Return the status that *reply* tells."""
    shards = tuple(
        ShardStatus(
            each.shard,
            each.epoch,
            each.led_here,
            each.committed,
            each.applied,
            each.instances,
            each.leader,
            each.fault,
        )
        for each in reply.shards
    )
    return ObjectsStatus(tuple(reply.classes), shards)
