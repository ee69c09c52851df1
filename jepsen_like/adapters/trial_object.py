"""
The class of objects that the harness has nodes serve: everything that it asks of one.

    kvnode serve --objects jepsen_like.adapters.trial_object:Trial

It is written as careless users write: it keeps its value in memory as well, and awaits
things between a read and a write.  What keeps it right in spite of that are the
promises under test: one instance, the gates, sections, and one entry for all that is
written together, be it under keys or in the object's database.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from kvnode.object_values import Value
from kvnode.objects import DurableObject
from kvnode.objects.durable_object import Environment, ObjectContext
from kvnode.objects.storing.object_storage import Transaction

PAUSE_SECONDS: Final = 0.01
"""Within operations: so long that others come in between, if they may."""

REGISTER: Final = "register"
COPY: Final = "register copy"
"""The register is kept twice, so that what puts back one of them only is seen."""

TABLE: Final = "CREATE TABLE IF NOT EXISTS register (row INTEGER PRIMARY KEY, value)"
"""And a third time in the object's database, in the entry of the other two."""


class OpenRemindersError(Exception):
    """An alarm has still to run."""


class NoFundsError(Exception):
    """A transfer is of more than there is, or from where there is no account."""


class Trial(DurableObject):
    """A register, a sum, lists, accounts and reminders, all under one name."""

    def __init__(self, ctx: ObjectContext, env: Environment) -> None:
        super().__init__(ctx, env)
        self._held: Value = None
        ctx.block_concurrency_while(self._begin)

    async def _begin(self) -> None:
        held = await self.storage.get([REGISTER, COPY])
        copies = [held.get(REGISTER), held.get(COPY), self._row()]
        same = all(copy == copies[0] for copy in copies)
        self._held = copies[0] if same else f"torn apart: {copies!r}"

    def _row(self) -> Value:
        """Return the value in the database; None if it has no table yet."""
        sql = self.storage.sql
        if not sql.exec("SELECT 1 FROM sqlite_schema").to_array():
            return None
        held: Value = json.loads(
            str(sql.exec("SELECT value FROM register").one()["value"])
        )
        return held

    # -- a register ----------------------------------------------------------------

    async def read(self) -> Value:
        """Return the value as it is in memory."""
        return self._held

    async def write(self, value: Value) -> None:
        """Replace the value."""
        self.storage.sql.exec(TABLE)
        row = json.dumps(value)
        self.storage.sql.exec("INSERT OR REPLACE INTO register VALUES (1, ?)", row)
        await self.storage.put({REGISTER: value, COPY: value})
        self._held = value

    async def swap(self, expected: Value, new: Value) -> bool:
        """Replace the value if it is *expected*; tell whether it was."""

        async def work() -> bool:
            is_expected = bool(self._held == expected)
            await asyncio.sleep(PAUSE_SECONDS)
            if is_expected:
                await self.write(new)
            return is_expected

        return await self.ctx.block_concurrency_while(work)

    # -- a sum -----------------------------------------------------------------------

    async def add(self, amount: int) -> int:
        """Add to the sum, and return it."""
        value: int = await self.storage.get("sum", 0) + amount
        await self.storage.put("sum", value)
        return value

    async def value(self) -> int:
        """Return the sum."""
        found: int = await self.storage.get("sum", 0)
        return found

    # -- lists and accounts ------------------------------------------------------------

    async def transact(self, steps: Sequence[Sequence[Value]]) -> list[Value]:
        """Do micro-operations ("r", "w" or "append", place, value), all at once."""

        async def work(storage: Transaction) -> list[Value]:
            done: list[Value] = []
            for f, at, value in steps:
                done.append([f, at, await _done(storage, f, at, value)])
                await asyncio.sleep(PAUSE_SECONDS / len(steps))
            return done

        return await self.storage.transaction(work)

    async def transfer(self, source: str, target: str, amount: int) -> None:
        """
        Move an amount from one account to another.

        Raises:
            NoFundsError: It is not there.
        """

        async def work() -> bool:
            held = await self.storage.get([_place(source), _place(target)])
            await asyncio.sleep(PAUSE_SECONDS)
            left = held.get(_place(source), 0) - amount
            if left < 0 or _place(target) not in held:
                return False
            await self.storage.put(_place(source), left)
            await self.storage.put(_place(target), held[_place(target)] + amount)
            return True

        if not await self.ctx.block_concurrency_while(work):
            msg = f"there is no account {target}, or less than {amount} in {source}"
            raise NoFundsError(msg)

    # -- reminders ---------------------------------------------------------------------

    async def remind(self, element: int, when: int) -> None:
        """Let an alarm remember *element* at *when*, in ms since 1970, or sooner."""
        await self.storage.put(f"open/{element:08}", element)
        due = await self.storage.get_alarm()
        if due is None or when < due:
            await self.storage.set_alarm(when)

    async def remembered(self, at: str = "any time") -> list[Value]:
        """
        Return what alarms have remembered.

        Raises:
            OpenRemindersError: It is wanted at the "end", and one has still to run.
        """
        if at == "end" and await self.storage.list(prefix="open/", limit=1):
            msg = "an alarm has still to run"
            raise OpenRemindersError(msg)
        return list((await self.storage.list(prefix="seen/")).values())

    async def alarm(self) -> None:
        """Remember all that is open, one after the other."""
        for place, element in (await self.storage.list(prefix="open/")).items():
            await asyncio.sleep(PAUSE_SECONDS)
            await self.storage.delete(place)
            await self.storage.put(f"seen/{element:08}", element)
        if await self.storage.list(prefix="open/", limit=1):
            await self.storage.set_alarm(0)


def _place(name: Value) -> str:
    return f"part/{name}"


async def _done(storage: Transaction, f: Value, at: Value, value: Value) -> Any:  # noqa: ANN401 -- what is stored
    """Do one micro-operation; return what it has read, or written."""
    held = await storage.get(_place(at))
    if f == "append":
        await storage.put(_place(at), [*(held or []), value])
    elif f == "w":
        await storage.put(_place(at), value)
    return held if f == "r" else value
