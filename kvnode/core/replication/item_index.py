"""
All entries of a snapshot as items for range-based reconciliation.

An item is the fingerprint of an entry at a *position*, 32 bits of a hash of its
key.  Items are kept in the order of positions: hashes spread evenly, so ranges
that split the positions evenly split the items evenly, and need no bounds on the
wire; and the old and the new entry of a changed key meet at one position.

    positions   u32 each   ascending
    sums        u64 each   of all fingerprints before, modulo 2^64, so that any
                           range's is a difference of two, and any item's too
    origins     u32 each   which block, or part of the store the item came from

A block is BLOCK_ENTRIES entries that follow each other in the order of keys; the
first key of each is kept.  So an item's key is found again by reading a few
entries: 16 bytes an item instead of a key.  A million entries take 36 MB in all
with keys of 24 bytes, and 43 MB while the index is made; with keys of 512 bytes
77 MB (measured as growth of a process).

A scan puts items into buckets by the first bits of their positions, and then
bucket after bucket is sorted.  So no step takes long.

Reference:
    Meyer, 2023.  Range-Based Set Reconciliation.  SRDS 2023.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

from kvnode.core.replication.entry_scan import (
    BYTES_PER_STEP,
    ENTRIES_PER_STEP,
    Steps,
    entries_between,
    entry_slices,
)
from kvnode.core.replication.fingerprint import fingerprint
from kvnode.core.versions.rolling_digest import TOTAL_END
from kvnode.core.versions.store_view import StoreView
from kvnode.core.versions.version import Entry
from kvnode.types import EntryKey, Namespace

POSITION_BITS = 32
"""Among a million keys some hundred share a position with another, no more."""

BLOCK_ENTRIES = 16
"""Entries read again to find one, at most, and 1/16 of all keys in memory."""

_BUCKET_BITS = 12
_SORTED_PER_STEP = 4096
"""Items sorted before other work gets its turn: about 4 ms."""

_MASK = TOTAL_END - 1


def position(key: EntryKey) -> int:
    """Return where *key* stands among all keys, by a hash of 32 bits."""
    name = b"\0".join((key.namespace.encode(), key.key))
    return int.from_bytes(blake2b(name, digest_size=POSITION_BITS // 8).digest())


class _Blocks:
    """
    Where blocks begin.

    Kept as bare bytes: the garbage collector would walk through a million entries'
    worth of keys, again and again, and hold up the event loop.
    """

    def __init__(self) -> None:
        self.first_keys: list[bytes] = []
        self._namespaces: list[Namespace] = []
        self._first_blocks: list[int] = []  # of each namespace

    def begin(self, key: EntryKey) -> None:
        """Begin a block with *key*, which is above all before."""
        if not self._namespaces or self._namespaces[-1] != key.namespace:
            self._namespaces.append(key.namespace)
            self._first_blocks.append(len(self.first_keys))
        self.first_keys.append(key.key)

    def bounds(self, block: int) -> tuple[Namespace, bytes, bytes | None]:
        """Return where *block* begins, and ends: None is with its namespace."""
        at = bisect_right(self._first_blocks, block)
        following = block + 1
        ends = following == len(self.first_keys) or (
            at < len(self._first_blocks) and self._first_blocks[at] == following
        )
        end = None if ends else self.first_keys[following]
        return self._namespaces[at - 1], self.first_keys[block], end


class ItemIndex:
    """Items in the order of positions; a *slot* is an item's place, from 0."""

    def __init__(
        self,
        positions: "array[int]",
        sums: "array[int]",
        origins: "array[int]",
        blocks: _Blocks,
        damaged: tuple[EntryKey, ...],
    ) -> None:
        """Take over what an `IndexBuilder` has made."""
        self.damaged = damaged
        self._positions = positions
        self._sums = sums
        self._origins = origins
        self._blocks = blocks

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self._positions)

    @property
    def total(self) -> int:
        """Return the sum of all fingerprints: the store's digest."""
        return self._sums[-1]

    def slots(self, prefix: int, depth: int) -> range:
        """Return the slots of positions whose first *depth* bits are *prefix*."""
        width = POSITION_BITS - depth
        first = bisect_left(self._positions, prefix << width)
        return range(first, bisect_left(self._positions, prefix + 1 << width, first))

    def sums(self, prefix: int, depth: int, bits: int) -> Iterator[int]:
        """Yield the sum of each of the 2^*bits* ranges that a range is split into."""
        slots = self.slots(prefix, depth)
        before, first, end = self._sums[slots.start], slots.start, slots.stop
        width = POSITION_BITS - depth - bits
        for child in range(prefix << bits, prefix + 1 << bits):
            first = bisect_left(self._positions, child + 1 << width, first, end)
            after = self._sums[first]
            yield after - before & _MASK
            before = after

    def fingerprint_at(self, slot: int) -> int:
        """Return the fingerprint of the item in *slot*."""
        return self._sums[slot + 1] - self._sums[slot] & _MASK

    def entries(
        self, slots: Iterable[int], view: StoreView
    ) -> Iterator[list[tuple[EntryKey, Entry]]]:
        """
        Yield the entries of the items in *slots*, a step's worth of work at a time.

        *view* may be a newer snapshot than the index is of: then what has been
        replaced since is not found, and need not be.  A damaged record is not
        found either.
        """
        wanted: dict[int, set[int]] = {}
        for slot in slots:
            wanted.setdefault(self._origins[slot], set()).add(self.fingerprint_at(slot))
        found: list[tuple[EntryKey, Entry]] = []
        looked_at = size = 0
        for block, items in sorted(wanted.items()):
            for key, entry in self._read(block, view):
                looked_at += 1
                if fingerprint(key, entry) in items:
                    found.append((key, entry))
                    size += len(entry.value)
                if looked_at >= ENTRIES_PER_STEP or size >= BYTES_PER_STEP:
                    yield found
                    found, looked_at, size = [], 0, 0
        if found:
            yield found

    def _read(self, block: int, view: StoreView) -> Iterator[tuple[EntryKey, Entry]]:
        """Yield what *view* has of the block, and between it and the next."""
        return entries_between(view, *self._blocks.bounds(block), damaged=[])


