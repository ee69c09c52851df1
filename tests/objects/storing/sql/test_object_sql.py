"""What an object may ask of its database, and what it is told."""

import pytest

from kvnode.core.objects.map_change import Change, ChangeKind, decode_changes
from kvnode.errors import (
    CorruptRecordError,
    InvalidArgumentError,
    KvError,
    OverloadedError,
    SqlError,
    UnavailableError,
)
from kvnode.objects.storing.sql import connection, page_file
from kvnode.objects.storing.sql.sql_cursor import SqlValue
from tests.objects.running.fake_log import DictState
from tests.objects.storing.sql.desk import BODY, PAGES, Desk

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"


@pytest.fixture(name="desk")
def desk_with_items() -> Desk:
    """A database with a table of three items."""
    desk = Desk()
    desk.sql.exec(
        "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE, price REAL);"
        "INSERT INTO item (name, price) VALUES ('a', 1.5), ('b', NULL), ('c', 3)"
    )
    return desk


# -- cursors -----------------------------------------------------------------------


def test_rows_are_dicts_in_the_order_of_the_query(desk: Desk) -> None:
    """And the columns have names even where there is no row."""
    cursor = desk.sql.exec("SELECT id, name FROM item WHERE id >= ? ORDER BY id", 2)
    none = desk.sql.exec("SELECT id, price AS cost FROM item WHERE id = ?", 9)

    assert cursor.column_names == ("id", "name")
    assert cursor.all() == [{"id": 2, "name": "b"}, {"id": 3, "name": "c"}]
    assert none.column_names == ("id", "cost")
    assert none.to_array() == []


def test_each_row_is_had_once(desk: Desk) -> None:
    """However it is asked for."""
    cursor = desk.sql.exec("SELECT id FROM item ORDER BY id")

    assert next(cursor) == {"id": 1}
    assert next(cursor.raw()) == (2,)
    assert cursor.one() == {"id": 3}
    assert list(cursor) == []


def test_raw_keeps_columns_of_one_name(desk: Desk) -> None:
    """A dict has room for one of them."""
    assert desk.rows("SELECT 1 AS x, 2 AS x") == [(1, 2)]


def test_cursor_does_not_see_what_is_written_later(desk: Desk) -> None:
    """It has read all when it is made."""
    cursor = desk.sql.exec("SELECT id FROM item")
    desk.sql.exec("DELETE FROM item")

    assert len(cursor.all()) == 3


@pytest.mark.parametrize(("condition", "left"), [("id > 9", 0), ("id > 1", 2)])
def test_one_is_for_exactly_one_row(desk: Desk, condition: str, left: int) -> None:
    """Anything else is told."""
    with pytest.raises(InvalidArgumentError, match=f"has {left} left"):
        desk.sql.exec(f"SELECT * FROM item WHERE {condition}").one()  # noqa: S608 -- of the test's


@pytest.mark.parametrize("value", [None, 7, -(2**63), 1.5, "täxt\0", b"\0\xff", b""])
def test_values_come_back_as_they_were_bound(desk: Desk, value: SqlValue) -> None:
    """With their types."""
    (found,) = desk.sql.exec("SELECT ?", value).raw()

    assert found == (value,)
    assert type(found[0]) is type(value)


def test_rows_are_counted(desk: Desk) -> None:
    """Those that were looked at for want of an index, and those that were changed."""
    through = desk.sql.exec("SELECT * FROM item WHERE price = 3")
    by_key = desk.sql.exec("SELECT * FROM item WHERE id = 3")
    changed = desk.sql.exec("UPDATE item SET price = 0 WHERE id < 3")

    assert (through.rows_read, through.rows_written) == (2, 0)
    assert (by_key.rows_read, by_key.rows_written) == (1, 0)
    assert changed.rows_written == 2


# -- queries -----------------------------------------------------------------------


def test_of_several_statements_the_last_one_answers(desk: Desk) -> None:
    """It alone has bindings; blanks and comments are no statements."""
    query = "INSERT INTO item (name) VALUES ('d;'); SELECT name FROM item WHERE id = ?;"

    assert desk.sql.exec(query + " ; -- all;\n", 4).one() == {"name": "d;"}
    with pytest.raises(InvalidArgumentError, match="only the last"):
        desk.sql.exec("DELETE FROM item WHERE id = ?; SELECT ?", 1, 2)
    assert len(desk.rows("SELECT * FROM item")) == 4


