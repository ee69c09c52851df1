"""Both kinds of applied states against a dict that is changed in the plainest way."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.core.objects.history import (
    UNDO,
    UNDO_END,
    Forget,
    Restore,
    forget_of,
    mark_of,
    restore_of,
    stamp,
)
from kvnode.core.objects.map_change import Change, ChangeKind, decode_changes
from kvnode.core.objects.quorum_log import ORIGIN, LogEntry, Position
from kvnode.core.objects.state_reader import Row
from kvnode.storage.shards.memory_shard_state import MemoryShardStates
from kvnode.storage.shards.sqlite_shard_states import SqliteShardStates
from kvnode.storage.shards.state_port import (
    ShardState,
    ShardStates,
    StatePages,
    row_bytes,
)
from kvnode.types import Millis
from tests.storage.shards.states import (
    HISTORY,
    ROWS_MAX,
    all_rows,
    entry,
    own_rows,
    rest_of,
)

keys = st.binary(min_size=1, max_size=3).map(
    lambda drawn: bytes(b"\x00a\xff"[byte % 3] for byte in drawn)
)
"""Few, so that they meet; ff is where prefixes have no end."""

kinds = st.sampled_from((ChangeKind.PUT, ChangeKind.DELETE, ChangeKind.DELETE_PREFIX))
changes = st.builds(Change, kinds, keys, st.binary(max_size=3)).map(
    lambda c: c if c.kind is ChangeKind.PUT else c._replace(value=b"")
)

restores = st.builds(
    Restore,
    keys.map(lambda key: key[:1]),
    st.just(b"") | keys.map(lambda key: key[:1]),
    st.integers(0, 12),
).map(Restore.change)
stamps = st.integers(0, 9).map(lambda time: [stamp(Millis(time))])
forgets = st.builds(Forget, st.integers(0, 12), st.just(1 << 40)).map(
    lambda forget: [forget.change()]
)
stamped_changes = st.lists(changes | changes | restores, max_size=4)

batches = st.lists(
    st.one_of(
        st.lists(changes | restores, max_size=4),
        *[st.builds(list.__add__, stamps, stamped_changes)] * 4,
        forgets,
    ).map(lambda some: entry(*some)),
    max_size=3,
)
"""Most entries are stamped: without a stamp nothing can be restored."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What is asked of both."""

    start: bytes
    end: bytes | None
    reverse: bool
    limit: int


@dataclass(frozen=True, slots=True)
class Install:
    """What comes from elsewhere."""

    rows: dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin a picture with pages of so many bytes."""

    page_bytes: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Look at the next page of the oldest picture, or make a checkpoint, or reopen."""

    what: str


Step = list[LogEntry] | Scan | Install | Begin | Turn

steps: st.SearchStrategy[Step] = st.one_of(
    batches,
    batches,
    batches,
    st.builds(
        Scan,
        st.just(b"") | keys,
        st.none() | keys,
        st.booleans(),
        st.integers(1, 5),
    ),
    st.builds(Install, st.dictionaries(keys, st.binary(max_size=3), max_size=5)),
    st.builds(Begin, st.integers(1, 100)),
    st.sampled_from([Turn("page"), Turn("page"), Turn("checkpoint"), Turn("reopen")]),
)


@dataclass(slots=True)
class Picture:
    """One that is open, and the rows that are still to come."""

    pages: StatePages
    page_bytes: int
    due: list[Row]


