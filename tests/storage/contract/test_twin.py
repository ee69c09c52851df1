"""Any sequence of commits leaves what a few dicts would hold."""

import asyncio
from dataclasses import dataclass, field
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.floor import mortal_from
from kvnode.core.versions.store_view import (
    Commit,
    ConflictRecord,
    DurableState,
    Mortal,
    StoreView,
    Write,
)
from kvnode.core.versions.version import CRDT_KINDS, NEVER, Entry, Kind, Version
from kvnode.types import Dot, EntryKey, HlcTimestamp, Millis, Namespace, ReplicaId
from tests.storage.stores import OWN, STORES

NAMESPACES = [Namespace("a"), Namespace("b")]
END = HlcTimestamp(2**63 - 1)
REPLICAS = [OWN, ReplicaId(0xB), ReplicaId(2**64 - 1)]

HEADS = [b"h" * 500, b"h" * 499 + b"i"]
NAMES = [
    b"\x00",
    b"h",
    b"h\x00",
    b"\xff" * 512,
    *(head + tail for head in HEADS for tail in (b"", b"\x00", b"\xff" * 9)),
    *(head + tail for head in HEADS for tail in (b"\x00" * 10, b"\xff" * 12)),
]
"""On both sides of the border between short and long keys, and on it."""

keys = st.builds(EntryKey, st.sampled_from(NAMESPACES), st.sampled_from(NAMES))
writes = st.tuples(
    keys,
    st.sampled_from([*Kind, None]),  # None: the key is dropped
    st.sampled_from(REPLICAS),
    st.binary(max_size=5),
)
conflicts = st.dictionaries(keys, st.integers(0, 2), max_size=2)
Drawn = tuple[EntryKey, Kind | None, ReplicaId, bytes]
Step = tuple[list[Drawn], dict[EntryKey, int], bool]
steps = st.tuples(st.lists(writes, max_size=6), conflicts, st.booleans())


@dataclass
class Twin:
    """What a store must hold, as plainly as can be."""

    state: DurableState = field(default_factory=lambda: DurableState(OWN))
    entries: dict[EntryKey, Entry] = field(default_factory=dict)
    conflicts: dict[EntryKey, tuple[ConflictRecord, ...]] = field(default_factory=dict)
    seqs: dict[ReplicaId, int] = field(default_factory=dict)

    def copy(self) -> Self:
        """Return a twin of the twin."""
        return type(self)(
            self.state, self.entries.copy(), self.conflicts.copy(), self.seqs.copy()
        )

    def commit(
        self,
        drawn: list[Drawn],
        losers: dict[EntryKey, int],
    ) -> Commit:
        """Return a commit of what was drawn, after doing the same here."""
        before = self.entries.copy()
        made = []
        for key, kind, replica, value in drawn:
            replaced = before[key].version if key in before else None
            if kind is None:
                made.append(Write(key, None, replaced))
                self.entries.pop(key, None)
                continue
            entry = self._write(before.get(key), kind, replica, value)
            made.append(Write(key, entry, replaced))
            self.entries[key] = entry
        logs = {
            key: tuple(
                ConflictRecord(
                    Entry(Version(Kind.REGISTER, HlcTimestamp(n), Dot(OWN, n + 1))),
                    Dot(REPLICAS[2], n),
                    Millis(n),
                )
                for n in range(count)
            )
            for key, count in losers.items()
        }
        self.conflicts.update(logs)
        self.conflicts = {key: log for key, log in self.conflicts.items() if log}
        self.state = DurableState(OWN, VersionVector.of(self.seqs))
        return Commit(self.state, tuple(made), logs)

    def _write(
        self, stored: Entry | None, kind: Kind, replica: ReplicaId, value: bytes
    ) -> Entry:
        seq = self.seqs[replica] = self.seqs.get(replica, 0) + 1
        others: tuple[Dot, ...] = ()
        if stored is not None and stored.version.kind is kind and kind in CRDT_KINDS:
            others = tuple(d for d in stored.version.key_clock if d.replica != replica)
        expires = kind is Kind.REGISTER and len(value) % 2
        version = Version(
            kind,
            HlcTimestamp(seq),
            Dot(replica, seq),
            others,
            deadline=Millis(len(value)) if expires else NEVER,
        )
        return Entry(version, value)

    def check(self, view: StoreView) -> None:
        """Assert that *view* shows exactly this."""
        assert view.state() == self.state
        assert {ns for ns, _ in self.entries} <= set(view.namespaces())
        index = {
            dot: key
            for key, entry in self.entries.items()
            for dot in entry.version.index_dots
        }
        assert {r for r, _ in index} <= set(view.indexed_replicas())
        for replica in REPLICAS:
            rows = sorted((d, k) for d, k in index.items() if d.replica == replica)
            assert list(view.index(replica, 1, None)) == rows
            middle = [row for row in rows if 2 <= row[0].seq <= 4]
            assert list(view.index(replica, 2, 4)) == middle
        self._check_mortals(view)
        for namespace in NAMESPACES:
            for name in NAMES:
                key = EntryKey(namespace, name)
                assert view.entry(key) == self.entries.get(key)
                assert view.conflicts(key) == self.conflicts.get(key, ())
            self._check_scans(view, namespace)

    def _check_mortals(self, view: StoreView) -> None:
        due = {
            Mortal(until, entry.version.dot, key)
            for key, entry in self.entries.items()
            if (until := mortal_from(entry.version)) is not None
        }
        found = list(view.mortals(END))
        assert set(found) == due
        assert [row.due for row in found] == sorted(row.due for row in due)
        for place, row in enumerate(found):
            assert list(view.mortals(END, row)) == found[place + 1 :]
            below = [other for other in found if other.due < row.due]
            assert list(view.mortals(row.due)) == below

    def _check_scans(self, view: StoreView, namespace: Namespace) -> None:
        stored = sorted((k, e) for (n, k), e in self.entries.items() if n == namespace)
        logs = sorted((k, c) for (n, k), c in self.conflicts.items() if n == namespace)
        assert list(view.scan(namespace)) == stored
        for border in (*NAMES, b"h" * 505, b"h" * 512 + b"\x00", b"\xff" * 600):
            assert list(view.scan(namespace, start=border)) == [
                row for row in stored if row[0] >= border
            ]
            assert list(view.scan(namespace, prefix=border)) == [
                row for row in stored if row[0].startswith(border)
            ]
            assert list(view.scan_conflicts(namespace, start=border)) == [
                row for row in logs if row[0] >= border
            ]


@pytest.mark.parametrize("kind", list(STORES))
@given(drawn=st.lists(steps, max_size=6))
@settings(max_examples=40, deadline=None)  # each example waits for the disk
def test_store_agrees_with_dicts_after_every_commit(
    kind: str, drawn: list[Step]
) -> None:
    """Through restarts, and with an old snapshot open all the while."""
    asyncio.run(_run(kind, drawn))


async def _run(kind: str, drawn: list[Step]) -> None:
    twin = Twin()
    with STORES[kind]() as opener:
        store = opener()
        for written, losers, restart in drawn:
            if restart:
                store.close()
                store = opener()
            frozen = twin.copy()
            with store.snapshot() as view:
                await store.apply(twin.commit(written, losers))
                frozen.check(view)
            with store.snapshot() as view:
                twin.check(view)
            assert store.state() == twin.state
            assert store.usage().entry_count == len(twin.entries)
        store.close()
