"""
What a query of an object takes, beside a plain SQLite database in memory.

    python -m tests.benchmarks.object_sql

Processor time of the fastest of some rounds, since other programs only ever add to it.
Both run one statement at a time, each a transaction of its own; ours makes an entry of
the log after each and applies it to a map in memory, so neither disks nor networks are
in it.  The budget is 100 us for a small query: a call of an object takes about ten
times that, so that SQL is as good as keys.  Log bytes are those of one entry, after
some thousand.
"""

import sqlite3
from collections.abc import Callable
from itertools import count
from time import process_time_ns
from timeit import repeat

from rich.console import Console
from rich.table import Table

from tests.objects.storing.sql.desk import Desk

ROUNDS = 7
CALLS = 2000
ROWS = 5000

SCHEMA = "CREATE TABLE {} (id INTEGER PRIMARY KEY, name TEXT, price REAL)"
INSERT = "INSERT INTO {} (name, price) VALUES (?, ?)"
CASES = {
    "SELECT by key": "SELECT name, price FROM plain WHERE id = ?",
    "SELECT of 100 rows": "SELECT name, price FROM plain WHERE id > ? LIMIT 100",
    "INSERT": INSERT.format("plain"),
    "INSERT, one index": INSERT.format("named"),
    "UPDATE by key": "UPDATE plain SET price = price + 1 WHERE id = ?",
}

Execute = Callable[..., object]


def nanoseconds(call: Callable[[], object]) -> int:
    """Return what a call takes at best."""
    return round(
        min(repeat(call, timer=process_time_ns, number=CALLS, repeat=ROUNDS)) / CALLS
    )


def fill(execute: Execute) -> None:
    """Make the tables of all cases."""
    for table in ("plain", "named"):
        execute(SCHEMA.format(table))
        for number in range(ROWS):
            execute(INSERT.format(table), *bindings(INSERT, number))
    execute("CREATE INDEX names ON named (name)")


def bindings(query: str, number: int) -> tuple[str | int | float, ...]:
    """Return what a query is asked with the next time."""
    if query.startswith("INSERT"):
        return f"user {number * 7919 % 1_000_003}", number / 7
    return (number * 7919 % ROWS + 1,)


def cost(execute: Execute, query: str) -> int:
    """Return what a query takes, each time with other bindings."""
    numbers = count(ROWS)
    return nanoseconds(lambda: execute(query, *bindings(query, next(numbers))))


def main() -> None:
    """Print a row for each case."""
    desk = Desk()
    plain = sqlite3.connect(":memory:", isolation_level=None)

    def ours(query: str, *values: str | float) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = list(desk.sql.exec(query, *values).raw())
        desk.commit()
        return found

    def theirs(query: str, *values: str | float) -> list[tuple[object, ...]]:
        return plain.execute(query, values).fetchall()

    def opened(query: str, *values: str | float) -> None:
        desk.sql.rest()
        ours(query, *values)

    fill(ours)
    fill(theirs)
    table = Table("query", "an object's, us", "plain, us", "ratio", "log bytes")
    for name, query in CASES.items():
        entries = len(desk.entries)
        here, there = cost(ours, query), cost(theirs, query)
        written = desk.entries[entries:]
        table.add_row(
            name,
            f"{here / 1000:.1f}",
            f"{there / 1000:.1f}",
            f"{here / there:.1f}",
            f"{sum(map(len, written)) / max(1, len(written)):.0f}",
        )
        assert ours(query, *bindings(query, 1)) == theirs(query, *bindings(query, 1))
    anew = cost(opened, CASES["SELECT by key"])
    table.add_row("SELECT by key, opened anew", f"{anew / 1000:.1f}", "", "", "")
    Console().print(table)
    assert desk.rows("PRAGMA integrity_check") == [("ok",)], "nothing was damaged"


if __name__ == "__main__":
    main()