@dataclass(slots=True)
class Twin:
    """
    A state, and what it should hold.

    Attributes:
        former: What it should have held behind each entry.
        floor: The first of those that can be restored; None = there is none.
    """

    states: ShardStates
    rows: dict[bytes, bytes] = field(default_factory=dict)
    former: dict[int, dict[bytes, bytes]] = field(default_factory=lambda: {0: {}})
    floor: int | None = None
    applied: Position = ORIGIN
    pictures: list[Picture] = field(default_factory=list)

    @property
    def state(self) -> ShardState:
        """Return the state, open."""
        return self.states.open("a")

    async def do(self, step: Step) -> None:
        """Do one step with both, and compare."""
        match step:
            case Scan():
                self.scan(step)
            case Install():
                await self.install(step)
            case Begin():
                self.begin(step)
            case Turn("page"):
                await self.page()
            case Turn("checkpoint"):
                assert await self.state.checkpoint() == self.applied
            case Turn():
                await self.end_pictures()
                self.state.close()
            case _:
                await self.apply(step)
        assert self.state.applied == self.applied
        assert own_rows(self.state) == sorted(self.rows.items())
        mark = mark_of(self.state)
        assert (None if mark is None else mark.floor) == self.floor
        if mark is not None:
            rows = self.state.scan(UNDO, UNDO_END, limit=ROWS_MAX)
            assert mark.size_bytes == sum(len(key) + len(row) for key, row in rows)

    async def apply(self, batch: list[LogEntry]) -> None:
        """Change the dict key by key."""
        await self.state.apply(batch)
        for number, each in enumerate(batch, start=self.applied.number + 1):
            self.change(number, decode_changes(each.data))
            self.former[number] = dict(self.rows)
        if batch:
            self.applied = Position(batch[-1].epoch, self.applied.number + len(batch))

    def change(self, number: int, changes: list[Change]) -> None:
        """Do what an entry says."""
        is_stamped = bool(changes) and changes[0].kind is ChangeKind.STAMP
        if is_stamped and self.floor is None:
            self.floor = number - 1
        for change in changes:
            if change.kind is ChangeKind.FORGET:
                if self.floor is not None:
                    self.floor = max(self.floor, forget_of(change).number)
            elif change.kind is ChangeKind.RESTORE:
                if is_stamped:
                    self.restore(restore_of(change), number)
            elif change.kind is not ChangeKind.STAMP:
                self.change_keys(change)
                if not is_stamped and self.floor is not None:
                    self.floor = max(self.floor, number)

    def change_keys(self, change: Change) -> None:
        """Change the dict key by key."""
        kind, key, value = change
        if kind is ChangeKind.PUT:
            self.rows[key] = value
        for gone in [
            held
            for held in self.rows
            if (kind is ChangeKind.DELETE and held == key)
            or (kind is ChangeKind.DELETE_PREFIX and held.startswith(key))
        ]:
            del self.rows[gone]

    def restore(self, restore: Restore, number: int) -> None:
        """Take keys from what was held behind an earlier entry."""
        assert self.floor is not None, "there is a stamp"
        if not self.floor <= restore.number < number:
            return
        self.rows = {
            **{key: row for key, row in self.rows.items() if not restore.selects(key)},
            **{
                key: row
                for key, row in self.former[restore.number].items()
                if restore.selects(key)
            },
        }

    def scan(self, scan: Scan) -> None:
        """Compare what is in a range."""
        found = self.state.scan(
            scan.start, scan.end, reverse=scan.reverse, limit=scan.limit
        )
        expected = sorted(
            (
                row
                for row in self.due()
                if scan.start <= row[0] and (scan.end is None or row[0] < scan.end)
            ),
            reverse=scan.reverse,
        )
        assert found == expected[: scan.limit]
        assert self.state.get(scan.start) == self.rows.get(scan.start)

    async def install(self, step: Install) -> None:
        """Put other rows in place."""
        for picture in self.pictures:
            picture.pages.close()
        self.pictures.clear()
        install = await self.state.install()
        for row in sorted(step.rows.items(), reverse=True):
            await install.add([row])
        self.rows = dict(step.rows)
        self.applied = Position(1, self.applied.number + 7)
        self.former[self.applied.number], self.floor = dict(step.rows), None
        await install.finish(self.applied)

    def begin(self, step: Begin) -> None:
        """Begin a picture, and end the oldest if there are many."""
        if len(self.pictures) == 3:
            self.pictures.pop(0).pages.close()
        pages = self.state.pages(page_bytes=step.page_bytes)
        assert pages.base == self.applied
        self.pictures.append(Picture(pages, step.page_bytes, self.due()))

    def due(self) -> list[Row]:
        """Return all that the state should hold, and its history."""
        history = self.state.scan(HISTORY, UNDO_END, limit=ROWS_MAX)
        return sorted([*self.rows.items(), *history])

    async def page(self) -> None:
        """Look at the next page of the picture begun first."""
        if not self.pictures:
            return
        picture = self.pictures[0]
        page = await picture.pages.page()
        assert list(page) == picture.due[: len(page)]
        del picture.due[: len(page)]
        assert bool(page) or not picture.due
        assert len(page) <= 1 or sum(map(row_bytes, page)) <= picture.page_bytes

    async def end_pictures(self) -> None:
        """Look at what is left of all pictures."""
        for picture in self.pictures:
            assert await rest_of(picture.pages) == picture.due
        self.pictures.clear()


async def _run(states: ShardStates, drawn: list[Step]) -> None:
    twin = Twin(states)
    for step in drawn:
        await twin.do(step)
    await twin.end_pictures()


def _memory(_directory: Path) -> ShardStates:
    return MemoryShardStates()


@pytest.mark.parametrize("opened", [_memory, SqliteShardStates])
@given(drawn=st.lists(steps, max_size=25))
@settings(max_examples=60)
def test_state_holds_what_a_dict_would(
    opened: Callable[[Path], ShardStates], drawn: list[Step]
) -> None:
    """Through pictures, checkpoints, restarts, and states that come from elsewhere."""
    with TemporaryDirectory() as directory:
        states = opened(Path(directory))
        try:
            asyncio.run(_run(states, drawn))
        finally:
            states.close()


@given(drawn=st.lists(batches, max_size=8))
@settings(max_examples=30)
def test_states_of_both_kinds_hold_the_same_history(
    drawn: list[list[LogEntry]],
) -> None:
    """Byte for byte: a restore reads it, and a replica may be of either past."""

    async def run(states: list[ShardStates]) -> None:
        for batch in drawn:
            for each in states:
                await each.open("a").apply(batch)
            first, *others = (all_rows(each.open("a")) for each in states)
            assert others == [first]

    with TemporaryDirectory() as directory:
        on_disk = SqliteShardStates(Path(directory))
        try:
            asyncio.run(run([MemoryShardStates(), on_disk]))
        finally:
            on_disk.close()
