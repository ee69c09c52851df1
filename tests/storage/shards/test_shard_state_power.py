"""
What losses of power leave of a state in an SQLite file.

A copy of the files that is taken while they are open is what a crash of the process
leaves.  A loss of power also takes back what was not synced: the log of commits ends
anywhere behind what the last checkpoint synced, or has anything in it from there on.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from kvnode.core.objects.quorum_log import LogEntry, Position
from kvnode.core.objects.state_reader import Row
from kvnode.storage.shards.sqlite.state_file import wal_of
from kvnode.storage.shards.sqlite_shard_state import SqliteShardState
from tests.storage.shards.states import (
    all_rows,
    delete,
    delete_prefix,
    entry,
    numbered,
    numbered_rows,
    put,
)

Crash = Callable[[], Path]
History = dict[Position, list[Row]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the state."""
    (tmp_path / "live").mkdir()
    return tmp_path / "live" / "a.sqlite"


@pytest.fixture
def state(path: Path) -> Iterator[SqliteShardState]:
    """A state that the power is cut of."""
    state = SqliteShardState(path)
    yield state
    state.close()


@pytest.fixture
def crash(path: Path) -> Crash:
    """Copies the files as they are now, without what only lives as long as we do."""
    copies = count()

    def copied() -> Path:
        directory = path.parent.with_name(f"crash {next(copies)}")
        without = shutil.ignore_patterns("*-shm")
        shutil.copytree(path.parent, directory, ignore=without)
        return directory / path.name

    return copied


def left(path: Path) -> tuple[Position, list[Row]]:
    """Return what a start after the crash finds."""
    with closing(SqliteShardState(path)) as state:
        return state.applied, all_rows(state)


def turns(count: int) -> Iterator[list[LogEntry]]:
    """Yield turns of some entries each, in which keys change, go, and come."""
    rng = Random(20240229)
    for _ in range(count):
        yield [
            entry(
                put(b"%d" % rng.randrange(50), rng.randbytes(rng.randrange(3000))),
                delete(b"%d" % rng.randrange(50)),
                *([delete_prefix(b"%d" % rng.randrange(9))] if n == 2 else []),
            )
            for n in range(rng.randint(1, 4))
        ]


async def apply_turns(state: SqliteShardState, count: int) -> History:
    """Return what the state held after each turn."""
    history = {state.applied: all_rows(state)}
    for turn in turns(count):
        await state.apply(turn)
        history[state.applied] = all_rows(state)
    return history


async def test_crash_of_the_process_loses_no_turn(
    state: SqliteShardState, crash: Crash
) -> None:
    """Whether or not a checkpoint was made."""
    for number, turn in enumerate(turns(12)):
        await state.apply(turn)
        if number % 5 == 4:
            await state.checkpoint()
        assert left(crash()) == (state.applied, all_rows(state))


async def test_checkpoint_puts_all_into_the_file(
    state: SqliteShardState, crash: Crash
) -> None:
    """Before, it is in the log, which no sync has brought to the disk."""
    await apply_turns(state, 5)
    early = crash()
    wal_of(early).unlink()
    position = await state.checkpoint()
    late = crash()
    wal_of(late).unlink()

    assert left(early)[0] < position
    assert left(late) == (position, all_rows(state))


