"""Every conflict log is looked at in the end, a bounded number at a time (R4)."""

from collections.abc import Iterator

import pytest

from kvnode.core.node.events import StaleConflicts
from kvnode.core.replication.entry_scan import finished
from kvnode.core.versions.store_view import (
    Commit,
    ConflictRecord,
    DurableState,
    Write,
)
from kvnode.errors import DamagedRecordError
from kvnode.limits import CONFLICT_AGE_MILLIS_MAX
from kvnode.runtime import conflict_sweep
from kvnode.runtime.conflict_sweep import ConflictSweep
from kvnode.storage.memory_store import MemorySnapshot, MemoryStore
from kvnode.types import Dot, EntryKey, Millis, Namespace
from tests.core.replication.entries import A, B, register
from tests.runtime.nodes import running_node
from tests.simulation.site import run

LATE = Millis(CONFLICT_AGE_MILLIS_MAX + 100)


def _log(noticed_at: int) -> tuple[ConflictRecord, ...]:
    return (ConflictRecord(register(Dot(B, 7)), Dot(A, 1), Millis(noticed_at)),)


def _key(namespace: str, number: int) -> EntryKey:
    return EntryKey(Namespace(namespace), b"%03d" % number)


def _filled(*namespaces: str, count: int) -> MemoryStore:
    """Return a store with *count* old logs, and an entry, in each of *namespaces*."""
    store = MemoryStore(A)
    logs = {_key(name, n): _log(1) for name in namespaces for n in range(count)}
    writes = tuple(
        Write(_key(name, 0), register(Dot(B, seq)), None)
        for seq, name in enumerate(namespaces, 1)
    )
    run(store.apply(Commit(DurableState(A), writes, logs)))
    return store


def _swept(store: MemoryStore, sweep: ConflictSweep) -> tuple[EntryKey, ...]:
    with store.snapshot() as view:
        return finished(sweep.stale(view, LATE))


def test_walk_goes_over_all_namespaces_and_begins_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each sweep goes on where the last one stopped."""
    monkeypatch.setattr(conflict_sweep, "LOGS_PER_SWEEP", 4)
    store, sweep = _filled("a", "b", count=3), ConflictSweep()

    first, second = _swept(store, sweep), _swept(store, sweep)

    assert first == (*(_key("a", n) for n in range(3)), _key("b", 0))
    assert second == (_key("b", 1), _key("b", 2))
    assert _swept(store, sweep) == first


def test_young_logs_are_passed_over() -> None:
    """They are to be shown for a day."""
    store = _filled("a", count=2)
    young = {_key("a", 1): _log(LATE)}
    run(store.apply(Commit(store.state(), (), young)))

    assert _swept(store, ConflictSweep()) == (_key("a", 0),)


def test_damaged_log_is_cleaned_and_does_not_stop_the_walk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody can give it back, and those behind it must have their turn."""
    store = _filled("a", count=3)
    scan = MemorySnapshot.scan_conflicts

    def damaged(
        self: MemorySnapshot, namespace: Namespace, *, start: bytes = b""
    ) -> Iterator[tuple[bytes, tuple[ConflictRecord, ...]]]:
        for name, log in scan(self, namespace, start=start):
            if name == b"001":
                message = "one of them is damaged"
                raise DamagedRecordError(message, EntryKey(namespace, name))
            yield name, log

    monkeypatch.setattr(MemorySnapshot, "scan_conflicts", damaged)

    assert _swept(store, ConflictSweep()) == tuple(_key("a", n) for n in range(3))


async def test_node_drops_the_logs_that_a_sweep_found() -> None:
    """Also of a key of which nothing else is left."""
    async with running_node() as node:
        state = node.driver.committed_state
        key = _key("default", 1)
        await node.store.apply(Commit(state, (), {key: _log(1)}))

        node.driver.tell(StaleConflicts((key,)))
        await node.settled()

        with node.store.snapshot() as view:
            assert view.conflicts(key) == ()
