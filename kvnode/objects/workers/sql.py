"""`ctx.storage.sql` under Cloudflare's names."""

from typing import Any, ClassVar

from kvnode.objects.storing.sql.object_sql import ObjectSql
from kvnode.objects.storing.sql.sql_cursor import SqlCursor, SqlValue
from kvnode.objects.workers.js_values import Fields, Listed, Rows
from kvnode.objects.workers.names import Facade


class WorkersSql(Facade):
    """The object's SQL database."""

    _called: ClassVar[str] = "ctx.storage.sql"

    def __init__(self, sql: ObjectSql) -> None:
        self._sql = sql

    def exec(self, query: str, *bindings: SqlValue) -> "WorkersCursor":
        """Run a query at once; see ObjectSql.exec."""
        return WorkersCursor(self._sql.exec(query, *bindings))

    @property
    def databaseSize(self) -> int:
        """Return how many bytes the database takes."""
        return self._sql.database_size


class WorkersCursor(Rows[Fields], Facade):
    """What a query has answered; a row has its columns as entries and as attributes."""

    _called: ClassVar[str] = "the cursor of sql.exec"

    def __init__(self, cursor: SqlCursor) -> None:
        super().__init__(map(Fields, cursor))
        self._cursor = cursor

    def one(self) -> Fields:
        """Return the only row; see SqlCursor.one."""
        return Fields(self._cursor.one())

    def raw(self) -> Rows[Listed[SqlValue]]:
        """Return the rows that are left as lists of values."""
        return Rows(map(Listed, self._cursor.raw()))

    @property
    def columnNames(self) -> Listed[str]:
        """Return the names of the columns, in the order of the query."""
        return Listed(self._cursor.column_names)

    @property
    def rowsRead(self) -> int:
        """Return how many rows SQLite has looked at; see SqlCursor."""
        return self._cursor.rows_read

    @property
    def rowsWritten(self) -> int:
        """Return how many rows were inserted, changed or deleted."""
        return self._cursor.rows_written

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- any name of Cloudflare's
        """Refuse a name that is not there."""
        self._refuse(name)
