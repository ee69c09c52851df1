"""What applied states in SQLite files do besides: threads, limits, and broken disks."""

import asyncio
import resource
import sqlite3
from _collections_abc import dict_items
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kvnode.core.objects.quorum_log import ORIGIN, Position
from kvnode.core.objects.state_reader import Row
from kvnode.errors import (
    CorruptRecordError,
    OverloadedError,
    RejectedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.storage.shards.sqlite import state_file
from kvnode.storage.shards.sqlite.picture import Picture
from kvnode.storage.shards.sqlite.run import Run
from kvnode.storage.shards.sqlite.writer import PICTURES_MAX, Writer
from kvnode.storage.shards.sqlite_shard_state import SqliteShardState
from kvnode.storage.shards.sqlite_shard_states import SqliteShardStates
from tests.storage.shards.states import (
    all_rows,
    delete_prefix,
    entry,
    numbered,
    numbered_rows,
    own_rows,
    put,
    rest_of,
    restore,
    stamped,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the state."""
    return tmp_path / "a.sqlite"


@pytest.fixture
def state(path: Path) -> Iterator[SqliteShardState]:
    """A state that has room for 1 MiB."""
    state = SqliteShardState(path, bytes_max=1 << 20)
    yield state
    state.close()


def files_in(directory: Path) -> list[str]:
    """Return the names of files."""
    return sorted(each.name for each in directory.iterdir())


def rows_before(path: Path) -> int:
    """Return how many rows are kept for pictures."""
    with closing(sqlite3.connect(path)) as tool:
        count: int = tool.execute("SELECT count(*) FROM before").fetchone()[0]
    return count


class _Eventful(dict[bytes, bytes | None]):
    """Values of a run; something happens when they are looked at first."""

    def __init__(
        self, values: dict[bytes, bytes | None], happens: Callable[[], None]
    ) -> None:
        super().__init__(values)
        self._happens = [happens]

    def items(self) -> "dict_items[bytes, bytes | None]":
        """Let it happen."""
        while self._happens:
            self._happens.pop()()
        return super().items()


# -- turns ------------------------------------------------------------------------


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let no commit through."""
    with closing(sqlite3.connect(path, isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        yield
        tool.execute("ROLLBACK")


async def test_caller_who_is_cancelled_waits_for_the_end(
    state: SqliteShardState, path: Path
) -> None:
    """Else the next turn might overlap."""
    with locked(path):
        applying = asyncio.create_task(state.apply(numbered(100)))
        await asyncio.sleep(0)
        applying.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not applying.done()

    with pytest.raises(asyncio.CancelledError):
        await applying

    assert state.applied == Position(1, 100)
    await state.apply(numbered(1, first=101))
    assert all_rows(state) == numbered_rows(101)


async def test_turns_must_not_overlap(state: SqliteShardState, path: Path) -> None:
    """Both would count from the same entry on; nor may another state come between."""
    install = await state.install()
    with locked(path):
        applying = asyncio.create_task(state.apply(numbered(100)))
        await asyncio.sleep(0)

        with pytest.raises(AssertionError, match="must not overlap"):
            await state.apply(numbered(1))
        with pytest.raises(AssertionError, match="between two turns"):
            await install.finish(Position(1, 1))

    await applying
    assert all_rows(state) == numbered_rows(100)


def no_memory() -> None:
    """Break off what is being done, and not for a reason that SQLite knows of."""
    raise MemoryError


def test_turn_that_breaks_off_is_undone(path: Path) -> None:
    """What it has deleted is back, and the next turn passes."""
    with closing(Writer(path, bytes_max=1 << 24)) as writer:
        writer.apply([Run(b"", {b"a": b"1"})], Position(1, 1))

        with pytest.raises(MemoryError):
            writer.apply([Run(b"a", _Eventful({}, no_memory))], Position(1, 2))

        assert writer.applied == Position(1, 1)
        writer.apply([Run(b"", {b"b": b"2"})], Position(1, 2))
        rows = writer.reader.scan(b"", None, reverse=False, limit=9)
        assert rows == [(b"a", b"1"), (b"b", b"2")]


class _Endless(list[Row]):
    """Rows that are too many for the memory."""

    def __iter__(self) -> Iterator[Row]:
        """Yield one."""
        yield (b"x", b"y")
        no_memory()


def test_page_that_breaks_off_is_not_added(path: Path) -> None:
    """The next one is."""
    with closing(Writer(path, bytes_max=1 << 24)) as writer:
        draft = writer.draft()
        with pytest.raises(MemoryError):
            writer.add(draft, _Endless())

        writer.add(draft, [(b"a", b"1")])
        writer.finish(draft, Position(1, 1))

        rows = writer.reader.scan(b"", None, reverse=False, limit=9)
        assert rows == [(b"a", b"1")]


# -- pictures ------------------------------------------------------------------------


def test_picture_that_begins_amid_a_turn_is_of_before_it(path: Path) -> None:
    """The turn is done again, and keeps what it changes."""
    begun: list[Picture] = []
    with closing(Writer(path, bytes_max=1 << 24)) as writer:
        writer.apply([Run(b"", {b"a": b"1", b"b": b"1"})], Position(1, 1))

        values = _Eventful({b"a": b"2"}, lambda: begun.append(writer.picture()))
        writer.apply([Run(b"", values)], Position(1, 2))

        assert begun[0].base == Position(1, 1)
        assert writer.page(begun[0], 1000) == ((b"a", b"1"), (b"b", b"1"))
        assert writer.reader.get(b"a") == b"2"
        assert writer.applied == Position(1, 2)


def test_picture_that_ends_amid_a_turn_is_forgotten(path: Path) -> None:
    """What the turn has kept for it goes at the next checkpoint."""
    with closing(Writer(path, bytes_max=1 << 24)) as writer:
        picture = writer.picture()
        values = _Eventful({b"a": b"2"}, lambda: writer.close_picture(picture))
        writer.apply([Run(b"", values)], Position(1, 1))
        assert rows_before(path) == 1

        writer.checkpoint()

        assert rows_before(path) == 0


async def test_pictures_are_limited(state: SqliteShardState) -> None:
    """Each costs every change one more write."""
    pages = [state.pages(page_bytes=1) for _ in range(PICTURES_MAX)]
    with pytest.raises(OverloadedError, match=r"pictures of .* are open"):
        state.pages(page_bytes=1)

    pages[0].close()
    pages[0].close()

    state.pages(page_bytes=1)


async def test_what_was_kept_for_a_picture_goes_with_it(
    state: SqliteShardState, path: Path
) -> None:
    """At the next checkpoint, and not what another needs."""
    await state.apply(numbered(9))
    one, other = (state.pages(page_bytes=1 << 20) for _ in range(2))
    await state.apply([entry(delete_prefix(b"0"))])
    one.close()
    assert rows_before(path) == 18

    await state.checkpoint()

    assert rows_before(path) == 9
    assert await rest_of(other) == numbered_rows(9)
    await state.checkpoint()
    assert rows_before(path) == 0


async def test_what_a_picture_has_handed_out_is_not_kept(
    state: SqliteShardState, path: Path
) -> None:
    """Nobody will ask for it again."""
    await state.apply(numbered(9))
    pages = state.pages(page_bytes=1)
    for _ in range(7):
        await pages.page()

    await state.apply(numbered(9))
    await state.apply([entry(delete_prefix(b"0"))])

    assert rows_before(path) == 2
    pages.close()


async def test_open_picture_does_not_let_the_log_grow(
    state: SqliteShardState, path: Path
) -> None:
    """Nor do the loop's reads, if checkpoints are made."""
    pages = state.pages(page_bytes=1)
    sizes = []
    for _ in range(20):
        await state.apply(numbered(100))
        assert len(all_rows(state)) == 100
        await state.checkpoint()
        sizes.append(state_file.wal_of(path).stat().st_size)
    pages.close()

    assert max(sizes[2:]) <= sizes[1]


# -- no room ---------------------------------------------------------------------------


async def test_turn_that_finds_no_room_has_not_happened(
    state: SqliteShardState,
) -> None:
    """The node goes on, and frees some."""
    await state.apply(numbered(1))

    with pytest.raises(StoreFullError, match="nothing was written"):
        await state.apply([*numbered(1, first=2), entry(put(b"x", bytes(1 << 20)))])

    assert state.applied == Position(1, 1)
    assert all_rows(state) == numbered_rows(1)
    await state.apply(numbered(1, first=2))
    assert state.applied == Position(1, 2)
    assert all_rows(state) == numbered_rows(2)


async def test_page_that_finds_no_room_is_not_added(state: SqliteShardState) -> None:
    """The state goes on, and what was added may be completed."""
    await state.apply(numbered(1))
    install = await state.install()
    await install.add([(b"a", b"1")])

    with pytest.raises(StoreFullError, match="nothing was written"):
        await install.add([(b"b", b"2"), (b"x", bytes(1 << 20))])

    await state.apply(numbered(1, first=2))
    assert all_rows(state) == numbered_rows(2)
    await install.finish(Position(2, 5))
    assert all_rows(state) == [(b"a", b"1")]


# -- broken disks, and other programs -------------------------------------------


@contextmanager
def no_file_grows_beyond(size_bytes: int) -> Iterator[None]:
    """Let writes fail as on a broken disk: not for want of space."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def test_state_takes_no_more_after_a_failure_of_the_disk(
    state: SqliteShardState, path: Path
) -> None:
    """Nobody knows what is on it, before it is opened again."""
    await state.apply(numbered(1))
    size = state_file.wal_of(path).stat().st_size

    with (
        no_file_grows_beyond(size + 100),
        pytest.raises(OSError, match="disk I/O error"),
    ):
        await state.apply(numbered(1, first=2))

    with pytest.raises(OSError, match="failed before"):
        await state.apply(numbered(1, first=2))
    with pytest.raises(OSError, match="failed before"):
        await state.checkpoint()
    assert all_rows(state) == numbered_rows(1)
    state.close()
    with closing(SqliteShardState(path)) as again:
        assert again.applied == Position(1, 1)
        await again.apply(numbered(1, first=2))
        assert all_rows(again) == numbered_rows(2)


async def test_locked_file_takes_nothing_until_it_is_let_go(
    state: SqliteShardState, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody looks into it by a tool."""
    state.close()
    monkeypatch.setattr(state_file, "BUSY_SECONDS", 0.0)
    with closing(SqliteShardState(path)) as patient:
        with (
            locked(path),
            pytest.raises(UnavailableError, match="locked by another program"),
        ):
            await patient.apply(numbered(1))
        assert patient.applied == ORIGIN

        await patient.apply(numbered(1))
        assert all_rows(patient) == numbered_rows(1)


def damage(path: Path) -> None:
    """Write over the pages of the map."""
    data = bytearray(path.read_bytes())
    for page in range(4, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)


async def test_damaged_page_is_told_of(path: Path) -> None:
    """By reads as by writes, and the state is not taken for gone."""
    with closing(SqliteShardState(path)) as state:
        await state.apply(numbered(1000))
    damage(path)

    with closing(SqliteShardState(path)) as state:
        with pytest.raises(CorruptRecordError, match="delete the file"):
            all_rows(state)
        with pytest.raises(CorruptRecordError, match="delete the file"):
            await state.apply(numbered(1000))


@pytest.mark.parametrize(
    "content", ["garbage", "CREATE TABLE t (x)", "CREATE TABLE meta (format)"]
)
def test_file_of_something_else_is_told_of(path: Path, content: str) -> None:
    """It is not written over."""
    if content == "garbage":
        path.write_bytes(b"garbage " * 1000)
    else:
        with closing(sqlite3.connect(path)) as tool:
            tool.execute(content)
    before = path.read_bytes()

    with pytest.raises(CorruptRecordError, match=r"is damaged|is no state"):
        SqliteShardState(path)

    assert path.read_bytes() == before


def test_state_of_a_later_version_is_refused(path: Path) -> None:
    """Rather than taken for a damaged one."""
    SqliteShardState(path).close()
    with closing(sqlite3.connect(path)) as tool:
        tool.execute("UPDATE meta SET format = 9")
        tool.commit()

    with pytest.raises(RejectedError, match=r"has format 9 .* run the version"):
        SqliteShardState(path)


async def test_state_of_an_earlier_version_is_taken_over(path: Path) -> None:
    """And refused by that version from then on: it would leave gaps in the history."""
    with closing(SqliteShardState(path)) as state:
        await state.apply(numbered(2))
    with closing(sqlite3.connect(path)) as tool:
        tool.execute("UPDATE meta SET format = 1")
        tool.commit()

    with closing(SqliteShardState(path)) as state:
        assert state.applied == Position(1, 2)
        await state.apply([stamped(put(b"000001", b"new"))])
        await state.apply([stamped(restore(2, b"0"))])
        assert own_rows(state) == numbered_rows(2)

    with closing(sqlite3.connect(path)) as tool:
        assert tool.execute("SELECT format FROM meta").fetchone() == (2,)


def test_directory_is_of_one_process(
    on_disk: SqliteShardStates, tmp_path: Path
) -> None:
    """Two would write one file."""
    assert on_disk.shards() == ()
    with pytest.raises(UnavailableError, match="in use by process"):
        SqliteShardStates(tmp_path / "states")


async def test_dropped_state_leaves_no_file(
    on_disk: SqliteShardStates, tmp_path: Path
) -> None:
    """Nor what was to be installed."""
    state = on_disk.open("a")
    await state.apply(numbered(3))
    await (await state.install()).add(numbered_rows(3))

    on_disk.drop("a")

    assert state.is_closed
    assert files_in(tmp_path / "states") == ["lock"]


def test_what_a_crash_has_left_is_dropped_with_the_state(
    on_disk: SqliteShardStates, tmp_path: Path
) -> None:
    """A log beside a file that is made anew would be taken for its own."""
    names = ["a.sqlite", "a.sqlite-wal", "a.sqlite-shm", "a.sqlite-journal", "a.draft"]
    for name in names:
        (tmp_path / "states" / name).write_bytes(b"left over")

    on_disk.drop("a")

    assert files_in(tmp_path / "states") == ["lock"]
