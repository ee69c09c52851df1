"""
The SQL database of one object, as its code sees it.

Each query happens as a whole or not at all, and so does what is done in a transaction,
where queries of one database follow each other over awaits.  When it is done, the pages
that it has changed are staged together with the keys of the same step: so both are in
one entry of the log.

    exec ─▶ SQLite ─▶ pages ─▶ staged ─▶ entry ─▶ state
                        ▲                           │
                        └──── overlay, when read ◀──┘

Whatever goes wrong so that what SQLite has in memory might differ from what is staged,
the connection is closed: the next one reads what is staged.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from kvnode.core.objects.map_change import Change
from kvnode.core.objects.state_reader import StateReader
from kvnode.errors import InvalidArgumentError, KvError, SqlError, UnavailableError
from kvnode.objects.storing.sql.connection import SqlConnection
from kvnode.objects.storing.sql.open_databases import OpenDatabases
from kvnode.objects.storing.sql.page_file import PAGE_BYTES, PageFile
from kvnode.objects.storing.sql.sql_cursor import SqlCursor, SqlValue

Stage: TypeAlias = Callable[[Sequence[Change]], None]
"""Takes changes in, all of them or none; there may be none."""

DEPTH_MAX: Final = 32
"""Transactions within each other: each keeps what it may have to undo."""

_BEGIN: Final = "SAVEPOINT kvnode"
_END: Final = "RELEASE kvnode"
_UNDO: Final = "ROLLBACK TO kvnode"


class SqlScope:
    """
    A transaction, as far as the database is concerned.

    Attributes:
        holds_keys: Whether keys belong to it as well.
        is_begun: Whether it has used the database.
        is_undone: Whether nothing of it is to be stored.
    """

    def __init__(self, *, holds_keys: bool) -> None:
        self.holds_keys = holds_keys
        self.is_begun = False
        self.is_undone = False


class ObjectSql:
    """A private SQLite database, in the shape of Cloudflare's SqlStorage."""

    def __init__(
        self,
        below: StateReader,
        body: bytes,
        *,
        stage: Stage,
        databases: OpenDatabases,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Read in *below*, for the object of *body*; nothing is opened yet.

        Args:
            below: What is staged or stored.
            body: Whose database it is.
            stage: What stages the pages that a query has changed.
            databases: Which are open.
            clock: In seconds, and steady.
        """
        self._below = below
        self._body = body
        self._stage = stage
        self._databases = databases
        self._clock = clock
        self._pages: PageFile | None = None
        self._connection: SqlConnection | None = None
        self._scopes: list[SqlScope] = []  # the innermost is the last
        self._lost: BaseException | None = None  # what has undone all scopes
        self._why_ended: KvError | None = None

    def exec(self, query: str, *bindings: SqlValue) -> SqlCursor:
        """
        Run a query at once; return a cursor over what it answers.

        Args:
            query: One statement, or several with `;` between them, which then happen
                together or not at all; the cursor is that of the last one.
            bindings: What stands for each `?` of the last statement.

        Raises:
            InvalidArgumentError: It may not be run, or breaks a limit of ours; nothing
                was changed.
            SqlError: SQLite has refused it; nothing was changed.
            OverloadedError: Too much waits to be committed; nothing was changed.
            UnavailableError: The instance has ended; nothing was changed.
        """
        if ";" in query.rstrip("; \t\r\n"):  # several of them, or it is in a text
            with self.scope():
                return self._run(query, bindings)
        cursor = self._run(query, bindings)
        if not self._scopes:
            self._settle(self._stage)
        return cursor

    @property
    def database_size(self) -> int:
        """Return how many bytes the database takes; those it has free do not count."""
        return self._begun().pages_used() * PAGE_BYTES

    # -- transactions --------------------------------------------------------------

    @contextmanager
    def scope(self, stage: Stage | None = None) -> Iterator[SqlScope]:
        """
        Within it queries are a transaction; if it raises, nothing of it is stored.

        Args:
            stage: Called at its end with the pages that it has changed, if keys belong
                to it as well; then it is part of no other transaction.

        Raises:
            InvalidArgumentError: Too many are within each other.
            KvError: At its end: it could not be stored; nothing of it is.
        """
        if len(self._scopes) >= DEPTH_MAX:
            msg = f"at most {DEPTH_MAX} transactions can be within each other"
            raise InvalidArgumentError(msg)
        scope = SqlScope(holds_keys=stage is not None)
        self._scopes.append(scope)
        try:
            yield scope
            if scope.is_undone:
                self._undo(scope)
            else:
                self._end(scope, stage or self._stage)
        except BaseException:
            self._undo(scope)
            raise
        finally:
            self._scopes.remove(scope)
            if not self._scopes:
                self._lost = None

    def _end(self, scope: SqlScope, stage: Stage) -> None:
        """Hand on what a scope has changed: to the one around it, or to be staged."""
        if scope.is_begun:
            self._opened().control(_END)
        if scope.is_begun and self._scopes[0] is scope:
            self._settle(stage)
        elif scope.holds_keys:
            stage(())

    def _undo(self, scope: SqlScope) -> None:
        if not scope.is_begun or self._connection is None:
            return
        if self._scopes[0] is scope:
            self.rest()
        else:
            self._connection.control(_UNDO)
            self._connection.control(_END)

    # -- running -------------------------------------------------------------------

    def _run(self, query: str, bindings: tuple[SqlValue, ...]) -> SqlCursor:
        connection = self._begun()
        try:
            return connection.run(query, bindings)
        except BaseException as error:
            if self._is_torn(connection):
                self._lost = error if self._scopes else None
                self.rest()
            raise

    def _is_torn(self, connection: SqlConnection) -> bool:
        """Tell whether a failure has left something else than was there before it."""
        assert self._pages is not None, "a connection has pages"
        if connection.is_torn:
            return True
        if self._scopes:
            return not connection.is_in_transaction
        return self._pages.is_changed

    def _settle(self, stage: Stage) -> None:
        """Stage what was changed; if that is refused, it has not been."""
        assert self._pages is not None, "something has run"
        try:
            stage(self._pages.changes())
        except BaseException:
            self.rest()
            raise
        self._pages.taken()

    def _begun(self) -> SqlConnection:
        """Return a connection in which all scopes have begun."""
        connection = self._opened()
        for scope in self._scopes:
            if scope.is_begun:
                continue
            if scope.holds_keys and scope is not self._scopes[0]:
                msg = (
                    "SQL cannot be used in a transaction within another: end one first"
                )
                raise InvalidArgumentError(msg)
            connection.control(_BEGIN)
            scope.is_begun = True
        return connection

    def _opened(self) -> SqlConnection:
        if self._why_ended is not None:
            raise UnavailableError(str(self._why_ended))
        if self._lost is not None:
            msg = f"the transaction was undone as a whole before: {self._lost}"
            raise SqlError(msg, code="SQLITE_ABORT_ROLLBACK")
        self._databases.use(self)
        if self._connection is None:
            try:
                self._pages = PageFile(self._below, self._body)
                self._connection = SqlConnection(self._pages, self._clock)
            except BaseException:
                self._databases.closed(self)
                raise
        return self._connection

    # -- its beginning and its end ---------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Tell whether its connection may be closed."""
        return not any(scope.is_begun for scope in self._scopes)

    def check_idle(self) -> None:
        """
        Do nothing if no transaction has used the database.

        Raises:
            InvalidArgumentError: One has, and is not over.
        """
        if not self.is_idle:
            msg = "delete_all cannot be used in a transaction that has used SQL"
            raise InvalidArgumentError(msg)

    def rest(self) -> None:
        """Close the connection; what was not staged is forgotten."""
        connection, self._connection, self._pages = self._connection, None, None
        if connection is not None:
            self._databases.closed(self)
            connection.close()

    def end(self, why: KvError) -> None:
        """Run nothing from now on."""
        self._why_ended = why
        self.rest()
