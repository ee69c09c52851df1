"""
An object's database beside an ordinary one, through everything that can happen to it.

Both are asked the same.  Ours is closed and opened, its changes are refused, and now
and then it loses all that was not yet taken as an entry, as an object does that is
reset; then the other goes back to where that entry was taken.  In the end the log
alone, from its beginning, makes the same database again.  A key is written with each
change: it says which one was the last, and must always fit the database.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Final

from kvnode.core.objects.map_change import Change, ChangeKind
from kvnode.errors import KvError, OverloadedError, SqlError
from tests.objects.running.fake_log import DictState
from tests.objects.storing.sql.desk import PAGES, Desk, file_of

STEPS: Final = 60
LAST: Final = b"last"
"""The key that says how many changes there were."""

TABLES: Final = ("a", "b")


class _Undone(Exception):  # noqa: N818 -- it is no error
    """A transaction is undone on purpose."""


class SqlHistory:
    """One run of a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.desk = Desk()
        self.twin = _plain(b"")
        self.saved = b""  # the twin as of the last entry
        self.troubles: list[str] = []

    def run(self) -> list[str]:
        """Return what was wrong."""
        self._both("CREATE TABLE last (number INTEGER); INSERT INTO last VALUES (0)")
        self._commit()
        for _ in range(STEPS):
            self.rng.choice(_STEPS)(self)
        self._commit()
        self._compare()
        self._replay()
        return self.troubles

    # -- steps ---------------------------------------------------------------------

    def change(self) -> None:
        """Run a statement or several, which may fail."""
        self._both(self._query())
        self._count()

    def transaction(self) -> None:
        """Run some, with others within them, which may be undone."""
        with suppress(_Undone):
            self._nested(2)
        self._count()

    def refuse(self) -> None:
        """Let changes be refused: nothing of them has happened."""
        self.desk.refusal = OverloadedError("no room")
        in_scope = self.rng.random() < 0.5
        query = "UPDATE last SET number = 9"
        with suppress(OverloadedError, SqlError):
            if in_scope:
                with self.desk.sql.scope():
                    self.desk.sql.exec(f"{query}; {self._query()}")
            else:
                self.desk.sql.exec(query)
        self.desk.refusal = None
        self._compare()

    def close(self) -> None:
        """Close the connection, as if others needed the room."""
        self.desk.sql.rest()

    def forget(self) -> None:
        """Delete everything."""
        if self.rng.random() < 0.3:
            clear = Change(ChangeKind.DELETE_PREFIX, PAGES)
            self.desk.overlay.stage([clear, Change(ChangeKind.DELETE, LAST)])
            self.desk.sql.rest()
            self.twin = _plain(b"")
            self._both("CREATE TABLE last (number INTEGER)")
            self._both("INSERT INTO last VALUES (0)")
            self._count()

    def commit(self) -> None:
        """Make an entry of what is staged."""
        self._commit()

    def reset(self) -> None:
        """Lose what is in no entry; half of the time the log makes the state anew."""
        if self.rng.random() < 0.5:
            self.desk.state.rows = self._replayed().rows
        self.desk.start()
        self.twin = _plain(self.saved)
        self._compare()

    def compare(self) -> None:
        """Look at all that is there."""
        self._compare()

    # -- how -----------------------------------------------------------------------

    def _query(self) -> str:
        """Draw a query; a third of them fail where the table or the row is not so."""
        rng, table = self.rng, self.rng.choice(TABLES)
        row = f"{rng.randrange(30)}, {rng.randrange(9)}, '{_text(rng)}'"
        where = f"id >= {rng.randrange(30)} AND id < {rng.randrange(30)}"
        query = rng.choice(
            [
                f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY, n, s)",
                f"CREATE UNIQUE INDEX IF NOT EXISTS {table}_n ON {table} (n)",
                f"CREATE INDEX IF NOT EXISTS {table}_s ON {table} (s)",
                f"DROP INDEX IF EXISTS {table}_n",
                f"DROP TABLE {table}" if rng.random() < 0.3 else "SELECT 1",
                f"INSERT INTO {table} VALUES ({row})",
                f"INSERT OR REPLACE INTO {table} VALUES ({row})",
                f"INSERT OR IGNORE INTO {table} SELECT id + 7, n, s FROM {table}",
                f"INSERT INTO {table} SELECT id + 3, n + 1, s FROM {table}",
                f"UPDATE {table} SET s = s || '{_text(rng)}' WHERE {where}",
                f"UPDATE {table} SET n = n + 1, id = id + 1 WHERE {where}",
                f"DELETE FROM {table} WHERE {where}",
            ]
        )
        return query if rng.random() < 0.8 else f"{query}; {self._query()}"

    def _both(self, query: str) -> None:
        """Run a query here and there, as a whole or not at all."""
        ours = theirs = ""
        try:
            self.desk.sql.exec(query)
        except SqlError as error:
            ours = str(error)
        self.twin.execute("SAVEPOINT query")
        try:
            for statement in query.split("; "):
                self.twin.execute(statement).fetchall()
        except sqlite3.Error as error:
            theirs = str(error)
            self.twin.execute("ROLLBACK TO query")
        self.twin.execute("RELEASE query")
        if bool(ours) != bool(theirs):
            self.troubles.append(f"{query}: {ours or 'done'} / {theirs or 'done'}")

    def _nested(self, depth: int) -> None:
        self.twin.execute("SAVEPOINT scope")
        try:
            with self.desk.sql.scope():
                self._work(depth)
        except _Undone:
            self.twin.execute("ROLLBACK TO scope")
            raise
        finally:
            self.twin.execute("RELEASE scope")

    def _work(self, depth: int) -> None:
        """Do what is in a transaction; half of them are undone."""
        for _ in range(self.rng.randrange(4)):
            self._both(self._query())
            if depth and self.rng.random() < 0.3:
                with suppress(_Undone):
                    self._nested(depth - 1)
        if self.rng.random() < 0.5:
            raise _Undone

    def _count(self) -> None:
        """Change a row and a key in one step."""
        self._both("UPDATE last SET number = number + 1")
        (number,) = self.twin.execute("SELECT number FROM last").fetchone()
        key = Change(ChangeKind.PUT, LAST, str(number).encode())
        self.desk.overlay.stage([key])

    def _commit(self) -> None:
        self.desk.commit()
        self.saved = self.twin.serialize()

    # -- what must be so -------------------------------------------------------------

    def _compare(self) -> None:
        here = _content(self.desk.rows)
        there = _content(lambda query: self.twin.execute(query).fetchall())
        if here != there:
            self.troubles.append(f"here {here}, there {there}")
        counted = self.desk.overlay.get(LAST) or b"0"
        if self.desk.rows("SELECT number FROM last") != [(int(counted),)]:
            self.troubles.append(f"the key says {counted!r}")
        if (check := self.desk.rows("PRAGMA integrity_check")) != [("ok",)]:
            self.troubles.append(str(check))

    def _replayed(self) -> DictState:
        state = DictState()
        for entry in self.desk.entries:
            state.apply(entry)
        return state

    def _replay(self) -> None:
        """The log alone makes a file that any SQLite reads, at every entry of it."""
        state = DictState()
        for entry in self.desk.entries:
            state.apply(entry)
            made = _plain(file_of(state))
            if made.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                self.troubles.append("an entry makes a damaged file")
            (number,) = made.execute("SELECT number FROM last").fetchone()
            if str(number).encode() != state.rows.get(LAST, b"0"):
                self.troubles.append("an entry holds half of a step")
        last = _plain(file_of(state))
        if list(last.iterdump()) != list(self.twin.iterdump()):
            self.troubles.append("the log makes another database")


