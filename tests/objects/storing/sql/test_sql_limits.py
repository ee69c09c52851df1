"""How much an object may ask of its database at once."""

import pytest

from kvnode.errors import InvalidArgumentError, SqlError
from kvnode.objects.storing.sql import connection, page_file
from tests.objects.storing.sql.desk import Desk

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT '{'x' * 100_000}'",
        "SELECT zeroblob(2200001)",
        f"CREATE TABLE wide ({', '.join(f'c{n}' for n in range(101))})",
        f"SELECT {', '.join('?' * 101)}",
        f"SELECT 'x' LIKE '{'x' * 51}'",
        f"SELECT {'(' * 101}1{')' * 101} + {'+'.join('1' * 101)}",
        " UNION ".join(["SELECT 1"] * 6),
        f"SELECT max({', '.join('1' * 128)})",
    ],
)
def test_limits_are_those_of_cloudflare(desk: Desk, query: str) -> None:
    """What is beyond them fails and does no harm."""
    with pytest.raises(SqlError):
        desk.sql.exec(query)

    assert len(desk.rows("SELECT * FROM item")) == 3


def test_row_of_two_megabytes_fits(desk: Desk) -> None:
    """As it does there."""
    desk.sql.exec("UPDATE item SET name = ? WHERE id = 1", "x" * 2_000_000)
    desk.commit()
    desk.start()

    assert desk.rows("SELECT length(name) FROM item WHERE id = 1") == [(2_000_000,)]


def test_what_does_not_fit_a_cache_needs_no_other_file(desk: Desk) -> None:
    """What is sorted, and what may have to be undone, is in memory."""
    rows = f"{ENDLESS} SELECT x, hex(randomblob(2000)) AS hex FROM n LIMIT 500"
    with desk.sql.scope():
        desk.sql.exec(f"CREATE TABLE big AS {rows}")
        desk.sql.exec("CREATE UNIQUE INDEX once ON big (x)")
        with pytest.raises(SqlError, match="UNIQUE"):
            desk.sql.exec("UPDATE big SET x = x % 499, hex = hex || 'x'")
    ordered = "SELECT max(x) FROM (SELECT x FROM big ORDER BY random(), hex LIMIT 500)"

    assert desk.rows(ordered) == [(500,)]
    assert desk.rows("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("query", [f"{ENDLESS} SELECT count(*) FROM n", "write"])
def test_query_that_takes_too_long_is_ended(desk: Desk, query: str) -> None:
    """Nobody else could do anything meanwhile; and nothing of it happens."""
    if query == "write":
        query = f"INSERT INTO item (name) {ENDLESS} SELECT x FROM n"
    desk.tick = 0.1

    with pytest.raises(SqlError, match=r"run for 0\.5 s") as caught:
        desk.sql.exec(query)

    assert caught.value.code == "SQLITE_INTERRUPT"
    assert desk.now == pytest.approx(0.7)
    assert desk.rows("SELECT count(*) FROM item") == [(3,)]


def test_rows_of_a_query_are_limited(desk: Desk) -> None:
    """They are in memory at once; what was written by the query is undone."""
    many = f"{ENDLESS} SELECT zeroblob(1000000) FROM n LIMIT 20"
    with pytest.raises(InvalidArgumentError, match="LIMIT"):
        desk.sql.exec(many)
    desk.sql.exec(f"INSERT INTO item (price) {ENDLESS} SELECT x FROM n LIMIT 20")

    with pytest.raises(InvalidArgumentError, match="LIMIT"):
        desk.sql.exec("DELETE FROM item RETURNING zeroblob(1000000)")

    assert desk.rows("SELECT count(*) FROM item") == [(23,)]


def test_query_may_not_change_more_than_fits_an_entry(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told so, and the database is as it was."""
    monkeypatch.setattr(page_file, "PAGES_MAX", 300)  # more than SQLite caches
    large = "INSERT OR REPLACE INTO big VALUES (1, hex(randomblob(?)))"
    desk.sql.exec(f"CREATE TABLE big (id INTEGER PRIMARY KEY, body); {large}", 500_000)
    desk.commit()
    staged = desk.rows("SELECT * FROM big")
    for query in (large, f"DELETE FROM item; {large}"):
        with pytest.raises(InvalidArgumentError, match="change in one step"):
            desk.sql.exec(query, 700_000)
        assert desk.rows("SELECT * FROM big") == staged
        assert desk.rows("PRAGMA integrity_check") == [("ok",)]
    assert desk.rows("SELECT count(*) FROM item") == [(3,)]
    assert not desk.overlay.is_staging


def test_database_may_not_grow_without_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told so, and goes on as it was."""
    settings = [*connection._SETTINGS[:-1], "max_page_count = 100"]
    monkeypatch.setattr(connection, "_SETTINGS", settings)
    desk.sql.rest()

    with pytest.raises(SqlError, match="as many as it may"):
        desk.sql.exec("UPDATE item SET name = zeroblob(400000) WHERE id = 1")

    assert desk.rows("SELECT name FROM item WHERE id = 1") == [("a",)]
