"""
Deltas: everything a peer lacks, from one snapshot.

The index maps dots to keys, so the entries that a clock does not cover are found
by range scans over what it lacks, one per replica: cost O(what is lacking), not
O(what is stored).  An entry with several dots (a CRDT) is sent at the first of
them that the peer lacks.

All of it must come from one snapshot: with two, an entry superseded in between
would be missed while the clock claims it (invariant I1).

References:
    Malkhi & Terry, 2005.  Concise version vectors in WinFS.
    Rules D1 and D2.
"""

from collections.abc import Generator, Iterator

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.replication.messages import DeltaPage, WireEntry, wire_entry
from kvnode.core.versions.store_view import StoreView
from kvnode.core.versions.version import Entry
from kvnode.types import Dot, EntryKey

PAGE_ENTRIES_MAX = 500
"""Bounds how long one page keeps the event loop: about 5 ms."""


def lacking_entries(
    view: StoreView, clock: VersionVector
) -> Iterator[tuple[EntryKey, Entry]]:
    """
    Yield each entry of *view* with a dot that *clock* does not cover, once.

    Entries that the node itself does not cover yet are among them.
    """
    for replica in view.indexed_replicas():
        for first, last in clock.lacking(replica):
            for dot, key in view.index(replica, first, last):
                entry = view.entry(key)
                assert entry is not None, "an index row has its entry (I1)"
                if dot == _first_lacking(entry, clock):
                    yield key, entry


def _first_lacking(entry: Entry, clock: VersionVector) -> Dot:
    return next(dot for dot in entry.version.index_dots if not clock.covers(dot))


def delta_pages(
    view: StoreView, clock: VersionVector, *, session: int, page_bytes: int
) -> Generator[DeltaPage]:
    """
    Yield the pages of a delta for a peer that covers *clock*; at least one.

    Args:
        view: The one snapshot; it must stay open until the last page.
        clock: What the peer covers.
        session: The peer's number for this delta.
        page_bytes: A page is closed once it is this large; it may be larger by
            one entry, whose value is at most INLINE_VALUE_BYTES_MAX.
    """
    snapshot_clock = view.state().clock
    page: list[WireEntry] = []
    number, size = 0, 0
    for key, entry in lacking_entries(view, clock):
        if size >= page_bytes or len(page) >= PAGE_ENTRIES_MAX:
            yield DeltaPage(session, number, snapshot_clock, tuple(page), last=False)
            page, number, size = [], number + 1, 0
        page.append(wire_entry(key, entry))
        size += page[-1].size_bytes
    yield DeltaPage(session, number, snapshot_clock, tuple(page), last=True)
