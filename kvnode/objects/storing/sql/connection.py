"""
One connection to an object's database: how it is opened, and how a query runs in it.

The limits are those of Cloudflare's Durable Objects, so that what runs there runs here
and no statement takes more memory or time than others can spare.  A query runs to its
end at once, and its rows are read: nothing of it is left open that a later one could
disturb.

References:
    Hipp, SQLite.  "Run-Time Limits"; "Defense Against The Dark Arts".
    Cloudflare's Durable Objects, "Limits", and the source of workerd.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import apsw

from kvnode.errors import CorruptRecordError, InvalidArgumentError, KvError, SqlError
from kvnode.objects.storing.sql.page_file import PAGE_BYTES, PageFile
from kvnode.objects.storing.sql.page_vfs import page_vfs
from kvnode.objects.storing.sql.sql_cursor import SqlCursor, SqlValue
from kvnode.objects.storing.sql.statement_rules import StatementRules

DATABASE_BYTES_MAX: Final = 1024 * 1024 * 1024
"""All of a shard goes into one snapshot, its other objects as well."""

RESULT_BYTES_MAX: Final = 16 * 1024 * 1024
"""As much as one step may write; all rows of a query are in memory at once."""

ROW_BYTES: Final = 100
"""What a row takes in memory beside its texts and blobs, at least."""

QUERY_SECONDS_MAX: Final = 0.5
"""Half of what replicas wait for a leader: nothing else runs meanwhile."""

_CHECK_STEPS: Final = 10_000
"""Of SQLite's machine between two looks at the clock: about 0.2 ms."""

_STATEMENTS_KEPT: Final = 32
_CACHE_KIBIBYTES: Final = 1024

