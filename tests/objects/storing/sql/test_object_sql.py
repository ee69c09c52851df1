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
from kvnode.objects.storing.sql.sql_cursor import SqlValue
from tests.objects.running.fake_log import DictState
from tests.objects.storing.sql.desk import BODY, PAGES, Desk

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
        desk.sql.exec(f"SELECT * FROM item WHERE {condition}").one()


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
    with pytest.raises(SqlError, match=r"UNIQUE .* item\.name") as caught:
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

    def fail() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(DictState, "get", get)
            with pytest.raises(UnavailableError, match="the disk is gone"):
                desk.sql.exec("SELECT * FROM item")

    def fail_in_scope() -> None:
        with desk.sql.scope():
            desk.sql.exec("PRAGMA user_version = 7")
            fail()

    fail()
    desk.sql.exec("SELECT 1")
    fail()
    assert len(desk.databases) == 0
    with pytest.raises(SqlError, match="undone as a whole"):
        fail_in_scope()
    assert desk.rows("PRAGMA user_version") == [(0,)]
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
