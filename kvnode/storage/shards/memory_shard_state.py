"""Applied states in memory: what a simulated machine has for a disk."""

from collections import deque
from collections.abc import Sequence
from itertools import islice, takewhile

from kvnode.core.objects.map_change import decode_changes
from kvnode.core.objects.plain_history import perform
from kvnode.core.objects.quorum_log import ORIGIN, LogEntry, Position
from kvnode.core.objects.state_reader import Row
from kvnode.errors import UnavailableError
from kvnode.storage.shards.state_port import (
    check_shard_name,
    row_bytes,
)
from kvnode.storage.sorted_map import SortedMap

Map = SortedMap[bytes, bytes]


class MemoryShardState:
    """
    See kvnode.storage.shards.state_port.ShardState.

    Attributes:
        installing: Which state is being taken in.
        replaced_count: How often another one took the place of this.
    """

    def __init__(self) -> None:
        self._map: Map = SortedMap()
        self._applied = ORIGIN
        self._durable = (self._map.copy(), ORIGIN)
        self.installing: MemoryInstall | None = None
        self.replaced_count = 0

    @property
    def applied(self) -> Position:
        """Return the last entry whose changes are in it."""
        return self._applied

    def get(self, key: bytes) -> bytes | None:
        """Return the value of *key*."""
        return self._map.get(key)

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False, limit: int
    ) -> list[Row]:
        """Return rows by key."""
        assert limit > 0, "somebody wants to see a row"
        rows = takewhile(
            lambda row: end is None or row[0] < end, self._map.items_from(start)
        )
        return (
            list(reversed(list(rows)))[:limit] if reverse else list(islice(rows, limit))
        )

    def put(self, key: bytes, value: bytes) -> None:
        """Put *value* under *key* (kvnode.core.objects.plain_history.PlainMap)."""
        self._map.put(key, value)

    def discard(self, key: bytes) -> None:
        """Remove *key* if it is there."""
        self._map.discard(key)

    async def apply(self, entries: Sequence[LogEntry]) -> None:
        """Do what *entries* say."""
        numbered = enumerate(entries, start=self._applied.number + 1)
        changes = [(number, decode_changes(entry.data)) for number, entry in numbered]
        for number, some in changes:
            perform(self, number, some)
        if entries:
            number = self._applied.number + len(entries)
            self._applied = Position(entries[-1].epoch, number)

    async def checkpoint(self) -> Position:
        """Make what is applied survive `lose_power`."""
        self._durable = (self._map.copy(), self._applied)
        return self._applied

    def lose_power(self) -> None:
        """Take back what was applied since the last checkpoint."""
        self.replace(*self._durable)

    def pages(self, *, page_bytes: int) -> "MemoryPages":
        """Return a picture of what is applied now, which is a copy."""
        assert page_bytes > 0, "a page has room"
        return MemoryPages(self, self._map, page_bytes)

    async def install(self) -> "MemoryInstall":
        """Begin to take in another state."""
        self.installing = MemoryInstall(self)
        return self.installing

    def replace(self, rows: Map, applied: Position) -> None:
        """Hold *rows* instead, durably."""
        self._map, self._applied = rows.copy(), applied
        self._durable = (rows, applied)
        self.replaced_count += 1
        self.installing = None

    def close(self) -> None:
        """Do nothing: what is here stays."""


class MemoryPages:
    """See kvnode.storage.shards.state_port.StatePages."""

    def __init__(self, state: MemoryShardState, rows: Map, page_bytes: int) -> None:
        self._state = state
        self._replaced_count = state.replaced_count
        self._base = state.applied
        self._rows = deque(rows.items_from(b""))
        self._page_bytes = page_bytes

    @property
    def base(self) -> Position:
        """Return the last entry whose changes are in it."""
        return self._base

    async def page(self) -> tuple[Row, ...]:
        """Return the next rows."""
        if self._state.replaced_count != self._replaced_count:
            msg = "another state was installed: begin anew"
            raise UnavailableError(msg)
        page: list[Row] = []
        left = self._page_bytes
        while self._rows and (not page or row_bytes(self._rows[0]) <= left):
            page.append(self._rows.popleft())
            left -= row_bytes(page[-1])
        return tuple(page)

    def close(self) -> None:
        """Let it go."""
        self._rows.clear()


class MemoryInstall:
    """See kvnode.storage.shards.state_port.StateInstall."""

    def __init__(self, state: MemoryShardState) -> None:
        self._state = state
        self._rows: Map = SortedMap()

    async def add(self, rows: Sequence[Row]) -> None:
        """Take in rows."""
        self._check()
        for key, value in rows:
            self._rows.put(key, value)

    async def finish(self, base: Position) -> None:
        """Put what was added in place of the state."""
        self._check()
        self._state.replace(self._rows, base)

    async def abandon(self) -> None:
        """Forget what was added."""
        if self._state.installing is self:
            self._state.installing = None

    def _check(self) -> None:
        if self._state.installing is not self:
            msg = "what was to be installed was abandoned: begin anew"
            raise UnavailableError(msg)


class MemoryShardStates:
    """See kvnode.storage.shards.state_port.ShardStates."""

    def __init__(self) -> None:
        self._states: dict[str, MemoryShardState] = {}

    def open(self, shard: str) -> MemoryShardState:
        """Return the state of *shard*."""
        check_shard_name(shard)
        return self._states.setdefault(shard, MemoryShardState())

    def shards(self) -> tuple[str, ...]:
        """Return the names of all that have a state."""
        return tuple(sorted(self._states))

    def drop(self, shard: str) -> None:
        """Delete the state of *shard*."""
        check_shard_name(shard)
        self._states.pop(shard, None)

    def lose_power(self) -> None:
        """Take back what was applied since the last checkpoint, of each."""
        for state in self._states.values():
            state.lose_power()

    def close(self) -> None:
        """Do nothing: what is here stays."""