_LIMITS: Final = (
    (apsw.SQLITE_LIMIT_LENGTH, 2_200_000),  # 2 MB, and room for the rest of a row
    (apsw.SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (apsw.SQLITE_LIMIT_COLUMN, 100),
    (apsw.SQLITE_LIMIT_EXPR_DEPTH, 100),
    (apsw.SQLITE_LIMIT_COMPOUND_SELECT, 5),
    (apsw.SQLITE_LIMIT_VDBE_OP, 25_000),
    (apsw.SQLITE_LIMIT_FUNCTION_ARG, 127),
    (apsw.SQLITE_LIMIT_ATTACHED, 0),
    (apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
    (apsw.SQLITE_LIMIT_VARIABLE_NUMBER, 100),
    (apsw.SQLITE_LIMIT_TRIGGER_DEPTH, 10),
    (apsw.SQLITE_LIMIT_WORKER_THREADS, 0),
)

_SETTINGS: Final = (
    "locking_mode = EXCLUSIVE",  # nobody else changes the file: pages stay cached
    "journal_mode = MEMORY",
    "synchronous = OFF",
    "temp_store = MEMORY",
    "foreign_keys = ON",
    "trusted_schema = OFF",
    f"cache_size = -{_CACHE_KIBIBYTES}",
    f"max_page_count = {DATABASE_BYTES_MAX // PAGE_BYTES}",
)


class _Answer(NamedTuple):
    """What the statement that runs has answered so far."""

    names: tuple[str, ...]
    rows: list[tuple[SqlValue, ...]]


class SqlConnection:
    """
    A connection to a database.

    Attributes:
        is_torn: Whether it is not known what it has left: to be closed.
    """

    def __init__(self, pages: PageFile, clock: Callable[[], float]) -> None:
        """
        Open the database in *pages*.

        Args:
            pages: Nobody else reads or writes them.
            clock: In seconds, and steady.
        """
        self.is_torn = False
        self._clock = clock
        self._deadline = 0.0
        self._is_late = False
        self._answer: _Answer | None = None
        self._has_bound = False
        self._scanned = 0
        self._rules = StatementRules()
        self._made = page_vfs().connect(pages, statements_kept=_STATEMENTS_KEPT)
        self._made.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        try:
            for setting in _SETTINGS:
                self._made.execute(f"PRAGMA {setting}").fetchall()
        except apsw.Error as error:
            raise self._told(error) from error
        for limit, most in _LIMITS:
            self._made.limit(limit, most)
        self._made.authorizer = self._rules
        self._made.exec_trace = self._begins
        self._made.trace_v2(apsw.SQLITE_TRACE_PROFILE, self._ended)
        self._made.set_progress_handler(self._must_end, _CHECK_STEPS)

    @property
    def is_in_transaction(self) -> bool:
        """Tell whether what was written is not committed in the file."""
        return self._made.in_transaction

    def close(self) -> None:
        """Undo what is not committed, and forget all that is cached."""
        self._made.close(force=True)

    def pages_used(self) -> int:
        """Return of how many pages the database makes use."""
        self._rules.is_ours = True
        try:
            counts = map(self._made.pragma, ("page_count", "freelist_count"))
            there, free = map(int, counts)
        finally:
            self._rules.is_ours = False
        return there - free

    def control(self, statement: str) -> None:
        """
        Run a statement of ours, about transactions.

        Raises:
            KvError: See `run`.
        """
        self._rearm()
        self._rules.is_ours = True
        try:
            # Kept, it would be found again by an object's statement of that text.
            self._made.execute(statement, can_cache=False)
        except apsw.Error as error:
            raise self._told(error) from error
        finally:
            self._rules.is_ours = False

    def _rearm(self) -> None:
        """Give what runs next all of its time, and forget why something else failed."""
        self._rules.refusal, self._is_late = "", False
        self._deadline = self._clock() + QUERY_SECONDS_MAX

    def run(self, query: str, bindings: tuple[SqlValue, ...]) -> SqlCursor:
        """
        Run the statements of *query*; return what the last one answers.

        Raises:
            InvalidArgumentError: It is refused, or something cannot be bound.
            SqlError: A statement has failed.
            CorruptRecordError: The database is damaged.
            KvError: The pages cannot be read.
        """
        self._rearm()
        self._answer, self._scanned, self._has_bound = None, 0, False
        written = self._made.total_changes()
        try:
            self._read_all(self._made.execute(query, bindings))
        except apsw.Error as error:
            raise self._told(error) from error
        except (TypeError, OverflowError, UnicodeError) as error:
            msg = f"a text or binding is none that SQLite takes or Python has: {error}"
            raise InvalidArgumentError(msg) from error
        except InvalidArgumentError:
            raise
        except BaseException:
            self.is_torn = True
            raise
        if self._answer is None:
            msg = "the query has no statement in it"
            raise InvalidArgumentError(msg)
        names, rows = self._answer
        return SqlCursor(
            names,
            rows,
            rows_read=max(self._scanned, len(rows)),
            rows_written=self._made.total_changes() - written,
        )

    def _read_all(self, cursor: apsw.Cursor) -> None:
        """Collect the rows of each statement, so that those of the last are left."""
        taken = 0
        try:
            for row in cursor:
                assert self._answer is not None, "a statement begins before it answers"
                taken += ROW_BYTES + sum(
                    len(value) for value in row if isinstance(value, str | bytes)
                )
                _check_room(taken)
                self._answer.rows.append(row)
        except (InvalidArgumentError, UnicodeError):
            self.is_torn = not cursor.is_readonly  # it has written before it answers
            raise
        finally:
            cursor.close(force=True)

    # -- what SQLite calls ---------------------------------------------------------

    def _begins(self, cursor: apsw.Cursor, _statement: str, bindings: object) -> bool:
        """Note that the next statement of the query begins."""
        if self._rules.is_ours or not cursor.has_vdbe:  # a comment is no statement
            return True
        if self._has_bound:
            msg = "of several statements only the last one can have bindings"
            raise InvalidArgumentError(msg)
        self._has_bound = bool(bindings)
        names = tuple(column[0] for column in cursor.get_description())
        self._answer = _Answer(names, [])
        return True

    def _ended(self, event: dict[str, dict[str, int]]) -> None:
        """Add what a statement went through without an index."""
        self._scanned += event["stmt_status"]["SQLITE_STMTSTATUS_FULLSCAN_STEP"]

    def _must_end(self) -> bool:
        """Tell whether the statement that runs has had its time."""
        self._is_late = self._clock() > self._deadline
        return self._is_late

    def _told(self, error: apsw.Error) -> KvError:
        """Return what *error* is to the object's code."""
        if isinstance(error.__cause__, KvError):
            return error.__cause__
        if self._rules.refusal:
            return InvalidArgumentError(self._rules.refusal)
        if isinstance(error, apsw.CorruptError | apsw.NotADBError):
            return CorruptRecordError(f"the object's database is damaged: {error}")
        message = str(error)
        if self._is_late:
            message = (
                f"the query has run for {QUERY_SECONDS_MAX} s, and nothing else could:"
                " let it do less at once, or give it an index"
            )
        elif isinstance(error, apsw.FullError):
            message = f"the database has {DATABASE_BYTES_MAX} bytes, as many as it may"
        number = getattr(error, "extendedresult", apsw.SQLITE_ERROR)
        names = apsw.mapping_extended_result_codes, apsw.mapping_result_codes
        code = next((str(each[number]) for each in names if number in each), "")
        return SqlError(message, code=code or type(error).__name__)


def _check_room(answered_bytes: int) -> None:
    if answered_bytes > RESULT_BYTES_MAX:
        msg = (
            f"the query answers more than {RESULT_BYTES_MAX} bytes, which are in memory"
            " at once: ask for a part of it, with LIMIT or a range"
        )
        raise InvalidArgumentError(msg)
