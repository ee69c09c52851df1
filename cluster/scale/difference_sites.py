"""Two stores on disk that hold the same, until one of them is written to alone."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import shake_128
from itertools import count, islice
from pathlib import Path
from shutil import copyfile
from typing import TypeVar

from kvnode.core.node.commands import Applied, Put
from kvnode.core.node.turn import Turn
from kvnode.core.node.writes import Writer
from kvnode.core.versions.session import NEW_SESSION
from kvnode.core.versions.version import Entry
from kvnode.storage.disk.layout import DATA_NAME
from kvnode.storage.durability import Durability
from kvnode.storage.lmdb_store import LmdbStore
from kvnode.types import DEFAULT_NAMESPACE, EntryKey, Millis, ReplicaId

ItemT = TypeVar("ItemT")

VALUE_BYTES = 100
KEYS_PER_COMMIT = 5000
START = Millis(1_700_000_000_000)
AHEAD_MAX = Millis(500)


def key_of(number: int) -> EntryKey:
    """Return the key of that *number*: 24 bytes, as of a site's sessions."""
    # A bijection on the numbers below 2^40 scatters the keys over the tree.
    scattered = number * 0x9E3779B97F4A7C15 % (1 << 40)
    return EntryKey(DEFAULT_NAMESPACE, f"scale/{scattered:018}".encode())


class Site:
    """A store with a clock of its own, written to as a node writes."""

    def __init__(self, directory: Path, first_replica: int) -> None:
        """Open the store in *directory*, which is made if need be."""
        replicas = count(first_replica)
        self.directory = directory
        self.store = LmdbStore.open(
            directory,
            random_replica=lambda: ReplicaId(next(replicas)),
            durability=Durability.RELAXED,
        )
        self._now = START

    def copied_to(self, directory: Path, first_replica: int) -> "Site":
        """Return another site with all that this one holds; both are open."""
        own = self.store.state().replica
        self.store.close()
        directory.mkdir()
        copyfile(self.directory / DATA_NAME, directory / DATA_NAME)
        self.store = Site(self.directory, own).store
        return Site(directory, first_replica)

    async def write(self, numbers: Iterable[int], round_number: int) -> None:
        """Put a new value under each of the keys, in commits of bounded size."""
        for few in _chunks(numbers):
            with self.store.snapshot() as view:
                state = view.state()
                turn = Turn(state, view, self._tick())
                writer = Writer(state.replica, turn, NEW_SESSION, ahead_max=AHEAD_MAX)
                for number in few:
                    seed = b"%d/%d" % (round_number, number)
                    value = shake_128(seed).digest(VALUE_BYTES)
                    done = writer.apply(Put(key_of(number), value))
                    assert isinstance(done, Applied), "the store has room"
                turn.clock = turn.clock.with_range(
                    state.replica, state.seq + 1, turn.seq
                )
                commit = turn.commit(turn.state())
            assert commit is not None, "there was something to write"
            await self.store.apply(commit)

    async def repair(self, rows: Sequence[tuple[EntryKey, Entry]]) -> None:
        """Take in entries of the other site."""
        for few in _chunks(rows):
            with self.store.snapshot() as view:
                turn = Turn(view.state(), view, self._tick())
                for key, entry in few:
                    turn.repair(key, entry)
                commit = turn.commit(turn.state())
            if commit is not None:
                await self.store.apply(commit)

    async def cover(self, other: "Site") -> None:
        """Claim all that *other* covers, once it is here."""
        with self.store.snapshot() as view:
            turn = Turn(view.state(), view, self._tick())
            turn.clock = turn.clock.join(other.store.state().clock)
            commit = turn.commit(turn.state())
        if commit is not None:
            await self.store.apply(commit)

    def _tick(self) -> Millis:
        self._now = Millis(self._now + 1)
        return self._now


def _chunks(items: Iterable[ItemT]) -> Iterator[list[ItemT]]:
    iterator = iter(items)
    while few := list(islice(iterator, KEYS_PER_COMMIT)):
        yield few
