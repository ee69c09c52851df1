"""Both kinds of applied states against a dict that is changed in the plainest way."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from tests.storage.shards.states import all_rows, entry, rest_of

keys = st.binary(min_size=1, max_size=3).map(
    lambda drawn: bytes(b"\x00a\xff"[byte % 3] for byte in drawn)
)
"""Few, so that they meet; ff is where prefixes have no end."""

changes = st.builds(
    Change, st.sampled_from(ChangeKind), keys, st.binary(max_size=3)
).map(lambda c: c if c.kind is ChangeKind.PUT else c._replace(value=b""))

batches = st.lists(
    st.lists(changes, max_size=4).map(lambda some: entry(*some)), max_size=3
)


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
    """A state, and what it should hold."""

    states: ShardStates
    rows: dict[bytes, bytes] = field(default_factory=dict)
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
        assert all_rows(self.state) == sorted(self.rows.items())

    async def apply(self, batch: list[LogEntry]) -> None:
        """Change the dict key by key."""
        await self.state.apply(batch)
        for each in batch:
            for kind, key, value in decode_changes(each.data):
                if kind is ChangeKind.PUT:
                    self.rows[key] = value
                for gone in [
                    held
                    for held in self.rows
                    if (kind is ChangeKind.DELETE and held == key)
                    or (kind is ChangeKind.DELETE_PREFIX and held.startswith(key))
                ]:
                    del self.rows[gone]
        if batch:
            self.applied = Position(batch[-1].epoch, self.applied.number + len(batch))

    def scan(self, scan: Scan) -> None:
        """Compare what is in a range."""
        found = self.state.scan(
            scan.start, scan.end, reverse=scan.reverse, limit=scan.limit
        )
        expected = sorted(
            (
                row
                for row in self.rows.items()
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
        await install.finish(self.applied)

    def begin(self, step: Begin) -> None:
        """Begin a picture, and end the oldest if there are many."""
        if len(self.pictures) == 3:
            self.pictures.pop(0).pages.close()
        pages = self.state.pages(page_bytes=step.page_bytes)
        assert pages.base == self.applied
        due = sorted(self.rows.items())
        self.pictures.append(Picture(pages, step.page_bytes, due))

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
