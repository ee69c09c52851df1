"""The disk: what is left when a node dies, and what faults make of it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.simulated.chance import Chance
from cluster.simulated.disk import SYNC_SECONDS, Disk
from cluster.simulated.loop import VirtualLoop
from kvnode.core.versions.store_view import Commit, DurableState, Write
from kvnode.core.versions.version import Entry, Kind, Version
from kvnode.errors import CorruptRecordError, StoreFullError
from kvnode.storage.durability import Durability
from kvnode.types import DEFAULT_NAMESPACE, Dot, EntryKey, HlcTimestamp

T = TypeVar("T")
KEYS = tuple(EntryKey(DEFAULT_NAMESPACE, b"key-%d" % n) for n in range(20))


def run(
    main: Callable[[VirtualLoop, Disk], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    durability: Durability = Durability.FSYNC,
    calm: frozenset[str] = frozenset(),
) -> T:
    """Run *main* with a disk that is open."""
    chance = Chance(seed, calm)
    loop = VirtualLoop(chance)  # type: ignore[abstract]  # the rest it refuses
    disk = Disk("node", chance, durability)
    disk.open()
    return loop.run_until_complete(main(loop, disk))


def commit(disk: Disk, number: int, value: bytes = b"value") -> Commit:
    """Return the commit of the node's write number *number*, from 1."""
    before = disk.state()
    dot = Dot(before.replica, number)
    entry = Entry(Version(Kind.REGISTER, HlcTimestamp(number << 16), dot), value)
    clock = before.clock.with_range(before.replica, 1, number)
    state = DurableState(before.replica, clock, seq=number)
    return Commit(state, (Write(KEYS[number - 1], entry, None),))


def held(disk: Disk) -> list[int]:
    """Return the numbers of the writes that are stored."""
    with disk.snapshot() as view:
        return [n for n, key in enumerate(KEYS, 1) if view.entry(key)]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30), at=st.floats(0, 0.05))
def test_kill_leaves_what_was_synced_and_perhaps_what_was_under_way(
    seed: int, at: float
) -> None:
    """The commit under way as a whole or not at all; nothing else is in doubt."""

    async def main(loop: VirtualLoop, disk: Disk) -> tuple[int, list[int], int]:
        node, done = loop.owner("node"), 0

        async def write() -> None:
            nonlocal done
            for number in range(1, len(KEYS) + 1):
                await disk.apply(commit(disk, number))
                done = number

        loop.spawn(node, write(), "writes")
        await asyncio.sleep(at)
        loop.kill(node)
        disk.crash()
        return done, held(disk), disk.state().seq

    done, stored, seq = run(main, seed=seed)

    assert stored == list(range(1, seq + 1))
    assert seq in {done, done + 1}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30), synced=st.integers(0, 10))
def test_relaxed_kill_leaves_a_prefix_that_has_all_that_was_synced(
    seed: int, synced: int
) -> None:
    """A power cut takes the rest, the death of the process alone takes nothing."""

    async def main(_loop: VirtualLoop, disk: Disk) -> tuple[list[int], bool]:
        for number in range(1, 13):
            await disk.apply(commit(disk, number))
            if number == synced:
                await disk.sync()
        disk.crash()
        return held(disk), disk.unclean

    stored, unclean = run(main, seed=seed, durability=Durability.RELAXED)

    assert stored in (list(range(1, synced + 1)), list(range(1, 13)))
    assert unclean


def test_closed_disk_is_clean_in_relaxed_mode() -> None:
    """Nothing is lost by a polite end."""

    async def main(_loop: VirtualLoop, disk: Disk) -> tuple[list[int], bool]:
        await disk.apply(commit(disk, 1))
        disk.close()
        disk.crash()
        return held(disk), disk.unclean

    assert run(main, durability=Durability.RELAXED) == ([1], False)


def test_slow_disk_takes_so_much_longer() -> None:
    """For each sync."""

    async def main(loop: VirtualLoop, disk: Disk) -> float:
        disk.slow_seconds = 0.5
        await disk.apply(commit(disk, 1))
        return loop.time()

    assert run(main, calm=frozenset({"disk node"})) == 0.5 + SYNC_SECONDS[2]


def test_full_disk_takes_nothing_and_loses_nothing() -> None:
    """And says in its usage that it is full."""

    async def main(_loop: VirtualLoop, disk: Disk) -> tuple[list[int], bool, bool]:
        await disk.apply(commit(disk, 1))
        disk.fill(0)
        full = not disk.usage().accepts_client_writes
        with pytest.raises(StoreFullError):
            await disk.apply(commit(disk, 2))
        disk.free()
        await disk.apply(commit(disk, 2))
        return held(disk), full, disk.usage().accepts_client_writes

    assert run(main) == ([1, 2], True, True)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_any_flipped_bit_is_noticed_until_the_key_is_written_again(seed: int) -> None:
    """By reading, by scanning, and in the copy that a backup is."""

    async def main(_loop: VirtualLoop, disk: Disk) -> None:
        await disk.apply(commit(disk, 1))
        assert disk.flip_bit() == KEYS[0]
        disk.take_backup()
        with disk.snapshot() as view, pytest.raises(CorruptRecordError):
            view.entry(KEYS[0])
        with disk.snapshot() as view, pytest.raises(CorruptRecordError):
            list(view.scan(DEFAULT_NAMESPACE))
        await disk.apply(commit(disk, 1, b"mended"))
        assert held(disk) == [1]
        disk.restore_backup()
        with disk.snapshot() as view, pytest.raises(CorruptRecordError):
            view.entry(KEYS[0])

    run(main, seed=seed)


def test_restored_disk_is_a_new_replica_with_the_old_coverage() -> None:
    """As of the backup; its own writes begin at 1."""

    async def main(_loop: VirtualLoop, disk: Disk) -> None:
        await disk.apply(commit(disk, 1))
        before = disk.state()
        disk.take_backup()
        await disk.apply(commit(disk, 2))
        disk.restore_backup()
        after = disk.state()
        assert held(disk) == [1]
        assert after.replica != before.replica
        assert (after.clock, after.seq) == (before.clock, 0)

    run(main)


def test_wiped_disk_is_an_empty_new_replica() -> None:
    """Nothing reminds of the old one."""

    async def main(_loop: VirtualLoop, disk: Disk) -> None:
        await disk.apply(commit(disk, 1))
        before = disk.state().replica
        disk.wipe()
        assert held(disk) == []
        assert disk.state() == DurableState(disk.state().replica)
        assert disk.state().replica != before

    run(main)


def test_judge_is_told_of_a_commit_only_once_it_has_happened() -> None:
    """Also if the node did not live to hear of it."""

    async def main(loop: VirtualLoop, disk: Disk) -> list[tuple[int, int]]:
        told: list[tuple[int, int]] = []

        def note(applied: Commit) -> None:
            told.append((applied.state.seq, disk.state().seq))

        disk.on_applied = note
        node = loop.owner("node")
        await disk.apply(commit(disk, 1))
        loop.spawn(node, disk.apply(commit(disk, 2)), "write")
        await asyncio.sleep(0.0001)
        assert told == [(1, 1)]
        loop.kill(node)
        disk.crash()
        return told

    ends = {tuple(run(main, seed=seed)) for seed in range(12)}

    assert ends == {((1, 1),), ((1, 1), (2, 2))}
