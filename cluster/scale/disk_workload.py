"""
What three nodes write for the measurement of what a key takes on disk.

A third of the keys has one writer, a third two and a third three, and who writes
last takes turns, so that key clocks are what they are in life.  Keys and values
are random bytes, the same in every run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import shake_128
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from cluster.scale.replicas import Replicas, store_directory
from kvnode.core.node.commands import Command, Delete, Put
from kvnode.core.versions.session import NEW_SESSION
from kvnode.types import DEFAULT_NAMESPACE, EntryKey, Millis

REPLICA_COUNT = 3

KEYS_PER_TURN = 500
"""As a busy node finds waiting; it changes how pages fill, and no row."""

QUIET_SPAN = Millis(60_000)
QUIET_STEP = Millis(500)
"""Twice as often as nodes report to each other what they cover."""


@dataclass(frozen=True, slots=True)
class Workload:
    """
    Registers of one size.

    Attributes:
        keys: How many.
        key_bytes: The length of each key, 8 or more, so that no two are equal.
        value_bytes: The length of each value.
        sessions: Writers have read everything that their node has, and say so.
        writes_before: How many writes each node has made before.
    """

    keys: int
    key_bytes: int
    value_bytes: int
    sessions: bool = False
    writes_before: int = 0


class _Planned(NamedTuple):
    key: EntryKey
    writers: int


async def fill(directory: Path, workload: Workload, *, deleted: bool = False) -> Path:
    """
    Let nodes perform *workload* and then be quiet; return where one's store is.

    Args:
        directory: Exists and is empty; holds all stores afterwards, closed.
        workload: What is written.
        deleted: Every key is deleted by its last writer in the end.
    """
    replicas = await Replicas.open(
        directory, REPLICA_COUNT, writes_before=workload.writes_before
    )
    try:
        for number, batch in enumerate(_batches(workload)):
            await _write(replicas, number, batch, workload, deleted=deleted)
        await replicas.let_pass(QUIET_SPAN, QUIET_STEP)
    finally:
        replicas.close()
    return store_directory(directory, 0)


def _batches(workload: Workload) -> Iterator[list[_Planned]]:
    numbers = iter(range(workload.keys))
    while chosen := list(islice(numbers, KEYS_PER_TURN)):
        yield [_planned(number, workload) for number in chosen]


def _planned(number: int, workload: Workload) -> _Planned:
    name = shake_128(b"key %d" % number).digest(workload.key_bytes)
    return _Planned(EntryKey(DEFAULT_NAMESPACE, name), 1 + number % REPLICA_COUNT)


async def _write(
    replicas: Replicas,
    number: int,
    batch: list[_Planned],
    workload: Workload,
    *,
    deleted: bool,
) -> None:
    """Let each node in turn write the keys that still lack a writer."""
    for lacking in range(REPLICA_COUNT, 0, -1):
        at = (number + lacking) % REPLICA_COUNT
        commands: list[Command] = [
            Put(key, _value(key, at, workload.value_bytes))
            for key, writers in batch
            if writers >= lacking
        ]
        if deleted and lacking == 1:
            commands.extend(Delete(key) for key, _ in batch)
        session = replicas.session(at) if workload.sessions else NEW_SESSION
        await replicas.write(at, commands, session)


def _value(key: EntryKey, at: int, size: int) -> bytes:
    return shake_128(key.key + at.to_bytes(1)).digest(size)
