"""A database over an overlay, as an object has it, without the object."""

from collections.abc import Sequence

from kvnode.core.objects.map_change import Change, encode_changes
from kvnode.errors import KvError
from kvnode.objects.storing.keys import Kind, object_prefix
from kvnode.objects.storing.overlay import Overlay
from kvnode.objects.storing.sql.object_sql import ObjectSql
from kvnode.objects.storing.sql.open_databases import OpenDatabases
from tests.objects.running.fake_log import DictState

BODY = b"b" * 24
PAGES = object_prefix(BODY, Kind.SQL_PAGE)


class Desk:
    """
    An object's database, and what it is on.

    Attributes:
        entries: What was taken to be committed.
        refusal: What the next changes get.
        now: In seconds.
        tick: By how much the time goes on whenever it is looked at.
    """

    def __init__(self, state: DictState | None = None) -> None:
        self.state = state or DictState()
        self.entries: list[bytes] = []
        self.refusal: KvError | None = None
        self.now, self.tick = 0.0, 0.0
        self.databases = OpenDatabases()
        self.overlay = Overlay(self.state)
        self.sql = self._made()

    def start(self) -> None:
        """Begin with what the state shows: nothing that was staged is left."""
        self.sql.rest()
        self.overlay = Overlay(self.state)
        self.sql = self._made()

    def _made(self) -> ObjectSql:
        return ObjectSql(
            self.overlay,
            BODY,
            stage=self.stage,
            databases=self.databases,
            clock=self.clock,
        )

    def clock(self) -> float:
        """Return the time, which goes on by that."""
        self.now += self.tick
        return self.now

    def stage(self, changes: Sequence[Change]) -> None:
        """Take changes in, or refuse them."""
        if not changes:
            return
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            raise refusal
        self.overlay.stage(changes)

    def commit(self) -> None:
        """Take what is staged as an entry, and apply it."""
        if self.overlay.is_staging:
            number, changes = self.overlay.take()
            self.entries.append(encode_changes(changes))
            self.state.apply(self.entries[-1])
            self.overlay.settle(number)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return what a query answers."""
        return list(self.sql.exec(query).raw())


def file_of(state: DictState) -> bytes:
    """Return the database that rows of a state are."""
    numbers = {
        int.from_bytes(key.removeprefix(PAGES), "big"): value
        for key, value in state.rows.items()
        if key.startswith(PAGES)
    }
    count = max(numbers, default=-1) + 1
    return b"".join(numbers.get(number, bytes(4096)) for number in range(count))
