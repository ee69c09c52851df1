"""
Configurations as bytes: what an authority stores.

JSON that people can read where they look after etcd, or a file; replicas in hex, since
64 bits are too many for JSON numbers.

    {"epoch":4,"leader":"00c1...","replicas":["00c1...","..."],"former":[]}
"""

import json
from typing import Final

from kvnode.core.objects.configuration import REPLICAS_MAX, Configuration
from kvnode.errors import CorruptRecordError
from kvnode.types import ReplicaId

EPOCH_END: Final = 1 << 53
"""JSON numbers are exact below; at a thousand epochs a second 285,000 years."""

_REPLICA_END: Final = 1 << 64


def encode_configuration(configuration: Configuration) -> bytes:
    """Return *configuration* as bytes; equal ones give equal bytes."""
    document = {
        "epoch": configuration.epoch,
        "leader": _hex(configuration.leader),
        "replicas": [_hex(each) for each in configuration.replicas],
        "former": [_hex(each) for each in configuration.former],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decode_configuration(data: bytes) -> Configuration:
    """
    Return the configuration that *data* stands for.

    Raises:
        CorruptRecordError: These are no such bytes, or what they say cannot be.
    """
    try:
        document = json.loads(data)
        epoch = document["epoch"]
        leader = _replica(document["leader"])
        replicas = tuple(map(_replica, document["replicas"]))
        former = tuple(map(_replica, document["former"]))
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{data[:200]!r} is no configuration of a shard: {error!r}"
        raise CorruptRecordError(msg) from error
    if not (
        isinstance(epoch, int)
        and 1 <= epoch < EPOCH_END
        and 1 <= len(replicas) <= REPLICAS_MAX
        and _is_ascending(replicas)
        and _is_ascending(former)
        and len(former) <= REPLICAS_MAX
        and leader in replicas
    ):
        msg = f"{data[:200]!r} is no configuration that a shard can have"
        raise CorruptRecordError(msg)
    return Configuration(epoch, leader, replicas, former)


def _is_ascending(replicas: tuple[ReplicaId, ...]) -> bool:
    return replicas == tuple(sorted(set(replicas)))


def _hex(replica: ReplicaId) -> str:
    return f"{replica:016x}"


def _replica(text: object) -> ReplicaId:
    if not isinstance(text, str):
        msg = f"{text!r} is no replica"
        raise TypeError(msg)
    number = int(text, 16)
    if not 0 < number < _REPLICA_END:
        msg = f"{text!r} is no replica"
        raise ValueError(msg)
    return ReplicaId(number)
