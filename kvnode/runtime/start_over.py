"""
Replacing a store that is from before the floor; see kvnode.core.replication.start_over.

It runs before the node does, in slices, each a transaction of its own.  The mark stays
until the end, so that whatever ends the process, the next one goes on.  So does the
clock, which tells what the store had: with the mark it is no claim (I1), and nobody
hears of it.  What is rescued is safe in a file before it leaves the store; after a
crash it may be there twice.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Protocol

from kvnode.core.clocks.version_vector import EMPTY
from kvnode.core.replication.delta import all_entries
from kvnode.core.replication.fingerprint import DigestChange
from kvnode.core.replication.start_over import Fate, begun_again, fate, giving_up
from kvnode.core.versions.store_view import (
    Commit,
    DurableState,
    LostVersion,
    Write,
)
from kvnode.core.versions.version import Entry
from kvnode.storage.port import Store
from kvnode.types import EntryKey, ReplicaId

logger = logging.getLogger(__name__)

ENTRIES_PER_SLICE = 1000
"""Entries of one transaction: about 20 ms."""


class RescuingStore(Store, Protocol):
    """A store that can put entries aside."""

    async def rescue(self, entries: list[tuple[EntryKey, Entry]]) -> str:
        """Put *entries* aside, durably; return where, for people."""


async def start_over(
    store: RescuingStore, random_replica: Callable[[], ReplicaId]
) -> DurableState:
    """
    Bring *store*, which is marked, to where a bootstrap fills it; return its state.

    Raises:
        OSError: The disk failed.
        StoreFullError: It has no room; free some, and start the node again.
    """
    state = store.state()
    assert state.start_over is not None, "only a marked store starts over"
    damaged: set[EntryKey] = set()
    counts = dict.fromkeys(Fate, 0)
    place, kept = "", EMPTY
    with store.snapshot() as view:
        entries = all_entries(view, None, damaged)
        while page := list(islice(entries, ENTRIES_PER_SLICE)):
            fates = [(key, entry, fate(entry.version, state)) for key, entry in page]
            for _, _, one in fates:
                counts[one] += 1
            rescued = [(k, e) for k, e, one in fates if one is Fate.RESCUED]
            if rescued:
                place = await store.rescue(rescued)
                dots = (dot for _, e in rescued for dot in e.version.index_dots)
                state = giving_up(state, dots)
            for dot in (
                d for _, e, f in fates if f is Fate.KEPT for d in e.version.index_dots
            ):
                kept = kept.with_range(dot.replica, dot.seq, dot.seq)
            gone = [(key, e) for key, e, one in fates if one is not Fate.KEPT]
            change = DigestChange()
            for key, entry in gone:
                change.replace(key, entry, None)
            state = replace(state, digest=change.applied_to(state.digest))
            writes = tuple(Write(key, None, entry.version) for key, entry in gone)
            await store.apply(Commit(state, writes))
        lost = {key: view.dots_of(key) for key in sorted(damaged)}
    if lost:
        state = giving_up(state, (dot for dots in lost.values() for dot in dots))
        state = replace(state, digest=state.digest.broken())
    fresh = begun_again(state, random_replica(), kept)
    writes = tuple(Write(key, None, LostVersion(dots)) for key, dots in lost.items())
    await store.apply(Commit(fresh, writes))
    logger.warning(
        "started over as a new replica: %d entries come again from peers, %d are kept,"
        " and %d that may have been deleted elsewhere %s",
        counts[Fate.DROPPED] + len(lost),
        counts[Fate.KEPT],
        counts[Fate.RESCUED],
        f"are in {place}" if place else "were put aside",
    )
    return fresh
