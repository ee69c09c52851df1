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

_SHOWN: Final = 200
"""Characters of what is damaged that an error names: enough to tell what it is."""


Document = dict[str, int | str | list[str]]
"""A configuration as an object of JSON."""


def encode_configuration(configuration: Configuration) -> bytes:
    """Return *configuration* as bytes; equal ones give equal bytes."""
    document = configuration_document(configuration)
    return json.dumps(document, separators=(",", ":")).encode()


def configuration_document(configuration: Configuration) -> Document:
    """Return *configuration* as a document, to be part of another."""
    return {
        "epoch": configuration.epoch,
        "leader": _hex(configuration.leader),
        "replicas": [_hex(each) for each in configuration.replicas],
        "former": [_hex(each) for each in configuration.former],
    }


def decode_configuration(data: bytes) -> Configuration:
    """
    Return the configuration that *data* stands for.

    Raises:
        CorruptRecordError: These are no such bytes, or what they say cannot be.
    """
    try:
        document = json.loads(data)
    except ValueError as error:
        msg = f"{data[:_SHOWN]!r} is no configuration of a shard: {error!r}"
        raise CorruptRecordError(msg) from error
    return configuration_of(document)


def configuration_of(document: object) -> Configuration:
    """
    Return the configuration that a document stands for.

    Raises:
        CorruptRecordError: It is no such document, or what it says cannot be.
    """
    shown = repr(document)[:_SHOWN]
    try:
        if not isinstance(document, dict):
            msg = "it is no object"
            raise TypeError(msg)  # noqa: TRY301 -- an end like others
        epoch = document["epoch"]
        leader = _replica(document["leader"])
        replicas = tuple(map(_replica, document["replicas"]))
        former = tuple(map(_replica, document["former"]))
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{shown} is no configuration of a shard: {error!r}"
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
        msg = f"{shown} is no configuration that a shard can have"
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