def test_trigger_is_one_statement(desk: Desk) -> None:
    """Whatever semicolons are in it."""
    desk.sql.exec(
        "CREATE TRIGGER twice AFTER INSERT ON item BEGIN"
        " UPDATE item SET price = 1; UPDATE item SET price = price * 2; END;"
        "INSERT INTO item (name) VALUES ('d')"
    )

    assert desk.rows("SELECT DISTINCT price FROM item") == [(2.0,)]


@pytest.mark.parametrize("query", ["", " ;; ", "-- nothing", "/* ; */ ;"])
def test_query_without_a_statement_is_refused(desk: Desk, query: str) -> None:
    """Rather than to do nothing."""
    with pytest.raises(InvalidArgumentError, match="no statement"):
        desk.sql.exec(query)


def test_query_happens_as_a_whole_or_not_at_all(desk: Desk) -> None:
    """Whether one statement of it fails or a row of one."""
    before = desk.rows("SELECT * FROM item")
    for query in (
        "DELETE FROM item; INSERT INTO nowhere VALUES (1)",
        "INSERT INTO item (name) VALUES ('x'), ('y'), ('a')",
        "DELETE FROM item; INSERT OR ROLLBACK INTO item VALUES (1,'x',1), (1,'y',1)",
    ):
        with pytest.raises(SqlError):
            desk.sql.exec(query)
        assert desk.rows("SELECT * FROM item") == before


def test_failure_names_its_reason(desk: Desk) -> None:
    """In SQLite's words, and by a name that code can compare."""
    with pytest.raises(SqlError, match="UNIQUE constraint failed: item.name") as caught:
        desk.sql.exec("INSERT INTO item (name) VALUES (?)", "a")

    assert caught.value.code == "SQLITE_CONSTRAINT_UNIQUE"


@pytest.mark.parametrize(
    "binding", [object(), {"a": 1}, 2**63, "\ud800", [1], lambda: 1]
)
def test_binding_of_another_kind_is_refused(desk: Desk, binding: SqlValue) -> None:
    """SQLite knows five kinds of values."""
    with pytest.raises(InvalidArgumentError, match="binding"):
        desk.sql.exec("SELECT ?", binding)


@pytest.mark.parametrize("bindings", [(), (1,), (1, 2, 3)])
def test_as_many_bindings_as_question_marks(
    desk: Desk, bindings: tuple[int, ...]
) -> None:
    """Fewer or more are a mistake."""
    with pytest.raises(SqlError, match="number of bindings"):
        desk.sql.exec("SELECT ?, ?", *bindings)


def test_text_that_is_none_is_told(desk: Desk) -> None:
    """Also if the query has written before; then none of that happens."""
    with pytest.raises(InvalidArgumentError, match="decode"):
        desk.sql.exec("DELETE FROM item RETURNING CAST(x'ff' AS TEXT)")

    assert len(desk.rows("SELECT * FROM item")) == 3


def test_foreign_keys_hold(desk: Desk) -> None:
    """SQLite has them off, other people's objects on."""
    desk.sql.exec("CREATE TABLE part (item INTEGER REFERENCES item (id))")

    with pytest.raises(SqlError, match="FOREIGN KEY"):
        desk.sql.exec("INSERT INTO part VALUES (9)")


def test_full_text_can_be_searched(desk: Desk) -> None:
    """Its tables are in the same pages."""
    desk.sql.exec(
        "CREATE VIRTUAL TABLE note USING fts5 (body);"
        "INSERT INTO note VALUES ('the quick fox'), ('a lazy dog')"
    )
    desk.commit()
    desk.start()

    assert desk.rows("SELECT body FROM note('lazy')") == [("a lazy dog",)]


