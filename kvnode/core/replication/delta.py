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

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication.claims import claimable
from kvnode.core.replication.messages import DeltaPage, WireEntry, wire_entry
from kvnode.core.versions.store_view import StoreView
from kvnode.core.versions.version import Entry
from kvnode.errors import DamagedRecordError
from kvnode.types import Dot, EntryKey

PAGE_ENTRIES_MAX = 500
"""Bounds how long one page keeps the event loop: about 5 ms."""

_DAMAGED = "a record is damaged here and is being pulled; ask again later"


def lacking_entries(
    view: StoreView, clock: VersionVector, damaged: set[EntryKey] | None = None
) -> Iterator[tuple[EntryKey, Entry]]:
    """
    Yield each entry of *view* with a dot that *clock* does not cover, once.

    Entries that the node itself does not cover yet are among them.

    Args:
        view: The one snapshot.
        clock: What is not wanted.
        damaged: Takes the keys whose records are damaged, which are left out.

    Raises:
        DamagedRecordError: A record is damaged, and there is no *damaged*.
    """
    for replica in view.indexed_replicas():
        for first, last in clock.lacking(replica):
            for dot, key in view.index(replica, first, last):
                try:
                    entry = view.entry(key)
                except DamagedRecordError:
                    if damaged is None:
                        raise
                    damaged.add(key)
                    continue
                assert entry is not None, "an index row has its entry (I1)"
                if dot == _first_lacking(entry, clock):
                    yield key, entry


def _first_lacking(entry: Entry, clock: VersionVector) -> Dot:
    return next(dot for dot in entry.version.index_dots if not clock.covers(dot))


def delta_pages(  # noqa: PLR0913 -- each named at the call
    view: StoreView,
    clock: VersionVector,
    *,
    session: int,
    page_bytes: int,
    given_up: frozenset[EntryKey] = frozenset(),
    damaged: set[EntryKey] | None = None,
) -> Generator[DeltaPage]:
    """
    Yield the pages of a delta for a peer that covers *clock*; at least one.

    All pages must claim the same, so damage that was not known at the first one
    ends the delta with a page that refuses the rest (docs/decisions/0011).

    Args:
        view: The one snapshot; it must stay open until the last page.
        clock: What the peer covers.
        session: The peer's number for this delta.
        page_bytes: A page is closed once it is this large; it may be larger by
            one entry, whose value is at most INLINE_VALUE_BYTES_MAX.
        given_up: Keys with damaged records that nobody is waiting for to be
            pulled: the delta is without them, and claims nothing of them.
        damaged: Takes the keys whose records are found to be damaged.
    """
    damaged = set() if damaged is None else damaged
    snapshot_clock = view.state().clock
    if given_up:
        snapshot_clock = claimable(view, snapshot_clock, clock, given_up)
    page: list[WireEntry] = []
    number, size = 0, 0
    for key, entry in lacking_entries(view, clock, damaged):
        if size >= page_bytes or len(page) >= PAGE_ENTRIES_MAX:
            if damaged - given_up:
                break
            yield DeltaPage(session, number, snapshot_clock, tuple(page), last=False)
            page, number, size = [], number + 1, 0
        page.append(wire_entry(key, entry))
        size += page[-1].size_bytes
    if damaged - given_up:
        yield DeltaPage(session, number, EMPTY, (), last=True, refused=_DAMAGED)
    else:
        yield DeltaPage(session, number, snapshot_clock, tuple(page), last=True)
