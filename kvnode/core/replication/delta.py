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

from collections.abc import Generator, Iterable, Iterator
from typing import NamedTuple

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication.claims import claimable
from kvnode.core.replication.messages import (
    DeltaPage,
    DeltaRequest,
    WireEntry,
    wire_entry,
)
from kvnode.core.versions.store_view import DurableState, StoreView
from kvnode.core.versions.version import Entry
from kvnode.errors import DamagedRecordError
from kvnode.types import Dot, EntryKey

PAGE_ENTRIES_MAX = 500
"""Bounds how long the merging of a page keeps the event loop: about 5 ms."""

SLICE_ROWS_MAX = 100
SLICE_BYTES_MAX = 64 * 1024
"""Bound how long the making of a page does: about 1 ms at a time."""

_FILLING = "this node is being filled itself; ask another"
_BEFORE_FLOOR = "what is lacking there is forgotten here: start over"
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
    return (row for row in _looked_at(view, clock, damaged) if row is not None)


def _looked_at(
    view: StoreView, clock: VersionVector, damaged: set[EntryKey] | None
) -> Iterator[tuple[EntryKey, Entry] | None]:
    """
    Yield what `lacking_entries` does, and None for each row that is looked at in vain.

    There are many of those one behind the other: of counters that several replicas
    have added to, all rows but those of the first replica.
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
                    yield None
                    continue
                assert entry is not None, "an index row has its entry (I1)"
                is_first = dot == _first_lacking(entry, clock)
                yield (key, entry) if is_first else None


def _first_lacking(entry: Entry, clock: VersionVector) -> Dot:
    return next(dot for dot in entry.version.index_dots if not clock.covers(dot))


def all_entries(
    view: StoreView, after: EntryKey | None, damaged: set[EntryKey]
) -> Iterator[tuple[EntryKey, Entry]]:
    """Yield every entry behind *after*, by namespace and key; see `lacking_entries`."""
    for namespace in sorted(view.namespaces()):
        start = b""
        if after is not None:
            if namespace < after.namespace:
                continue
            if namespace == after.namespace:
                start = after.key + b"\0"
        while True:
            try:
                for key, entry in view.scan(namespace, start=start):
                    yield EntryKey(namespace, key), entry
            except DamagedRecordError as error:
                damaged.add(error.key)
                start = error.key.key + b"\0"
            else:
                break


def delta_pages(  # noqa: PLR0913 -- each named at the call
    view: StoreView,
    request: DeltaRequest,
    *,
    page_bytes: int,
    expected: int = 0,
    given_up: frozenset[EntryKey] = frozenset(),
    damaged: set[EntryKey] | None = None,
) -> Generator[DeltaPage | None]:
    """
    Yield the pages that a peer requests; at least one.

    Between them None is yielded, for whoever has other things to do, too: what comes
    next takes about a millisecond again.

    All pages must claim the same, so damage that was not known at the first one
    ends the delta with a page that refuses the rest (docs/decisions/0011).  A peer
    that lacks what is forgotten here cannot be served by a delta (G2b), and a node
    that is being filled has nothing to serve.

    Args:
        view: The one snapshot; it must stay open until the last page.
        request: What the peer covers, or from where on it wants everything.
        expected: How many entries the store holds, about.
        page_bytes: A page is closed once it is this large; it may be larger by
            one entry, whose value is at most INLINE_VALUE_BYTES_MAX.
        given_up: Keys with damaged records that nobody is waiting for to be
            pulled: the delta is without them, and claims nothing of them.
        damaged: Takes the keys whose records are found to be damaged.
    """
    damaged = set() if damaged is None else damaged
    state, clock = view.state(), request.clock
    frame = DeltaPage(
        request.session,
        0,
        state.clock,
        (),
        last=False,
        floor=state.floor,
        expected=expected if request.whole else 0,
    )
    reason = _refusal(state, request)
    if reason:
        before = reason == _BEFORE_FLOOR
        yield frame._replace(last=True, refused=reason, before_floor=before)
        return
    if given_up:
        claimed = claimable(view, state.clock, clock, given_up)
        frame = frame._replace(snapshot_clock=claimed)
    rows: Iterator[tuple[EntryKey, Entry] | None]
    if request.whole:
        rows = all_entries(view, request.after, damaged)
    else:
        rows = _looked_at(view, clock, damaged)
    number = 0
    for page in _in_slices(rows, page_bytes):
        if page is None:
            yield None
            continue
        if damaged - given_up:
            yield DeltaPage(
                request.session, number, EMPTY, (), last=True, refused=_DAMAGED
            )
            return
        until = page.entries[-1].key if page.entries and request.whole else None
        yield frame._replace(
            number=number, entries=page.entries, until=until, last=page.last
        )
        number += 1


class _Page(NamedTuple):
    entries: tuple[WireEntry, ...]
    last: bool


def _in_slices(
    rows: Iterable[tuple[EntryKey, Entry] | None], page_bytes: int
) -> Iterator[_Page | None]:
    """
    Yield pages of the entries among *rows*, and None between slices.

    The last page is marked, and may be empty.  A row without an entry takes time, too.
    """
    page: list[WireEntry] = []
    size = slice_rows = slice_bytes = 0
    for row in rows:
        if row and (size >= page_bytes or len(page) >= PAGE_ENTRIES_MAX):
            yield _Page(tuple(page), last=False)
            page = []
            size = slice_rows = slice_bytes = 0
        elif slice_rows >= SLICE_ROWS_MAX or slice_bytes >= SLICE_BYTES_MAX:
            yield None
            slice_rows = slice_bytes = 0
        slice_rows += 1
        if row:
            page.append(wire_entry(*row))
            size += page[-1].size_bytes
            slice_bytes += page[-1].size_bytes
    yield _Page(tuple(page), last=True)


def _refusal(state: DurableState, request: DeltaRequest) -> str:
    """Return why *request* cannot be served; empty if it can."""
    if state.filling is not None:
        return _FILLING
    if not request.whole and not request.clock.includes(state.floor.vector):
        return _BEFORE_FLOOR
    return ""
