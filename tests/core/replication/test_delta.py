"""Deltas: everything lacking, once, from one snapshot, in bounded pages (D1)."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication import delta
from kvnode.core.replication.delta import delta_pages, lacking_entries
from kvnode.core.replication.messages import DeltaPage, DeltaRequest
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.store_view import (
    Commit,
    DurableState,
    Filling,
    StoreView,
    Write,
)
from kvnode.core.versions.version import Entry
from kvnode.errors import DamagedRecordError
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import Dot, EntryKey, HlcTimestamp, Namespace
from tests.core.replication.entries import A, B, C, at, counter, register
from tests.simulation.site import run
from tests.strategies import version_vectors

CLOCK = VersionVector.of({A: 20, B: 20, C: 20})


def store_of(entries: Iterable[Entry], clock: VersionVector = CLOCK) -> MemoryStore:
    """Return a store that holds each of *entries* under a key of its own."""
    store = MemoryStore(A)
    writes = tuple(
        Write(at(b"%04d" % n), entry, None) for n, entry in enumerate(entries)
    )
    run(store.apply(Commit(DurableState(A, clock, seq=20), writes)))
    return store


@st.composite
def entry_lists(draw: st.DrawFn) -> list[Entry]:
    """Registers, and counters with several contributors; each dot once."""
    dots = draw(st.permutations([Dot(r, s) for r in (A, B, C) for s in range(1, 7)]))
    entries, left = [], list(dots)
    while left:
        taken = {dot.replica: dot for dot in left[: draw(st.integers(1, 3))]}
        left = [dot for dot in left if dot not in taken.values()]
        chosen = tuple(taken.values())
        entries.append(register(*chosen) if len(chosen) == 1 else counter(*chosen))
    return entries


@given(entries=entry_lists(), clock=version_vectors())
def test_delta_holds_exactly_what_a_scan_of_everything_finds_lacking(
    entries: list[Entry], clock: VersionVector
) -> None:
    """Each entry once, however many of its dots are lacking, gaps and all."""
    with store_of(entries).snapshot() as view:
        found = sorted(key for key, _ in lacking_entries(view, clock))

    expected = [
        at(b"%04d" % n)
        for n, entry in enumerate(entries)
        if not clock.covers_all(entry.version.index_dots)
    ]
    assert found == expected


def pages_of(view: StoreView, clock: VersionVector, page_bytes: int) -> list[DeltaPage]:
    """Return the pages of a delta."""
    slices = delta_pages(view, DeltaRequest(7, clock), page_bytes=page_bytes)
    return list(filter(None, slices))


@given(count=st.integers(0, 30), page_bytes=st.integers(1, 900))
def test_pages_are_numbered_bounded_and_end_with_the_last(
    count: int, page_bytes: int
) -> None:
    """A page is closed once it is full; it may be larger by one entry."""
    entries = [register(Dot(A, n), bytes(50)) for n in range(1, count + 1)]
    with store_of(entries).snapshot() as view:
        pages = pages_of(view, EMPTY, page_bytes)

    assert [page.number for page in pages] == list(range(len(pages)))
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert {page.snapshot_clock for page in pages} == {CLOCK}
    assert sum(len(page.entries) for page in pages) == count
    for page in pages:
        but_last = sum(entry.size_bytes for entry in page.entries[:-1])
        assert but_last < page_bytes


def test_page_has_a_bound_of_entries_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tiny entries take time as well."""
    monkeypatch.setattr(delta, "PAGE_ENTRIES_MAX", 4)
    with store_of(register(Dot(A, n)) for n in range(1, 11)).snapshot() as view:
        pages = pages_of(view, EMPTY, 10**6)

    assert [len(page.entries) for page in pages] == [4, 4, 2]