_STEPS: Final[tuple[Callable[[SqlHistory], None], ...]] = (
    *(SqlHistory.change,) * 5,
    *(SqlHistory.transaction,) * 2,
    *(SqlHistory.commit,) * 2,
    SqlHistory.refuse,
    SqlHistory.close,
    SqlHistory.forget,
    SqlHistory.reset,
    SqlHistory.compare,
)


def _plain(data: bytes) -> sqlite3.Connection:
    """Return an ordinary database in memory."""
    made = sqlite3.connect(":memory:", isolation_level=None)
    if data:
        made.deserialize(data)
    return made


def _content(
    ask: Callable[[str], list[tuple[object, ...]]],
) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables."""
    tables = ask("SELECT name, sql FROM sqlite_schema ORDER BY name, sql")
    return {"schema": tables} | {
        str(name): ask(f"SELECT * FROM {name} ORDER BY 1")
        for name, sql in tables
        if str(sql).startswith("CREATE TABLE")
    }


def _text(rng: Random) -> str:
    """Return a text, rarely one of several pages."""
    return "x" * rng.choice([0, 3, 40, 900, 9000])


def noticed(seed: int) -> bool:
    """Tell whether a seed shows that something is wrong."""
    try:
        return bool(SqlHistory(seed).run())
    except (AssertionError, KvError, sqlite3.Error):
        return True  # the code itself has noticed, or the file is none
