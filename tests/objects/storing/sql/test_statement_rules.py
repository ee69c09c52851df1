"""What an object may not do with its database, and what it is told instead."""

import pytest

from kvnode.errors import InvalidArgumentError, SqlError
from tests.objects.storing.sql.desk import Desk


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("BEGIN", "storage.transaction"),
        ("begin immediate", "storage.transaction"),
        ("COMMIT", "storage.transaction"),
        ("END", "storage.transaction"),
        ("ROLLBACK", "storage.transaction"),
        ("SAVEPOINT kvnode", "storage.transaction"),
        ("RELEASE kvnode", "storage.transaction"),
        ("ROLLBACK TO kvnode", "storage.transaction"),
        ("SELECT 1; COMMIT", "storage.transaction"),
        ("ATTACH ':memory:' AS other", "one database"),
        ("DETACH main", "one database"),
        ("VACUUM", "one database"),
        ("VACUUM INTO '/tmp/copy'", "one database"),
        ("CREATE TEMP TABLE t (x)", "plain one"),
        ("CREATE TEMP VIEW v AS SELECT 1", "plain one"),
        ("PRAGMA journal_mode = WAL", "journal_mode"),
        ("PRAGMA synchronous = OFF", "synchronous"),
        ("PRAGMA locking_mode = NORMAL", "locking_mode"),
        ("PRAGMA foreign_keys = OFF", "not set"),
        ("PRAGMA page_size = 512", "not set"),
        ("PRAGMA schema_version = 1", "not set"),
        ("PRAGMA encoding = 'UTF-16'", "not set"),
        ("PRAGMA writable_schema = ON", "writable_schema"),
        ("PRAGMA auto_vacuum = FULL", "auto_vacuum"),
        ("PRAGMA max_page_count = 1000000", "max_page_count"),
        ("SELECT * FROM pragma_journal_mode", "journal_mode"),
        ("SELECT load_extension('libm')", "extensions"),
        ("CREATE VIRTUAL TABLE b USING rtree (a, b, c)", "fts5"),
    ],
)
def test_statement_that_goes_round_the_log_is_refused(
    desk: Desk, query: str, why: str
) -> None:
    """And what to do instead is told; also within a transaction."""
    with pytest.raises(InvalidArgumentError, match=why):
        desk.sql.exec(query)
    with desk.sql.scope():
        desk.sql.exec("DELETE FROM item")
        with pytest.raises((InvalidArgumentError, SqlError)):
            desk.sql.exec(query)
        assert desk.rows("SELECT count(*) FROM item") == [(0,)]
    assert desk.rows("PRAGMA integrity_check") == [("ok",)]


def test_pragmas_that_ask_are_answered(desk: Desk) -> None:
    """And the number that is a user's own is kept with the data."""
    desk.sql.exec("PRAGMA user_version = 7")
    desk.commit()
    desk.start()

    assert desk.rows("PRAGMA user_version") == [(7,)]
    assert desk.rows("PRAGMA page_size") == [(4096,)]
    columns = "SELECT name FROM pragma_table_info('item')"
    assert desk.rows(columns) == [("id",), ("name",), ("price",)]


@pytest.mark.parametrize("table", ["sqlite_schema", "note_data"])
def test_tables_that_hold_others_cannot_be_written_to(desk: Desk, table: str) -> None:
    """It would be damage."""
    desk.sql.exec("CREATE VIRTUAL TABLE note USING fts5 (body)")

    with pytest.raises(SqlError, match="may not be modified"):
        desk.sql.exec(f"DELETE FROM {table}")


@pytest.mark.parametrize(
    "query",
    [
        "CREATE TABLE copy AS SELECT * FROM item; DROP TABLE copy",
        "ALTER TABLE item RENAME COLUMN price TO cost",
        "ALTER TABLE item RENAME TO article",
        "ALTER TABLE item ADD COLUMN twice AS (price * 2)",
        "ALTER TABLE item DROP COLUMN price",
        "CREATE TABLE pair (a INT, b INT, PRIMARY KEY (a, b)) WITHOUT ROWID, STRICT",
        "CREATE VIEW cheap AS SELECT * FROM item WHERE price < 2",
        "ANALYZE; PRAGMA optimize; REINDEX",
        "SELECT json_extract('{\"a\": [1]}', '$.a[0]'), unixepoch(), random()",
        "SELECT name, row_number() OVER (ORDER BY price) FROM item",
        "EXPLAIN QUERY PLAN SELECT * FROM item",
        "PRAGMA defer_foreign_keys = ON; PRAGMA foreign_key_check",
    ],
)
def test_what_stays_in_the_file_runs(desk: Desk, query: str) -> None:
    """And is there when the database is opened anew."""
    desk.sql.exec(query)
    schema = desk.rows("SELECT * FROM sqlite_schema")
    desk.commit()
    desk.start()

    assert desk.rows("SELECT * FROM sqlite_schema") == schema
    assert desk.rows("PRAGMA integrity_check") == [("ok",)]
