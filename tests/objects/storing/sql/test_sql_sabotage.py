"""Databases with one thing wrong: the judge of `sql_histories` notices each."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from kvnode.core.objects.map_change import Change
from kvnode.core.objects.state_reader import StateReader
from kvnode.objects.storing.overlay import Overlay
from kvnode.objects.storing.sql.object_sql import ObjectSql, SqlScope, Stage
from kvnode.objects.storing.sql.page_file import PageFile
from kvnode.objects.storing.sql.sql_cursor import SqlCursor
from tests.objects.storing.sql.desk import Desk
from tests.objects.storing.sql.sql_histories import noticed

SEEDS = 40

Break = Callable[[pytest.MonkeyPatch], None]


def pages_are_cached_after_a_rollback(patch: pytest.MonkeyPatch) -> None:
    """The connection goes on with what a transaction that failed has written."""

    def undo(self: ObjectSql, scope: SqlScope) -> None:
        if scope.is_begun and self._connection is not None:
            self._connection.control("RELEASE kvnode")

    patch.setattr(ObjectSql, "_undo", undo)


def pages_are_cached_after_a_refusal(patch: pytest.MonkeyPatch) -> None:
    """The connection goes on with what could not be staged."""

    def settle(self: ObjectSql, stage: Stage) -> None:
        assert self._pages is not None
        changes = self._pages.changes()
        self._pages.taken()
        stage(changes)

    patch.setattr(ObjectSql, "_settle", settle)


def connection_outlives_what_it_has_read(patch: pytest.MonkeyPatch) -> None:
    """It is not closed when everything is deleted, or its changes are refused."""
    rest_of = ObjectSql.rest

    def rest(self: ObjectSql) -> None:
        if self._scopes:
            rest_of(self)

    patch.setattr(ObjectSql, "rest", rest)


def pages_are_read_past_what_is_staged(patch: pytest.MonkeyPatch) -> None:
    """A connection that is opened again sees the state alone."""
    begin = PageFile.__init__

    def init(self: PageFile, below: StateReader, body: bytes) -> None:
        begin(self, cast("Overlay", below)._below, body)

    patch.setattr(PageFile, "__init__", init)


def statements_of_a_query_happen_one_by_one(patch: pytest.MonkeyPatch) -> None:
    """One that fails leaves those before it."""
    exec_of = ObjectSql.exec

    def execute(self: ObjectSql, query: str) -> SqlCursor:
        *first, last = query.split("; ")
        for statement in first:
            exec_of(self, statement)
        return exec_of(self, last)

    patch.setattr(ObjectSql, "exec", execute)


def transaction_is_staged_query_by_query(patch: pytest.MonkeyPatch) -> None:
    """What is undone later has been staged."""
    patch.setattr(ObjectSql, "_begun", ObjectSql._opened)
    run_of = ObjectSql._run

    def run(self: ObjectSql, query: str, bindings: tuple[Any, ...]) -> SqlCursor:
        cursor = run_of(self, query, bindings)
        self._settle(self._stage)
        return cursor

    patch.setattr(ObjectSql, "_run", run)


def pages_are_entries_of_their_own(patch: pytest.MonkeyPatch) -> None:
    """What one query has changed is in several."""

    def stage(self: Desk, changes: Sequence[Change]) -> None:
        for change in changes:
            self.overlay.stage([change])
            self.commit()

    patch.setattr(Desk, "stage", stage)


def last_page_is_lost(patch: pytest.MonkeyPatch) -> None:
    """Of those that a query has changed."""
    changes_of = PageFile.changes
    patch.setattr(PageFile, "changes", lambda self: changes_of(self)[:1])


def pages_are_taken_before_they_are_all_written(patch: pytest.MonkeyPatch) -> None:
    """The file is thought to be as long as it was."""

    def taken(self: PageFile) -> None:
        self._written.clear()

    patch.setattr(PageFile, "taken", taken)
    patch.setattr(PageFile, "_counted", lambda _self: 1)


BROKEN: list[Break] = [
    pages_are_cached_after_a_rollback,
    pages_are_cached_after_a_refusal,
    connection_outlives_what_it_has_read,
    pages_are_read_past_what_is_staged,
    statements_of_a_query_happen_one_by_one,
    transaction_is_staged_query_by_query,
    pages_are_entries_of_their_own,
    last_page_is_lost,
    pages_are_taken_before_they_are_all_written,
]


@pytest.mark.parametrize("broken", BROKEN, ids=[each.__name__ for each in BROKEN])
def test_broken_database_is_noticed(
    broken: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By rows that differ, a key that does not fit, or a file that is damaged."""
    broken(monkeypatch)

    assert any(noticed(seed) for seed in range(SEEDS))