@pytest.mark.parametrize(
    ("bound", "value"), [("SLICE_ROWS_MAX", 2), ("SLICE_BYTES_MAX", 100)]
)
def test_page_is_made_in_slices(
    monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    """D7: clients of the donor do not wait for a page as a whole."""
    monkeypatch.setattr(delta, "PAGE_ENTRIES_MAX", 5)
    monkeypatch.setattr(delta, bound, value)
    with store_of(register(Dot(A, n)) for n in range(1, 9)).snapshot() as view:
        slices = list(delta_pages(view, DeltaRequest(7, EMPTY), page_bytes=10**6))

    size = slices[-1].entries[0].size_bytes if slices[-1] else 0
    assert 50 <= size < 100, "two entries fill a slice of 100 bytes"
    made = [len(page.entries) if page else None for page in slices]
    assert made == [None, None, 5, None, 3]


def test_rows_that_are_looked_at_in_vain_fill_slices_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A counter is sent with the first of its rows; the others all come behind."""
    monkeypatch.setattr(delta, "SLICE_ROWS_MAX", 4)
    counters = [counter(Dot(A, n), Dot(B, n), Dot(C, n)) for n in range(1, 11)]
    with store_of(counters).snapshot() as view:
        slices = list(delta_pages(view, DeltaRequest(7, EMPTY), page_bytes=10**6))

    assert [len(page.entries) if page else None for page in slices] == 7 * [None] + [10]


def test_delta_for_an_equal_peer_is_one_empty_last_page() -> None:
    """The clock alone tells it that there is nothing."""
    with store_of([register(Dot(A, 1))]).snapshot() as view:
        pages = pages_of(view, CLOCK, 100)

    assert pages == [DeltaPage(7, 0, CLOCK, (), last=True)]


def test_entry_that_the_node_does_not_cover_itself_is_sent() -> None:
    """It is under another entry that the clock covers, and may supersede it (I1)."""
    store = store_of([register(Dot(C, 9))], VersionVector.of({A: 1}))
    with store.snapshot() as view:
        assert [key for key, _ in lacking_entries(view, EMPTY)] == [at(b"0000")]


def test_what_is_written_while_pages_are_sent_is_not_in_them() -> None:
    """D1: all of it comes from one snapshot."""
    store = store_of(register(Dot(A, n)) for n in range(1, 4))
    key: EntryKey = at(b"0002")
    with store.snapshot() as view:
        pages = delta_pages(view, DeltaRequest(1, EMPTY), page_bytes=1)
        sent = [page for page in [next(pages)] if page is not None]
        newer = register(Dot(A, 21))
        replaced = Write(key, newer, register(Dot(A, 3)).version)
        run(store.apply(Commit(DurableState(A, CLOCK, seq=21), (replaced,))))
        sent += filter(None, pages)

    assert [entry.key for page in sent for entry in page.entries] == [
        at(b"0000"),
        at(b"0001"),
        key,
    ]


class Damaged:
    """A view in which the record of one key is damaged."""

    def __init__(self, view: StoreView, key: EntryKey) -> None:
        self._view = view
        self._key = key

    def __getattr__(self, name: str) -> object:
        return getattr(self._view, name)

    def entry(self, key: EntryKey) -> Entry | None:
        """Return what is stored, unless it is damaged."""
        if key == self._key:
            message = "the record fails its checksum"
            raise DamagedRecordError(message, key)
        return self._view.entry(key)


def damaged_pages(
    count: int, clock: VersionVector, given_up: frozenset[EntryKey] = frozenset()
) -> tuple[list[DeltaPage], set[EntryKey]]:
    """Return a delta of so many entries, the third damaged, two a page."""
    store = store_of(
        (register(Dot(A, n)) for n in range(1, count + 1)), VersionVector.of({A: count})
    )
    met: set[EntryKey] = set()
    with store.snapshot() as view, pytest.MonkeyPatch.context() as patch:
        patch.setattr(delta, "PAGE_ENTRIES_MAX", 2)
        sick: StoreView = Damaged(view, at(b"0002"))  # type: ignore[assignment]  # the rest it hands on
        pages = delta_pages(
            sick,
            DeltaRequest(7, clock),
            page_bytes=999,
            given_up=given_up,
            damaged=met,
        )
        return list(filter(None, pages)), met


@pytest.mark.parametrize("count", [3, 4, 5, 6, 9])
def test_delta_that_meets_damage_ends_and_claims_nothing(count: int) -> None:
    """Its pages must all claim the same: what is damaged is known too late (D2)."""
    pages, met = damaged_pages(count, EMPTY)

    assert met == {at(b"0002")}
    assert pages[-1].refused
    assert pages[-1].last
    assert not any(page.last for page in pages[:-1])
    assert pages[-1].number == len(pages) - 1


def test_delta_without_a_key_given_up_does_not_claim_it() -> None:
    """All else arrives and is covered (I1)."""
    pages, _ = damaged_pages(5, EMPTY, frozenset({at(b"0002")}))

    clock = VersionVector.of({A: 2}).with_range(A, 4, 5)
    assert {page.snapshot_clock for page in pages} == {clock}
    assert not any(page.refused for page in pages)
    names = [entry.key.key for page in pages for entry in page.entries]
    assert names == [b"0000", b"0001", b"0003", b"0004"]


def test_delta_for_a_peer_that_has_the_damaged_record_is_whole() -> None:
    """Nobody looks at it."""
    pages, met = damaged_pages(5, VersionVector.of({A: 3}))

    assert not met
    assert pages[-1].snapshot_clock == VersionVector.of({A: 5})


# -- bootstraps and refusals (D10, G2b) --------------------------------------------

FLOOR = Floor(VersionVector.of({A: 2}), HlcTimestamp(9))


def store_at(state: DurableState, count: int = 5) -> MemoryStore:
    """Return a store in *state* that holds so many entries."""
    store = store_of(register(Dot(A, n)) for n in range(1, count + 1))
    run(store.apply(Commit(state, ())))
    return store


def whole(after: EntryKey | None = None) -> DeltaRequest:
    """Return a request for everything behind *after*; its clock does not matter."""
    return DeltaRequest(7, VersionVector.of({A: 3}), whole=True, after=after)


@given(count=st.integers(0, 8), page_bytes=st.integers(1, 200))
def test_whole_delta_tells_with_each_page_up_to_where_all_is_here(
    count: int, page_bytes: int
) -> None:
    """D10: from any page on another sender can go on, and nothing is left out."""
    with store_of(register(Dot(A, n)) for n in range(1, count + 1)).snapshot() as view:
        slices = delta_pages(view, whole(), page_bytes=page_bytes, expected=count)
        pages = list(filter(None, slices))
        for page in pages:
            after = delta_pages(view, whole(page.until), page_bytes=page_bytes)
            rest = list(filter(None, after))
            sent = [e.key for p in pages[: page.number + 1] for e in p.entries]
            left = [e.key for p in rest for e in p.entries]
            assert sent + left == [at(b"%04d" % n) for n in range(count)]

    assert {page.expected for page in pages} == {count}
    assert [page.until for page in pages] == [
        page.entries[-1].key if page.entries else None for page in pages
    ]


def test_whole_delta_goes_on_in_the_namespace_where_it_stopped() -> None:
    """The keys before are here, in that namespace and in those before it."""
    keys = [EntryKey(Namespace(n), key) for n in "abc" for key in (b"x", b"y")]
    store = MemoryStore(A)
    writes = tuple(
        Write(key, register(Dot(A, n)), None) for n, key in enumerate(keys, 1)
    )
    run(store.apply(Commit(DurableState(A, CLOCK), writes)))

    with store.snapshot() as view:
        for n, key in enumerate(keys, 1):
            [page] = filter(None, delta_pages(view, whole(key), page_bytes=10**6))
            assert [entry.key for entry in page.entries] == keys[n:]


def test_peer_that_lacks_what_is_forgotten_here_is_refused_and_told_why() -> None:
    """G2b: a delta cannot bring what is not here any more, so it must start over."""
    store = store_at(DurableState(A, CLOCK, seq=20, floor=FLOOR))
    with store.snapshot() as view:
        [page] = pages_of(view, VersionVector.of({A: 1, B: 9}), 100)

    assert page.last
    assert page.refused
    assert page.before_floor
    assert not page.entries
    assert (page.snapshot_clock, page.floor) == (CLOCK, FLOOR)


@pytest.mark.parametrize("request_of_all", [True, False])
def test_peer_that_wants_everything_or_covers_the_floor_is_served(
    *, request_of_all: bool
) -> None:
    """Every page names the floor, which tells what is held against what is there."""
    store = store_at(DurableState(A, CLOCK, seq=20, floor=FLOOR))
    covered = EMPTY if request_of_all else FLOOR.vector
    request = DeltaRequest(7, covered, whole=request_of_all)
    with store.snapshot() as view:
        pages = list(filter(None, delta_pages(view, request, page_bytes=1)))

    assert sum(len(page.entries) for page in pages) == (5 if request_of_all else 3)
    assert not any(page.refused or page.before_floor for page in pages)
    assert {page.floor for page in pages} == {FLOOR}


@pytest.mark.parametrize("request_of_all", [True, False])
def test_node_that_is_being_filled_serves_nobody(*, request_of_all: bool) -> None:
    """D10: what it holds is no state that ever was; nobody starts over for it."""
    store = store_at(DurableState(A, CLOCK, floor=FLOOR, filling=Filling()))
    request = DeltaRequest(7, EMPTY, whole=request_of_all)
    with store.snapshot() as view:
        [page] = filter(None, delta_pages(view, request, page_bytes=1))

    assert page.refused
    assert page.last
    assert not page.before_floor
    assert not page.entries