class _Bucket(NamedTuple):
    """Items with the first bits of their positions in common, as they came."""

    positions: "array[int]"
    fingerprints: "array[int]"
    origins: "array[int]"


class IndexBuilder:
    """Takes in items in the order of keys and makes an index of them."""

    def __init__(self) -> None:
        self.damaged: list[EntryKey] = []
        self._buckets: dict[int, _Bucket] = {}
        self._blocks = _Blocks()
        self._left_in_block = 0
        self._namespace = ""

    def add(self, key: EntryKey, item: int) -> None:
        """Take in the fingerprint *item* of what is stored under *key*."""
        if self._left_in_block == 0 or key.namespace != self._namespace:
            self._blocks.begin(key)
            self._left_in_block, self._namespace = BLOCK_ENTRIES, key.namespace
        self._left_in_block -= 1
        place = position(key)
        number = place >> POSITION_BITS - _BUCKET_BITS
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = _Bucket(array("I"), array("Q"), array("I"))
            self._buckets[number] = bucket
        bucket.positions.append(place)
        bucket.fingerprints.append(item)
        bucket.origins.append(len(self._blocks.first_keys) - 1)

    def finish(self) -> Steps[ItemIndex]:
        """Return in steps the index of all that was added; once."""
        positions, sums, origins = array("I"), array("Q", (0,)), array("I")
        total = in_step = 0
        for number in sorted(self._buckets):
            places, items, blocks = self._buckets.pop(number)  # needed once
            for at in sorted(range(len(places)), key=places.__getitem__):
                total = total + items[at] & _MASK
                positions.append(places[at])
                sums.append(total)
                origins.append(blocks[at])
            in_step += len(places)
            if in_step >= _SORTED_PER_STEP:
                yield
                in_step = 0
        damaged = tuple(self.damaged)
        return ItemIndex(positions, sums, origins, self._blocks, damaged)


def index_items(view: StoreView) -> Steps[ItemIndex]:
    """
    Return in steps the index of all entries of *view*.

    Keys with damaged records are left out, and listed in `ItemIndex.damaged`.
    """
    builder = IndexBuilder()
    for rows in entry_slices(view, builder.damaged):
        for key, entry in rows:
            builder.add(key, fingerprint(key, entry))
        yield
    return (yield from builder.finish())
