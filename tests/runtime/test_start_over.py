"""Replacing a store from before the floor, through crashes (G2b)."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.replication.entry_scan import finished, scan_digest
from kvnode.core.replication.fingerprint import fingerprint
from kvnode.core.replication.start_over import Fate, fate
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.rolling_digest import RollingDigest
from kvnode.core.versions.roster import Member, Roster
from kvnode.core.versions.store_view import (
    Commit,
    DurableState,
    Filling,
    StartOver,
    Write,
)
from kvnode.core.versions.version import Entry
from kvnode.runtime import start_over as module
from kvnode.runtime.start_over import start_over
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import Dot, EntryKey, HlcTimestamp, ReplicaId
from tests.core.replication.entries import A, B, C, at, register

FRESH = ReplicaId(0xF)
FLOOR = Floor(VersionVector.of({B: 9}), HlcTimestamp(50))
ENTRIES = {
    at(b"covered"): register(Dot(B, 1), hlc=90),
    at(b"kept"): register(Dot(A, 1), hlc=90),
    at(b"rescued"): register(Dot(A, 2), hlc=10),
    at(b"uncovered"): register(Dot(C, 1), hlc=90),
}


class CrashError(Exception):
    """The process dies."""


class FragileStore(MemoryStore):
    """A store whose process dies at one of its commits, before or after it."""

    commits_left = 1000
    dies_after = False

    async def apply(self, commit: Commit) -> None:
        """Apply *commit*, if the process lives."""
        self.commits_left -= 1
        if self.commits_left > 0:
            await super().apply(commit)
            return
        if self.dies_after:
            await super().apply(commit)
        raise CrashError


def marked_store(entries: dict[EntryKey, Entry]) -> FragileStore:
    """Return a store that holds *entries* and must start over."""
    store = FragileStore(A)
    total = sum(fingerprint(key, entry) for key, entry in entries.items()) % 2**64
    state = DurableState(
        A,
        VersionVector.of({A: 2, B: 5}),
        seq=2,
        roster=Roster((Member(A, "a-site"),)),
        start_over=StartOver(FLOOR.vector, FLOOR),
        digest=RollingDigest(total),
    )
    writes = tuple(Write(key, entry, None) for key, entry in entries.items())
    store.commit(Commit(state, writes))
    return store


def held(store: MemoryStore) -> dict[EntryKey, Entry]:
    """Return what *store* holds."""
    with store.snapshot() as view:
        return {
            EntryKey(namespace, key): entry
            for namespace in view.namespaces()
            for key, entry in view.scan(namespace)
        }


async def test_each_entry_meets_its_fate(caplog: pytest.LogCaptureFixture) -> None:
    """And a person is told how many of them, and where they are."""
    store = marked_store(ENTRIES)

    with caplog.at_level(logging.WARNING):
        state = await start_over(store, lambda: FRESH)

    assert held(store) == {at(b"kept"): ENTRIES[at(b"kept")]}
    rescued = [at(b"rescued"), at(b"uncovered")]
    assert [key for key, _ in store.rescued] == rescued
    assert state == store.state()
    assert (state.replica, state.start_over) == (FRESH, None)
    assert state.filling is not None
    assert "1 entries come again from peers, 1 are kept, and 2" in caplog.text


async def test_digest_is_that_of_what_is_left() -> None:
    """D9: it is carried along, as by a turn."""
    store = marked_store(ENTRIES)

    state = await start_over(store, lambda: FRESH)

    with store.snapshot() as view:
        assert state.digest == RollingDigest(finished(scan_digest(view)))


@settings(deadline=None)
@given(
    fates=st.lists(st.sampled_from(list(ENTRIES)), max_size=7),
    dies_at=st.integers(1, 8),
    dies_after=st.booleans(),
    slice_entries=st.integers(1, 3),
)
def test_process_that_dies_anywhere_goes_on(
    fates: list[EntryKey], dies_at: int, *, dies_after: bool, slice_entries: int
) -> None:
    """Nothing is lost, and what is kept is kept once; rescued may be rescued twice."""
    entries: dict[EntryKey, Entry] = {}
    for number, model in enumerate(fates):
        version = ENTRIES[model].version
        dot = Dot(version.dot.replica, version.dot.seq)
        entry = Entry(version._replace(dot=dot), b"%d" % number)
        key = EntryKey(model.namespace, b"%d" % number)
        if all(dot != other.version.dot for other in entries.values()):
            entries[key] = entry
    store = marked_store(entries)
    store.commits_left, store.dies_after = dies_at, dies_after
    expected = {
        fated: {
            k: e for k, e in entries.items() if fate(e.version, store.state()) is fated
        }
        for fated in Fate
    }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ENTRIES_PER_SLICE", slice_entries)
        for _ in range(2):
            try:
                if store.state().start_over is not None:
                    asyncio.run(_started_over(store))
                break
            except CrashError:
                store.commits_left = 1000

    assert store.state().start_over is None
    assert store.state().replica == FRESH
    assert held(store) == expected[Fate.KEPT]
    assert dict(store.rescued) == expected[Fate.RESCUED]
    written = [e.version.dot for e in expected[Fate.RESCUED].values()]
    kept = {e.version.dot for e in expected[Fate.KEPT].values()}
    if written:
        assert set(dots_of(store.state().clock)) == kept, "what is rescued is claimed"


def dots_of(clock: VersionVector) -> Iterator[Dot]:
    """Yield what *clock* covers."""
    for replica, spans in clock.items():
        for first, last in spans:
            yield from (Dot(replica, seq) for seq in range(first, last + 1))


async def _started_over(store: FragileStore) -> None:
    await start_over(store, lambda: FRESH)


async def test_store_that_is_filled_already_keeps_only_its_own() -> None:
    """It began again in the middle of a bootstrap."""
    store = marked_store(ENTRIES)
    state = replace(store.state(), filling=Filling(at(b"m")))
    store.commit(Commit(state))

    await start_over(store, lambda: FRESH)

    assert [key for key, _ in store.rescued] == [at(b"rescued")]
    assert set(held(store)) == {at(b"kept")}
