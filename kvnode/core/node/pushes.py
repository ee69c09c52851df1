"""
Making pushes from the writes of a turn.

The seqs of a turn are cut into ranges of bounded size.  Of a key written twice
only the newest entry travels; the range still covers the older seqs, because
what supersedes them is in the same or a later push of the same origin.
"""

from collections.abc import Iterator, Mapping

from kvnode.core.replication.messages import Push, WireEntry, wire_entry
from kvnode.core.versions.version import Entry
from kvnode.types import EntryKey, ReplicaId

PUSH_BYTES_MAX = 256 * 1024
"""Small enough that other messages pass between two of them."""

PUSH_ENTRIES_MAX = 500
"""Bounds how long merging one keeps a peer's event loop: about 5 ms."""


def pushes(
    origin: ReplicaId, first: int, last: int, entries: Mapping[EntryKey, Entry]
) -> Iterator[Push]:
    """
    Yield pushes whose ranges together are exactly *first*..*last*.

    Args:
        origin: This node.
        first: The first seq of the turn.
        last: The last one.
        entries: The newest entry that the turn wrote for each key.
    """
    batch: list[WireEntry] = []
    size, start, newest = 0, first, first
    # A key written twice moved to a later seq than its place in the mapping.
    for key, entry in sorted(entries.items(), key=lambda item: item[1].version.dot):
        if size >= PUSH_BYTES_MAX or len(batch) >= PUSH_ENTRIES_MAX:
            yield Push(origin, start, newest, tuple(batch))
            batch, size, start = [], 0, newest + 1
        batch.append(wire_entry(key, entry))
        size += batch[-1].size_bytes
        newest = entry.version.dot.seq
    yield Push(origin, start, last, tuple(batch))