def test_size_is_what_is_used(desk: Desk) -> None:
    """Pages that are free do not count; a new object has none."""
    assert Desk().sql.database_size == 0
    full = desk.sql.database_size
    desk.sql.exec("UPDATE item SET name = hex(randomblob(10000)) || id")

    assert desk.sql.database_size > full + 50_000
    desk.sql.exec("DROP TABLE item")
    assert desk.sql.database_size == 4096


# -- what is refused -----------------------------------------------------------------


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


def test_schema_cannot_be_written_to(desk: Desk) -> None:
    """It would be damage."""
    with pytest.raises(SqlError, match="may not be modified"):
        desk.sql.exec("DELETE FROM sqlite_schema")


# -- limits --------------------------------------------------------------------------


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


# -- what goes wrong -------------------------------------------------------------------


def test_changes_that_are_refused_do_not_show(desk: Desk) -> None:
    """The pages that SQLite had in memory are forgotten."""
    for query in ("DELETE FROM item", "DELETE FROM item; SELECT 1"):
        desk.refusal = OverloadedError("too much waits")
        with pytest.raises(OverloadedError):
            desk.sql.exec(query)
        assert len(desk.rows("SELECT * FROM item")) == 3


def test_state_that_cannot_be_read_is_told_as_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once it can be, all is as it was."""
    desk.commit()
    desk.start()
    gone: KvError = UnavailableError("the disk is gone")

    def get(_self: DictState, _key: bytes) -> bytes:
        raise gone

    with monkeypatch.context() as patch:
        patch.setattr(DictState, "get", get)
        with pytest.raises(UnavailableError, match="the disk is gone"):
            desk.sql.exec("SELECT * FROM item")
    assert len(desk.rows("SELECT * FROM item")) == 3


def test_damaged_page_is_told(desk: Desk) -> None:
    """It is nobody's mistake in a statement."""
    desk.commit()
    desk.state.rows[PAGES + bytes((0, 0, 0, 1))] = b"\xff" * 4096
    desk.start()
    with pytest.raises(CorruptRecordError, match="damaged"):
        desk.sql.exec("SELECT * FROM item")

    desk.state.rows[PAGES + bytes(4)] = b"\xff" * 4096
    desk.start()
    with pytest.raises(CorruptRecordError, match="damaged"):
        desk.sql.exec("SELECT * FROM item")


def test_nothing_runs_in_an_instance_that_has_ended(desk: Desk) -> None:
    """What it would read may not be so."""
    desk.sql.end(UnavailableError("it has ended"))

    assert len(desk.databases) == 0
    with pytest.raises(UnavailableError, match="it has ended"):
        desk.sql.exec("SELECT 1")


# -- what it costs ---------------------------------------------------------------------


def test_reading_stages_nothing(desk: Desk) -> None:
    """Neither does what fails, nor a change of nothing."""
    desk.commit()
    desk.rows("SELECT * FROM item")
    with pytest.raises(SqlError):
        desk.sql.exec("INSERT INTO item (id) VALUES (1)")
    desk.sql.exec("UPDATE item SET name = 'z' WHERE id = 9")

    assert not desk.overlay.is_staging


def test_small_insert_is_one_page_in_the_log(desk: Desk) -> None:
    """The head of the file changes once for a connection, not each time."""
    desk.sql.exec("CREATE TABLE log (at INTEGER PRIMARY KEY, what TEXT)")
    desk.sql.exec("CREATE TABLE last (x)")  # it is not the file's last page
    desk.sql.exec("INSERT INTO log (what) VALUES ('first')")
    desk.commit()
    for _ in range(3):
        desk.sql.exec("INSERT INTO log (what) VALUES ('something')")
        desk.commit()

        (change,) = decode_changes(desk.entries[-1])
        assert change.kind is ChangeKind.PUT
        assert len(desk.entries[-1]) < 4096 + 50


def test_pages_of_one_object_are_under_its_prefix(desk: Desk) -> None:
    """Where whatever deletes all of it finds them."""
    desk.commit()

    assert all(key.startswith(PAGES) for key in desk.state.rows)
    desk.overlay.stage([Change(ChangeKind.DELETE_PREFIX, PAGES)])
    desk.sql.rest()
    assert desk.sql.database_size == 0
    assert BODY in PAGES
