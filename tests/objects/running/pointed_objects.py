"""An object of every kind of storage, which goes back to earlier points by itself."""

from typing import Any

from kvnode.object_values import Value
from kvnode.objects.durable_object import DurableObject

TABLE = "CREATE TABLE IF NOT EXISTS line (text TEXT)"


class Diary(DurableObject):
    """Has keys, a table, and an alarm."""

    rung = 0

    async def write(self, key: str, value: Value) -> str:
        """Store a key, and a line of SQL; return the bookmark."""
        await self.storage.put(key, value)
        self.storage.sql.exec(TABLE)
        self.storage.sql.exec("INSERT INTO line VALUES (?)", f"{key}={value}")
        return await self.storage.get_current_bookmark()

    async def write_all(self, rows: dict[str, Value]) -> None:
        """Store many keys."""
        await self.storage.put(rows)

    async def delete(self, key: str) -> None:
        """Delete a key, and its lines."""
        await self.storage.delete(key)
        self.storage.sql.exec(TABLE)
        self.storage.sql.exec("DELETE FROM line WHERE text LIKE ?", f"{key}=%")

    async def forget(self) -> None:
        """Delete everything."""
        await self.storage.delete_all()

    async def wake(self, when: int) -> None:
        """Set the alarm."""
        await self.storage.set_alarm(when)

    async def all(self) -> list[Any]:
        """Return everything."""
        table = "SELECT count(*) FROM sqlite_schema WHERE name = 'line'"
        has_table = self.storage.sql.exec(table).raw()
        lines = "SELECT text FROM line ORDER BY rowid"
        found = self.storage.sql.exec(lines).raw() if [*has_table] == [(1,)] else ()
        return [
            await self.storage.list(),
            [text for (text,) in found],
            await self.storage.get_alarm(),
        ]

    async def bookmark(self) -> str:
        """Return the bookmark of now."""
        return await self.storage.get_current_bookmark()

    async def bookmark_at(self, when: int) -> str:
        """Return the bookmark of then."""
        return await self.storage.get_bookmark_for_time(when)

    async def go_back(self, bookmark: str) -> str:
        """Have it restored when it starts next; return what undoes that."""
        return await self.storage.on_next_session_restore_bookmark(bookmark)

    async def go_back_now(self, bookmark: str) -> None:
        """Have it restored, and end this session at once."""
        await self.storage.on_next_session_restore_bookmark(bookmark)
        self.ctx.abort("to be restored")

    async def end(self) -> None:
        """End this session."""
        self.ctx.abort("to be restored")

    async def alarm(self) -> None:
        """Ring."""
        Diary.rung += 1


DIARY: dict[str, type[DurableObject]] = {"Diary": Diary}
