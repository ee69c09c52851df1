"""Transactions: what happens together, and what is left if one fails."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kvnode.core.objects.map_change import Change, ChangeKind, decode_changes
from kvnode.errors import (
    InvalidArgumentError,
    OverloadedError,
    SqlError,
    UnavailableError,
)
from kvnode.objects.storing.sql.object_sql import DEPTH_MAX
from tests.objects.storing.sql.desk import PAGES, Desk

COUNT = "SELECT count(*) FROM item"
FILL = "INSERT INTO item (name) VALUES (hex(randomblob(400000)) || ?)"


class Enough(Exception):  # noqa: N818 -- it is no error
    """What a test raises in the midst of something."""


@contextmanager
def failing() -> Iterator[None]:
    """Within it something fails."""
    with pytest.raises(Enough):
        yield


def test_scope_is_stored_at_its_end_as_one(desk: Desk) -> None:
    """Before, nothing of it is staged, though it is seen."""
    desk.commit()
    with desk.sql.scope():
        desk.sql.exec("DELETE FROM item WHERE id = 1")
        desk.sql.exec("INSERT INTO item (name) VALUES ('d'), ('e')")
        assert desk.rows(COUNT) == [(4,)]
        assert not desk.overlay.is_staging
    desk.commit()
    desk.start()

    assert desk.rows(COUNT) == [(4,)]


def test_scope_that_fails_leaves_nothing(desk: Desk) -> None:
    """Neither in the connection nor in what is staged."""
    desk.commit()
    with failing(), desk.sql.scope():
        desk.sql.exec("CREATE TABLE other (x); DELETE FROM item")
        desk.sql.exec(FILL, "x")
        raise Enough

    assert desk.rows(COUNT) == [(3,)]
    assert not desk.overlay.is_staging
    with pytest.raises(SqlError, match="no such table"):
        desk.sql.exec("SELECT * FROM other")


def test_scope_within_another_fails_by_itself(desk: Desk) -> None:
    """What was done around it is stored."""
    with desk.sql.scope():
        desk.sql.exec("DELETE FROM item WHERE id = 1")
        with failing(), desk.sql.scope():
            desk.sql.exec("DELETE FROM item WHERE id = 2")
            raise Enough
        with desk.sql.scope():
            desk.sql.exec("DELETE FROM item WHERE id = 3")
    desk.commit()
    desk.start()

    assert desk.rows("SELECT id FROM item") == [(2,)]


def test_scope_around_takes_with_it_what_has_ended(desk: Desk) -> None:
    """A transaction within another is not stored before that is."""
    with failing(), desk.sql.scope():
        with desk.sql.scope():
            desk.sql.exec("DELETE FROM item")
        raise Enough

    assert desk.rows(COUNT) == [(3,)]


def test_statement_that_fails_within_a_scope_is_undone_alone(desk: Desk) -> None:
    """The scope goes on."""
    with desk.sql.scope():
        desk.sql.exec("DELETE FROM item WHERE id = 1")
        for query in (
            "INSERT INTO item (name) VALUES ('x'), ('b')",
            "DELETE FROM item; SELECT nothing",
        ):
            with pytest.raises(SqlError):
                desk.sql.exec(query)

    assert desk.rows("SELECT name FROM item") == [("b",), ("c",)]


@pytest.mark.parametrize(
    "query",
    [
        "INSERT OR ROLLBACK INTO item (name) VALUES ('b')",
        "DELETE FROM item RETURNING CAST(x'ff' AS TEXT)",
    ],
)
def test_scope_that_was_undone_goes_on_no_more(desk: Desk, query: str) -> None:
    """Code that goes on all the same is told, at the latest at the end."""

    def inner() -> None:
        with desk.sql.scope():
            with pytest.raises((SqlError, InvalidArgumentError)):
                desk.sql.exec(query)
            desk.sql.exec("INSERT INTO item (name) VALUES ('lost')")

    def outer() -> None:
        with desk.sql.scope():
            desk.sql.exec("DELETE FROM item WHERE id = 1")
            with pytest.raises(SqlError, match="undone as a whole"):
                inner()
            with pytest.raises(SqlError, match="undone as a whole"):
                desk.sql.exec("SELECT 1")

    with pytest.raises(SqlError, match="undone as a whole") as caught:
        outer()

    assert caught.value.code == "SQLITE_ABORT_ROLLBACK"
    assert desk.rows(COUNT) == [(3,)]


def test_scope_may_not_change_more_than_fits_an_entry(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether that shows in the midst of it or when it ends."""
    monkeypatch.setattr("kvnode.objects.storing.sql.page_file.PAGES_MAX", 100)

    def fill(each_bytes: int) -> None:
        with desk.sql.scope():
            for _ in range(20):
                desk.sql.exec(
                    "INSERT INTO item (price) VALUES (zeroblob(?))", each_bytes
                )

    for each_bytes in (40_000, 100_000):  # it fits SQLite's cache, or does not
        with pytest.raises((InvalidArgumentError, SqlError), match="one step"):
            fill(each_bytes)
        assert desk.rows(COUNT) == [(3,)]
        assert desk.rows("PRAGMA integrity_check") == [("ok",)]


