"""
Making pushes from the writes of a turn.

The seqs of a turn are cut into ranges of bounded size.  Of a key written twice
only the newest entry travels, with the range that holds the key's first seq: a
peer that covers a range then has, for each of its seqs, that write or a newer
one.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from kvnode.core.replication.messages import Push, WireEntry, wire_entry
from kvnode.core.versions.version import Entry
from kvnode.types import EntryKey, ReplicaId

PUSH_BYTES_MAX = 256 * 1024
"""Small enough that other messages pass between two of them."""

PUSH_ENTRIES_MAX = 500
"""Bounds how long merging one keeps a peer's event loop: about 5 ms."""


class Originated(NamedTuple):
    """What a turn wrote under one key: the newest entry, and its first seq."""

    first_seq: int
    entry: Entry


def pushes(
    origin: ReplicaId, first: int, last: int, written: Mapping[EntryKey, Originated]
) -> Iterator[Push]:
    """
    Yield pushes whose ranges together are exactly *first*..*last*.

    Args:
        origin: This node.
        first: The first seq of the turn.
        last: The last one.
        written: By key, ascending by first seq.
    """
    batch: list[WireEntry] = []
    size, start = 0, first
    for key, (first_seq, entry) in written.items():
        if size >= PUSH_BYTES_MAX or len(batch) >= PUSH_ENTRIES_MAX:
            yield Push(origin, start, first_seq - 1, tuple(batch))
            batch, size, start = [], 0, first_seq
        batch.append(wire_entry(key, entry))
        size += batch[-1].size_bytes
    yield Push(origin, start, last, tuple(batch))