async def test_checkpoint_syncs_the_log_if_somebody_reads_the_file(
    state: SqliteShardState,
    path: Path,
    crash: Crash,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What he sees must not be written over, so the newest turns stay in the log."""
    synced: set[int] = set()
    real = os.fsync

    def fsync(file: int) -> None:
        synced.add(os.fstat(file).st_ino)
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    await state.apply(numbered(1))
    with closing(sqlite3.connect(path)) as tool:
        tool.execute("BEGIN")
        assert tool.execute("SELECT count(*) FROM map").fetchone() == (1,)
        await state.apply(numbered(1, first=2))

        assert await state.checkpoint() == Position(1, 2)

    assert wal_of(path).stat().st_ino in synced
    assert left(crash()) == (Position(1, 2), numbered_rows(2))


async def test_what_is_left_of_the_log_is_a_prefix_of_the_turns(
    state: SqliteShardState, crash: Crash
) -> None:
    """And `applied` tells which: the log of the shard does the others again."""
    history = await apply_turns(state, 8)
    whole = wal_of(crash()).read_bytes()
    rng = Random(7)
    found = set()
    for cut in [0, 31, 32, len(whole) - 1, *rng.sample(range(len(whole)), 30)]:
        torn = crash()
        wal_of(torn).write_bytes(whole[:cut])
        applied, rows = left(torn)
        assert rows == history[applied]
        found.add(applied)
    assert len(found) > 5


async def test_what_is_wrong_in_the_log_ends_it(
    state: SqliteShardState, crash: Crash
) -> None:
    """Blocks come to the disk in any order."""
    history = await apply_turns(state, 8)
    whole = wal_of(crash()).read_bytes()
    rng = Random(8)
    for place in rng.sample(range(len(whole)), 30):
        torn = crash()
        block = place // 512 * 512
        zeros = bytes(len(whole[block : block + 512]))
        damaged = whole[:block] + zeros + whole[block + 512 :]
        wal_of(torn).write_bytes(damaged)
        applied, rows = left(torn)
        assert rows == history[applied]
        assert applied < state.applied or damaged == whole


async def test_nothing_before_the_checkpoint_is_lost(
    state: SqliteShardState, crash: Crash
) -> None:
    """However little is left of what was written behind it."""
    await apply_turns(state, 6)
    position = await state.checkpoint()
    history = await apply_turns(state, 4)
    whole = wal_of(crash()).read_bytes()
    for cut in [0, *Random(9).sample(range(len(whole)), 20)]:
        torn = crash()
        wal_of(torn).write_bytes(whole[:cut])
        applied, rows = left(torn)
        assert applied >= position
        assert rows == history[applied]


async def test_crash_closes_all_pictures(state: SqliteShardState, crash: Crash) -> None:
    """What was kept for them is gone, and not taken for that of others."""
    await state.apply(numbered(3))
    state.pages(page_bytes=1)
    await state.apply([entry(delete_prefix(b"0"))])

    with closing(SqliteShardState(crash())) as after:
        await after.apply(numbered(2))
        pages = after.pages(page_bytes=1 << 20)
        assert list(await pages.page()) == numbered_rows(2)


# -- another state ------------------------------------------------------------------


@contextmanager
def crashing(crash: Crash) -> Iterator[list[Path]]:
    """Fill a list with what a crash at each change of a name, or sync, would leave."""
    found: list[Path] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("unlink", "replace", "fsync"):
            patch.setattr(os, name, _crashing_around(getattr(os, name), crash, found))
        yield found


def _crashing_around(
    real: Callable[..., None], crash: Crash, found: list[Path]
) -> Callable[..., None]:
    def call(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 -- as the real one
        found.append(crash())
        real(*args, **kwargs)
        found.append(crash())

    return call


async def test_crash_leaves_the_old_state_or_the_new_one(
    state: SqliteShardState, crash: Crash
) -> None:
    """Never a mixture, and the new one once it was told of."""
    await state.apply([entry(put(b"old", bytes(5000)))])
    await state.checkpoint()
    await state.apply([entry(put(b"older", bytes(5000)))])
    old = (state.applied, all_rows(state))
    new = (Position(3, 40), numbered_rows(300))

    with crashing(crash) as crashes:
        install = await state.install()
        for first in range(1, 301, 100):
            await install.add(numbered_rows(100, first=first))
            crashes.append(crash())
        await install.finish(Position(3, 40))

    assert (state.applied, all_rows(state)) == new
    assert left(crash()) == new
    outcomes = [left(each) for each in crashes]
    is_new = [outcome == new for outcome in outcomes]
    assert all(outcome in (old, new) for outcome in outcomes)
    assert is_new == sorted(is_new)
    assert {True, False} == set(is_new)


async def test_state_that_is_installed_is_synced_before_it_has_its_name(
    state: SqliteShardState, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory follows, and the log that does not belong to it was gone before."""
    await state.apply(numbered(3))
    done: list[str] = []
    names = {path.parent.stat().st_ino: "directory"}
    fsync, replace, unlink = os.fsync, os.replace, os.unlink

    def note_fsync(file: int) -> None:
        done.append(f"sync {names.get(os.fstat(file).st_ino, 'draft')}")
        fsync(file)

    def note_replace(source: Path, target: Path) -> None:
        done.append("rename")
        replace(source, target)

    def note_unlink(file: Path, **_: object) -> None:
        if Path(file) == wal_of(path):
            done.append("no log")
            assert not wal_of(path).exists()
        unlink(file)

    install = await state.install()
    await install.add(numbered_rows(2))
    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    monkeypatch.setattr(os, "unlink", note_unlink)
    await install.finish(Position(1, 2))

    assert done == [
        "no log",
        "sync directory",
        "sync draft",
        "rename",
        "sync directory",
    ]


async def test_half_a_draft_is_deleted_by_the_next_start(
    state: SqliteShardState, crash: Crash
) -> None:
    """It is worth nothing without its end."""
    await (await state.install()).add(numbered_rows(100))
    crashed = crash()
    assert len(list(crashed.parent.glob("*.draft"))) == 1

    left(crashed)

    assert [each.name for each in crashed.parent.iterdir()] == [crashed.name]
