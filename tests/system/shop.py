"""Classes of objects that nodes in tests serve."""

import asyncio
from typing import Any

from examples.counter import Counter as ExampleCounter
from kvnode.object_values import Value
from kvnode.objects import DurableObject, Request, Response


class Counter(DurableObject):
    """Counts."""

    async def increment(self, by: int = 1) -> int:
        """Add *by*; return the sum."""
        value: int = await self.storage.get("value", 0) + by
        await self.storage.put("value", value)
        return value

    async def value(self) -> int:
        """Return the sum."""
        found: int = await self.storage.get("value", 0)
        return found


class Counted(ExampleCounter):
    """The example's counter, which raises, waits and redirects on demand."""

    async def echo(self, *values: Value) -> list[Value]:
        """Return what it is given."""
        return list(values)

    async def fail(self, message: str) -> None:
        """Raise."""
        raise ValueError(message)

    async def end(self) -> None:
        """End the object."""
        self.ctx.abort("enough")

    async def wait(self, seconds: float) -> None:
        """Take some time."""
        await asyncio.sleep(seconds)

    async def fetch(self, request: Request) -> Response:
        """Tell what was asked, or do what the path says."""
        match request.url.rpartition("/")[2]:
            case "moved":
                return Response(302, (("location", "https://else.example/"),))
            case "raise":
                msg = "gone"
                raise LookupError(msg)
            case "length":
                return Response.of_text(str(len(request.body)))
            case _:
                seen = {
                    "method": request.method,
                    "url": request.url,
                    "who": request.header("x-who"),
                    "body": list(request.body),
                }
                body = Response.of_json(seen).body
                return Response(201, (("x-seen", "ü"),), body)


class Till(DurableObject):
    """Keeps receipts in SQL, and their sum under a key."""

    async def sell(self, receipt: str, price: int) -> int:
        """Add a receipt; return the sum."""
        self.storage.sql.exec(
            "CREATE TABLE IF NOT EXISTS sale (receipt TEXT PRIMARY KEY, price INTEGER)"
        )
        self.storage.sql.exec("INSERT INTO sale VALUES (?, ?)", receipt, price)
        total: int = await self.storage.get("total", 0) + price
        await self.storage.put("total", total)
        return total

    async def closing(self) -> dict[str, Any]:
        """Return the receipts, the sum, and what SQLite says of the file."""
        rows = self.storage.sql.exec("SELECT receipt, price FROM sale").all()
        check = self.storage.sql.exec("PRAGMA integrity_check").one()
        return {
            "receipts": [row["receipt"] for row in rows],
            "sold": sum(int(row["price"] or 0) for row in rows),
            "total": await self.storage.get("total", 0),
            "check": check["integrity_check"],
        }

    async def burn(self) -> None:
        """Delete everything: the worst of mistakes."""
        await self.storage.delete_all()

    async def is_empty(self) -> bool:
        """Tell whether there is nothing at all."""
        tables = self.storage.sql.exec("SELECT count(*) AS n FROM sqlite_schema").one()
        return not tables["n"] and not await self.storage.list()
