"""
Nodes that break a rule, to see that a run of the harness notices.

Each is one line of the node that is wrong, patched in a test and nowhere else;
`tests.simulation.sabotage` has the ones that need no more than a core.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest

from cluster.simulated.disk import Disk
from cluster.simulated.true_time import EPOCH_MILLIS
from jepsen_like.workloads.workload import Extent
from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.clocks.hybrid_logical_clock import millis_of
from kvnode.core.versions.store_view import Commit
from kvnode.core.versions.version import Entry, Kind
from kvnode.runtime.clock import NodeClock
from kvnode.runtime.driver import Driver
from kvnode.runtime.staged_view import StagedView
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import EntryKey, Millis
from tests.jepsen_like import broken_forgetting
from tests.simulation.sabotage import SABOTAGES


def _of_the_core(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    def apply(patch: pytest.MonkeyPatch) -> None:
        SABOTAGES[name].apply(patch)

    return apply


def _reply_before_the_disk_has_it(patch: pytest.MonkeyPatch) -> None:
    """W2: replies and pushes leave while the turn is on its way to disk."""
    perform = Driver._perform
    finish = Driver._finish

    async def hasty(driver: Driver, turn: object) -> bool:
        for effect in turn.result.effects:  # type: ignore[attr-defined]  # a private type
            perform(driver, effect)
        return await finish(driver, turn)  # type: ignore[arg-type]  # the same

    patch.setattr(Driver, "_finish", hasty)


def _restored_backup_keeps_its_identity(patch: pytest.MonkeyPatch) -> None:
    """R3: numbers given since the backup are given a second time."""

    def restore(disk: Disk) -> None:
        assert disk._backup is not None
        store, damages = disk._backup
        disk._replace(store.copied(store.state().replica), damages.copy())

    patch.setattr(Disk, "restore_backup", restore)


def _wiped_node_keeps_its_identity(patch: pytest.MonkeyPatch) -> None:
    """R3: the node begins again at 1 under a number that peers know."""
    wipe = Disk.wipe

    def careless(disk: Disk) -> None:
        replica = disk.state().replica
        with pytest.MonkeyPatch.context() as context:
            context.setattr(disk, "new_replica", lambda: replica)
            wipe(disk)

    patch.setattr(Disk, "wipe", careless)


def _token_ignored(patch: pytest.MonkeyPatch) -> None:
    """S2: a session is served whatever it has seen elsewhere."""

    def covers(driver: Driver, session: object) -> bool:
        del driver, session
        return True

    patch.setattr(Driver, "covers", covers)


def _tombstones_dropped_by_a_timer(patch: pytest.MonkeyPatch) -> None:
    """G1: a delete is forgotten after a second, by whoever has it."""
    entry_of = StagedView.entry

    def forgetful(view: StagedView, key: EntryKey) -> Entry | None:
        entry = entry_of(view, key)
        if entry is None or entry.version.kind is not Kind.TOMBSTONE:
            return entry
        now = EPOCH_MILLIS + 1000 * asyncio.get_running_loop().time()
        return entry if now - millis_of(entry.version.hlc) < 1000 else None

    patch.setattr(StagedView, "entry", forgetful)


def _index_rows_never_deleted(patch: pytest.MonkeyPatch) -> None:
    """Section 3: the rows of what a write supersedes go in its transaction."""
    commit_of = MemoryStore.commit

    def careless(store: MemoryStore, commit: Commit) -> None:
        writes = tuple(write._replace(replaced=None) for write in commit.writes)
        commit_of(store, Commit(commit.state, writes, commit.conflicts))

    patch.setattr(MemoryStore, "commit", careless)


def _steady_clock_is_set_with_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """S3, C1: nothing measured by it outlasts that it is set back."""

    def read(clock: NodeClock) -> ClockReading:
        now = clock()
        return ClockReading(now, Millis(now - EPOCH_MILLIS))

    patch.setattr(NodeClock, "read", read)


class Broken(NamedTuple):
    """
    A broken node, and the runs that should show it.

    Attributes:
        apply: What is wrong.
        workload: Whose operations show it.
        nemeses: Which faults bring it out.
        extent: How much is asked for.
        seed: Where to begin: one that showed it once.
    """

    apply: Callable[[pytest.MonkeyPatch], None]
    workload: str
    nemeses: tuple[str, ...]
    extent: Extent = Extent()
    seed: int = 0


MANY_KEYS = Extent(operations=400, keys=30)
"""So that deltas have several pages."""

BROKEN: Mapping[str, Broken] = {
    "reply before the disk has it": Broken(
        _reply_before_the_disk_has_it, "register", ("kill", "disk-slow")
    ),
    "restored backup keeps its identity": Broken(
        _restored_backup_keeps_its_identity, "register", ("restore-backup",)
    ),
    "wiped node keeps its identity": Broken(
        _wiped_node_keeps_its_identity, "register", ("wipe",)
    ),
    "token ignored": Broken(_token_ignored, "sessions", ("delay",)),
    "tombstones dropped by a timer": Broken(
        _tombstones_dropped_by_a_timer, "deletes", ("partition",)
    ),
    "clock joined with the first page": Broken(
        _of_the_core("clock_joined_with_the_first_page"),
        "register",
        ("partition", "kill"),
        MANY_KEYS,
    ),
    "batch covered without its dependencies": Broken(
        _of_the_core("batch_covered_without_its_dependencies"),
        "sessions",
        ("partition", "delay"),
    ),
    "index rows never deleted": Broken(
        _index_rows_never_deleted, "register", ("kill",)
    ),
    "stamp below what it overwrites": Broken(
        _of_the_core("stamp_below_what_it_overwrites"),
        "sessions",
        ("clock-skew",),
        seed=5,
    ),
    "values never pulled": Broken(
        _of_the_core("values_never_pulled"), "register", ("kill",)
    ),
    "steady clock is set with the wall clock": Broken(
        _steady_clock_is_set_with_the_wall_clock,
        "sessions",
        ("clock-jump", "partition-one"),
        Extent(operations=400, duration_ms=40_000),
        seed=24,
    ),
    "floor worked out without the unreachable": Broken(
        broken_forgetting.floor_without_the_unreachable, "deletes", ("kill",)
    ),
    "old backup merged as it is": Broken(
        broken_forgetting.old_backup_merged_as_it_is,
        "deletes",
        ("restore-backup",),
        Extent(keys=40),
    ),
    "serves while being filled": Broken(
        broken_forgetting.serves_while_being_filled, "sessions", ("wipe",), seed=16
    ),
    "empty store starts over": Broken(
        broken_forgetting.empty_store_starts_over,
        "sessions",
        ("member-churn",),
        Extent(operations=100, duration_ms=5000),
        seed=4,
    ),
    "last snapshot claimed for all": Broken(
        broken_forgetting.last_snapshot_claimed_for_all,
        "register",
        ("wipe", "restart-storm"),
        MANY_KEYS,
        seed=19,
    ),
}
