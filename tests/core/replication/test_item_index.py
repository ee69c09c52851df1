"""The index of items: sums of ranges, and the way back to keys."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.replication import item_index
from kvnode.core.replication.entry_scan import finished, scan_digest
from kvnode.core.replication.fingerprint import fingerprint
from kvnode.core.replication.item_index import (
    BLOCK_ENTRIES,
    POSITION_BITS,
    index_items,
    position,
)
from kvnode.core.versions.rolling_digest import TOTAL_END
from kvnode.core.versions.store_view import Commit, DurableState, StoreView, Write
from kvnode.core.versions.version import Entry
from kvnode.types import Dot, EntryKey, Namespace
from tests.core.replication.entries import A, at, register
from tests.core.replication.sessions import fingerprints, index_of, item
from tests.core.replication.views import DamagedView, store_of
from tests.simulation.site import run


@given(
    places=st.lists(
        st.integers(0, 2**32 - 1) | st.integers(0, 40), max_size=30, unique=True
    ),
    depth=st.integers(0, POSITION_BITS),
    bits=st.integers(0, 4),
    data=st.data(),
)
def test_sums_of_ranges_are_those_of_the_items_in_them(
    places: list[int], depth: int, bits: int, data: st.DataObject
) -> None:
    """At both ends and at every depth."""
    bits = min(bits, POSITION_BITS - depth)
    prefix = data.draw(
        st.sampled_from([p >> POSITION_BITS - depth for p in places] or [0])
    )
    index = index_of({(place, 0): item(place) for place in places})

    parts = list(index.sums(prefix, depth, bits))

    assert len(index) == len(places)
    for part, found in enumerate(parts, prefix << bits):
        inside = [p for p in places if p >> POSITION_BITS - depth - bits == part]
        assert found == sum(map(item, inside)) % TOTAL_END
        slots = index.slots(part, depth + bits)
        assert fingerprints(index, slots) == sorted(map(item, inside))


def many_entries(count: int) -> dict[EntryKey, Entry]:
    """Return entries in two namespaces, of keys that a scan finds in disorder."""
    return {
        EntryKey(Namespace("ab"[n % 3 == 0]), b"%d" % n): register(Dot(A, n + 1))
        for n in range(count)
    }


ENTRIES = many_entries(500)


def test_total_of_the_index_is_the_digest() -> None:
    """So a session begins where the comparison of digests ends."""
    with store_of(ENTRIES).snapshot() as view:
        index = finished(index_items(view))

        assert index.total == finished(scan_digest(view))
        assert len(index) == len(ENTRIES)


@pytest.mark.parametrize("count", [0, 1, 3, 100, 500])
def test_items_lead_back_to_their_entries(count: int) -> None:
    """However many are asked for, whichever they are."""
    with store_of(ENTRIES).snapshot() as view:
        index = finished(index_items(view))
        slots = Random(count).sample(range(len(ENTRIES)), count)

        found = [row for rows in index.entries(slots, view) for row in rows]

    assert sorted(fingerprint(*row) for row in found) == fingerprints(index, slots)
    assert all(ENTRIES[key] == entry for key, entry in found)


def test_way_back_to_a_few_keys_reads_few_entries() -> None:
    """A block of each, whatever the store's size."""
    with store_of(ENTRIES).snapshot() as view:
        index = finished(index_items(view))
        watched = DamagedView(view, ())
        seen: StoreView = watched  # type: ignore[assignment]  # the rest it hands on
        found = [row for rows in index.entries([7, 300], seen) for row in rows]

    assert len(found) == 2
    assert len(watched.read) <= 2 * (BLOCK_ENTRIES + 1)


def test_entry_replaced_since_is_not_found_in_a_newer_view() -> None:
    """Its successor goes its own way; all others are found, also among new keys."""
    store = store_of(ENTRIES)
    with store.snapshot() as view:
        index = finished(index_items(view))
    gone = min(ENTRIES)
    writes = [Write(gone, register(Dot(A, 900)), ENTRIES[gone].version)]
    writes += [
        Write(EntryKey(Namespace("a"), b"%d" % n), register(Dot(A, n)), None)
        for n in range(1000, 1600)
    ]
    run(store.apply(Commit(DurableState(A), tuple(writes))))

    with store.snapshot() as view:
        found = dict(row for rows in index.entries(range(500), view) for row in rows)

    assert found == {key: entry for key, entry in ENTRIES.items() if key != gone}


def test_damaged_records_are_left_out_and_listed() -> None:
    """The other side has them, and what it sends can heal them."""
    lost = sorted(ENTRIES)[10:13]
    with store_of(ENTRIES).snapshot() as view:
        whole = finished(index_items(view))
        sick: StoreView = DamagedView(view, lost)  # type: ignore[assignment]  # the rest it hands on
        index = finished(index_items(sick))
        found = [row for rows in whole.entries(range(500), sick) for row in rows]

    assert index.damaged == tuple(lost)
    assert len(index) == len(found) == len(ENTRIES) - len(lost)


def test_index_is_made_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan and the sorting as well."""
    monkeypatch.setattr(item_index, "_SORTED_PER_STEP", 10)
    with store_of(ENTRIES).snapshot() as view:
        assert sum(1 for _ in index_items(view)) > len(ENTRIES) // 20


def test_positions_of_similar_keys_are_far_apart() -> None:
    """Even splits of positions are even splits of keys."""
    places = {position(at(b"%d" % n)) >> POSITION_BITS - 4 for n in range(500)}

    assert len(places) == 16
    other = EntryKey(Namespace("other"), b"1")
    assert position(other) != position(at(b"1"))