def test_scope_that_breaks_a_deferred_key_is_told_so_at_its_end(desk: Desk) -> None:
    """Whatever else was refused within it; nothing of it is stored."""
    desk.sql.exec("CREATE TABLE part (item INTEGER REFERENCES item (id))")

    def break_it() -> None:
        with desk.sql.scope():
            desk.sql.exec("PRAGMA defer_foreign_keys = ON")
            desk.sql.exec("INSERT INTO part VALUES (9)")
            with pytest.raises(InvalidArgumentError, match="not for exec"):
                desk.sql.exec("BEGIN")

    with pytest.raises(SqlError, match="FOREIGN KEY"):
        break_it()
    assert desk.rows("SELECT * FROM part") == []


def test_scope_in_which_there_was_no_room_goes_on_no_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite undoes all of it when it cannot write."""
    monkeypatch.setattr("kvnode.objects.storing.sql.page_file.PAGES_MAX", 100)

    def go_on() -> None:
        with desk.sql.scope():
            desk.sql.exec("DELETE FROM item WHERE id = 1")
            with pytest.raises(InvalidArgumentError, match="one step"):
                desk.sql.exec("INSERT INTO item (price) VALUES (zeroblob(2000000))")

    with pytest.raises(SqlError, match="undone as a whole"):
        go_on()
    assert desk.rows(COUNT) == [(3,)]


def test_scope_that_is_refused_leaves_nothing(desk: Desk) -> None:
    """The pages that SQLite has of it are forgotten."""
    desk.refusal = OverloadedError("too much waits")

    with pytest.raises(OverloadedError), desk.sql.scope():
        desk.sql.exec("DELETE FROM item")

    assert desk.rows(COUNT) == [(3,)]


def test_pages_come_with_the_keys_of_the_same_transaction(desk: Desk) -> None:
    """In one call, and also where there is none of one kind."""
    staged: list[list[Change]] = []
    key = Change(ChangeKind.PUT, b"key", b"value")

    def stage(pages: object) -> None:
        staged.append([key, *pages])  # type: ignore[misc]
        desk.overlay.stage(staged[-1])

    with desk.sql.scope(stage):
        desk.sql.exec("DELETE FROM item WHERE id = 1")
    with desk.sql.scope(stage):
        desk.rows(COUNT)
    with desk.sql.scope(stage):
        pass

    assert [len(changes) > 1 for changes in staged] == [True, False, False]
    desk.commit()
    written = {change.key for change in decode_changes(desk.entries[-1])}
    assert b"key" in written
    assert any(each.startswith(PAGES) for each in written)


def test_scope_that_is_rolled_back_stages_nothing(desk: Desk) -> None:
    """As if it had failed, but nobody is told."""

    def stage(pages: object) -> None:
        pytest.fail(f"staged: {pages}")

    with desk.sql.scope(stage) as scope:
        desk.sql.exec("DELETE FROM item")
        scope.is_undone = True

    assert desk.rows(COUNT) == [(3,)]


def test_sql_belongs_to_one_transaction_with_keys(desk: Desk) -> None:
    """One within it stores its keys by itself: what SQL it did could come undone."""

    def stage(_pages: object) -> None:
        pass

    with (
        desk.sql.scope(stage),
        pytest.raises(InvalidArgumentError, match="within another"),
        desk.sql.scope(stage),
    ):
        desk.sql.exec("SELECT 1")


def test_scopes_within_each_other_are_limited(desk: Desk) -> None:
    """And once they are over there is room again."""

    def nested(depth: int) -> None:
        with desk.sql.scope():
            desk.sql.exec("SELECT 1")
            if depth:
                nested(depth - 1)

    nested(DEPTH_MAX - 1)
    with pytest.raises(InvalidArgumentError, match="within each other"):
        nested(DEPTH_MAX)
    nested(DEPTH_MAX - 1)


def test_instance_that_ends_within_a_scope_stores_nothing(desk: Desk) -> None:
    """Its code may go on; it is told."""

    def end() -> None:
        with desk.sql.scope():
            desk.sql.exec("DELETE FROM item")
            desk.sql.end(UnavailableError("it has ended"))

    with pytest.raises(UnavailableError, match="it has ended"):
        end()
    desk.start()

    assert len(desk.databases) == 0
    assert not desk.overlay.is_staging


def test_statement_of_ours_cannot_be_had_from_the_cache(desk: Desk) -> None:
    """A savepoint that was compiled for a scope is refused to the object."""
    with desk.sql.scope():
        desk.sql.exec("SELECT 1")
        for query in ("SAVEPOINT kvnode", "RELEASE kvnode", "ROLLBACK TO kvnode"):
            with pytest.raises(InvalidArgumentError, match="not for exec"):
                desk.sql.exec(query)
