"""A shard's log without replicas: what is proposed commits when a test says so."""

import asyncio

from kvnode.completion import failed
from kvnode.core.objects.map_change import decode_changes
from kvnode.core.objects.plain_history import perform
from kvnode.core.objects.state_reader import Row
from kvnode.errors import KvError, UnavailableError
from kvnode.objects.running.object_host import ObjectHost


class DictState:
    """
    A map in memory.

    Attributes:
        rows: What is in it.
        applied: How many entries were.
    """

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.applied = 0

    def get(self, key: bytes) -> bytes | None:
        """Return a value."""
        return self.rows.get(key)

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False, limit: int
    ) -> list[Row]:
        """Return rows of a range."""
        found = [
            row
            for row in sorted(self.rows.items(), reverse=reverse)
            if start <= row[0] and (end is None or row[0] < end)
        ]
        return found[:limit]

    @property
    def own(self) -> dict[bytes, bytes]:
        """Return what is in it but the history."""
        return {
            key: row for key, row in self.rows.items() if not key.startswith(b"\x03")
        }

    def put(self, key: bytes, value: bytes) -> None:
        """Put a value."""
        self.rows[key] = value

    def discard(self, key: bytes) -> None:
        """Remove a key."""
        self.rows.pop(key, None)

    def apply(self, data: bytes) -> None:
        """Do what the next entry says."""
        self.applied += 1
        perform(self, self.applied, decode_changes(data))


class FakeLog:
    """
    See kvnode.objects.running.log_port.ShardLog; one shard.

    Attributes:
        commits: Open while entries commit at once.
        applies: Whether they are applied at once, too.
        entries: All that was proposed and taken.
        refusal: What the next proposals get.
        leased: Whether this node has a lease.
        confirmed: How often it was asked to confirm.
        hurried: How often somebody waited for what is committed to show.
        is_lost: Whether the state cannot be read any more.
    """

    def __init__(self, host: ObjectHost) -> None:
        self.rows = DictState()
        self.commits = asyncio.Event()
        self.commits.set()
        self.applies = True
        self.entries: list[bytes] = []
        self.refusal: KvError | None = None
        self.loss: KvError | None = None
        self.leased = True
        self.confirmed = 0
        self.hurried = 0
        self.is_lost = False
        self._host = host
        self._applied = 0

    def propose(self, shard: str, data: bytes) -> "asyncio.Future[int]":
        """Take an entry; its number is there once it is committed."""
        if self.refusal is not None:
            return failed(self.refusal)
        self.entries.append(data)
        return asyncio.ensure_future(self._commit(shard, len(self.entries)))

    async def _commit(self, shard: str, number: int) -> int:
        await self.commits.wait()
        if self.loss is not None:
            raise self.loss
        if self.applies:
            self.apply(shard, number)
        return number

    def apply(self, shard: str, number: int) -> None:
        """Apply entries up to *number*."""
        for data in self.entries[self._applied : number]:
            self.rows.apply(data)
        self._applied = max(self._applied, number)
        self._host.applied(shard, number)

    async def confirm(self, shard: str) -> None:
        """Confirm, unless the lead is lost."""
        self.confirmed += 1
        if self.loss is not None:
            msg = f"this node does not lead {shard}"
            raise UnavailableError(msg)

    def has_lease(self, shard: str) -> bool:
        """Tell whether there is a lease."""
        return bool(shard) and self.leased

    def hurry(self, shard: str) -> None:
        """Note it."""
        assert shard
        self.hurried += 1

    def state(self, shard: str) -> DictState:
        """Return what was applied."""
        if self.is_lost:
            msg = f"the state of {shard} is not there"
            raise UnavailableError(msg)
        return self.rows
