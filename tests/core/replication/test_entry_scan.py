"""Scans: everything once, in steps, past damaged records or not at all."""

import pytest

from kvnode.core.replication import entry_scan
from kvnode.core.replication.entry_scan import entry_slices, finished, scan_digest
from kvnode.core.replication.fingerprint import fingerprint
from kvnode.core.versions.rolling_digest import TOTAL_END
from kvnode.core.versions.store_view import StoreView
from kvnode.errors import DamagedRecordError
from kvnode.types import Dot, EntryKey, Namespace
from tests.core.replication.entries import A, at, register
from tests.core.replication.views import DamagedView, store_of

KEYS = [
    *(EntryKey(Namespace(name), b"%02d" % n) for name in ("a", "b") for n in range(7)),
    at(b""),
]
ENTRIES = {key: register(Dot(A, n), bytes(n)) for n, key in enumerate(KEYS, 1)}


def test_every_entry_is_in_one_slice_in_the_order_of_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of all namespaces; a slice ends after so many entries."""
    monkeypatch.setattr(entry_scan, "ENTRIES_PER_STEP", 4)
    with store_of(ENTRIES).snapshot() as view:
        slices = list(entry_slices(view))

    assert [row for rows in slices for row in rows] == sorted(ENTRIES.items())
    assert [len(rows) for rows in slices] == [4, 4, 4, 3]


def test_slice_ends_after_so_many_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large values take time to read."""
    monkeypatch.setattr(entry_scan, "BYTES_PER_STEP", 20)
    with store_of(ENTRIES).snapshot() as view:
        sizes = [sum(len(e.value) for _, e in rows) for rows in entry_slices(view)]

    assert sum(sizes) == sum(len(entry.value) for entry in ENTRIES.values())
    assert all(size < 20 + len(KEYS) for size in sizes)


@pytest.mark.parametrize("lost", [[KEYS[0]], KEYS[5:9], KEYS])
def test_scan_goes_past_damaged_records_and_lists_them(lost: list[EntryKey]) -> None:
    """The first, the last, several in a row, all."""
    damaged: list[EntryKey] = []
    with store_of(ENTRIES).snapshot() as view:
        sick: StoreView = DamagedView(view, lost)  # type: ignore[assignment]  # the rest it hands on
        rows = [row for rows in entry_slices(sick, damaged) for row in rows]

    assert rows == sorted(row for row in ENTRIES.items() if row[0] not in lost)
    assert damaged == sorted(lost)


def test_digest_is_the_sum_of_all_fingerprints() -> None:
    """Of whatever is stored, in whatever order."""
    with store_of(ENTRIES).snapshot() as view:
        total = finished(scan_digest(view))

    assert total == sum(fingerprint(*row) for row in ENTRIES.items()) % TOTAL_END


def test_digest_of_damaged_records_cannot_be_told() -> None:
    """What they held is in the digest that was carried along."""
    with store_of(ENTRIES).snapshot() as view:
        sick: StoreView = DamagedView(view, KEYS[3:4])  # type: ignore[assignment]  # the rest it hands on
        with pytest.raises(DamagedRecordError):
            finished(scan_digest(sick))


def test_scan_lets_go_after_every_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the event loop may do something else."""
    monkeypatch.setattr(entry_scan, "ENTRIES_PER_STEP", 1)
    with store_of(ENTRIES).snapshot() as view:
        assert sum(1 for _ in scan_digest(view)) == len(ENTRIES)
