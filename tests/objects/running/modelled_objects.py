"""Objects of which a judge knows what they may answer."""

import asyncio

from kvnode.object_values import Value
from kvnode.objects.durable_object import DurableObject, Environment, ObjectContext
from kvnode.objects.storing.object_storage import Transaction

PAUSE_SECONDS = 0.002


class Sum(DurableObject):
    """Counts, in every way that an object can."""

    async def add(self) -> int:
        """Add one; return the sum."""
        value: int = await self.storage.get("value", 0) + 1
        await self.storage.put("value", value)
        return value

    async def add_alone(self) -> int:
        """Do it in two steps, with the object to itself."""

        async def work() -> int:
            value: int = await self.storage.get("value", 0) + 1
            await asyncio.sleep(PAUSE_SECONDS)
            await self.storage.put("value", value)
            return value

        return await self.ctx.block_concurrency_while(work)

    async def add_and_raise(self) -> None:
        """Add one; raise the sum."""
        raise LookupError(str(await self.add()))

    async def read(self) -> int:
        """Return the sum."""
        value: int = await self.storage.get("value", 0)
        return value

    async def read_and_raise(self) -> None:
        """Raise the sum."""
        raise LookupError(str(await self.read()))

    async def add_both(self, other: str) -> int:
        """Add one here, and then one to another."""
        value = await self.add()
        await self.env.object("Sum", other).add()
        return value


class SqlSum(Sum):
    """Does so in SQL, and notes under a key how much it is: they always agree."""

    def __init__(self, ctx: ObjectContext, env: Environment) -> None:
        super().__init__(ctx, env)
        self.storage.sql.exec("CREATE TABLE IF NOT EXISTS one (added INTEGER)")

    async def add(self) -> int:
        """Add one; return the sum."""
        value = await self.read() + 1
        self.storage.sql.exec("INSERT INTO one VALUES (?)", value)
        await self.storage.put("value", value)
        return value

    async def add_alone(self) -> int:
        """Do it in a transaction, one time in two after one that is undone."""

        async def work(txn: Transaction) -> int:
            value = await self.read() + 1
            txn.sql.exec("INSERT INTO one VALUES (?)", value)
            await asyncio.sleep(PAUSE_SECONDS)
            await txn.put("value", value)
            return value

        async def undone(txn: Transaction) -> None:
            await work(txn)
            txn.rollback()

        if await self.read() % 2:
            await self.storage.transaction(undone)
        return await self.storage.transaction(work)

    async def read(self) -> int:
        """Return the sum."""
        row = self.storage.sql.exec("SELECT count(*), max(added) FROM one")
        ((counted, last),) = row.raw()
        value: int = await self.storage.get("value", 0)
        assert counted == (last or 0) == value, f"{counted!r}, {last!r} and {value}"
        return value


class Register(DurableObject):
    """A value, kept in memory as well, and written twice."""

    def __init__(self, ctx: ObjectContext, env: Environment) -> None:
        super().__init__(ctx, env)
        self.memory: Value = None
        ctx.block_concurrency_while(self.begin)

    async def begin(self) -> None:
        """Read what is stored."""
        self.memory = await self.storage.get("left")
        assert self.memory == await self.storage.get("right"), "written together"

    async def write(self, value: Value) -> None:
        """Write it."""
        self.memory = value
        await self.storage.put("left", value)
        await self.storage.put("right", value)

    async def read(self) -> Value:
        """Read it, where that costs least."""
        return self.memory

    async def read_slowly(self) -> Value:
        """Read it some time after the call has come in."""
        await asyncio.sleep(15 * PAUSE_SECONDS)
        return self.memory


class Reminder(DurableObject):
    """Remembers until its alarm has run."""

    async def remind(self, what: int, when: int) -> None:
        """Let the alarm see *what*."""
        await self.storage.put(f"open/{what}", 1)
        if await self.storage.get_alarm() is None:
            await self.storage.set_alarm(when)

    async def seen(self) -> list[str]:
        """Return what alarms have seen."""
        return list(await self.storage.list(prefix="seen/"))

    async def alarm(self) -> None:
        """See all that is open, one after the other."""
        waiting = await self.storage.list(prefix="open/")
        for key in waiting:
            await asyncio.sleep(PAUSE_SECONDS)
            await self.storage.delete(key)
            await self.storage.put(key.replace("open", "seen"), 1)
        if await self.storage.list(prefix="open/", limit=1):
            await self.storage.set_alarm(0)
