"""A class of objects that keeps books in SQL, and a count of them under a key."""

import asyncio
from collections.abc import Callable
from typing import Any

from kvnode.objects.durable_object import DurableObject, Environment, ObjectContext
from kvnode.objects.storing.object_storage import Transaction
from tests.objects.running.objects import DOORS


class Ledger(DurableObject):
    """Whatever has happened, the key `count` says how many rows there are."""

    def __init__(self, ctx: ObjectContext, env: Environment) -> None:
        super().__init__(ctx, env)
        self.storage.sql.exec("CREATE TABLE IF NOT EXISTS line (what TEXT UNIQUE)")

    async def add(self, what: str) -> int:
        """Add a line; return how many there are."""
        self._insert(what)
        return await self._count(self.storage)

    async def add_later(self, what: str, door: str) -> int:
        """Add a line, await a door, and count it."""
        self._insert(what)
        await DOORS[door].wait()
        return await self._count(self.storage)

    async def add_and_raise(self, what: str) -> None:
        """Add a line, and fail with the same again."""
        await self.add(what)
        self._insert(what)

    async def add_together(self, what: list[str], how: str = "") -> int:
        """Add lines in a transaction, which ends by *how*: raise, roll back, delete."""

        async def work(txn: Transaction) -> int:
            for each in what:
                txn.sql.exec("INSERT INTO line VALUES (?)", each)
                await asyncio.sleep(0)
            if how == "raise":
                raise LookupError(how)
            if how == "roll back":
                txn.rollback()
            if how == "delete":
                await self.storage.delete_all()
            if how == "within":
                await self.storage.transaction(work)
            if how == "large":
                await txn.put({f"large/{n}": b"x" * 131_000 for n in range(128)})
            return await self._count(txn)

        return await self.storage.transaction(work)

    async def add_sync(self, what: list[str], how: str = "") -> int:
        """Add lines in a transaction that awaits nothing, which ends by *how*."""

        async def later() -> None:
            self._insert("later")

        def work() -> object:
            for each in what:
                self._insert(each)
            if how == "abort":
                self.ctx.abort("enough")
            if how == "raise":
                raise LookupError(how)
            return later() if how == "await" else None

        pending: Callable[[], Any] = work
        self.storage.transaction_sync(pending)
        return await self._count(self.storage)

    async def lines(self) -> list[str]:
        """Return all lines, and notice if the key does not fit."""
        rows = self.storage.sql.exec("SELECT what FROM line ORDER BY what").raw()
        found = [str(what) for (what,) in rows]
        counted = await self.storage.get("count", 0)
        assert counted == len(found), f"{counted} counted, {found}"
        return found

    async def forget(self) -> int:
        """Delete everything; return how large the database is then."""
        await self.storage.delete_all()
        return self.storage.sql.database_size

    def _insert(self, what: str) -> None:
        self.storage.sql.exec("INSERT INTO line VALUES (?)", what)

    async def _count(self, storage: Any) -> int:  # noqa: ANN401 -- or a transaction
        """Note under a key how many there are."""
        count = self.storage.sql.exec("SELECT count(*) AS n FROM line").one()["n"]
        assert isinstance(count, int)
        await storage.put("count", count)
        return count
