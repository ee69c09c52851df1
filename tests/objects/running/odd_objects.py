"""An object whose code does what code had better not do."""

import asyncio

from kvnode.errors import OverloadedError
from kvnode.object_values import Value
from kvnode.objects.durable_object import DurableObject, Environment, ObjectContext
from kvnode.objects.storing.object_storage import Transaction
from tests.objects.running.objects import DOORS


class Odd(DurableObject):
    """Has all kinds of habits."""

    async def value(self) -> Value:
        """Return what is stored under `value`."""
        return await self.storage.get("value", 0)

    async def stored(self) -> Value:
        """Return all that is stored."""
        return await self.storage.list()

    async def add(self, by: int = 1) -> int:
        """Add to it."""
        value: int = await self.storage.get("value", 0) + by
        await self.storage.put("value", value)
        return value

    async def cancels(self) -> None:
        """Write, and raise what asyncio raises where somebody is cancelled."""
        await self.add()
        raise asyncio.CancelledError

    async def waits(self, door: str) -> None:
        """Wait for a door."""
        await DOORS[door].wait()

    async def holds_on(self, door: str) -> str:
        """Go on although it is cancelled."""
        try:
            await DOORS[door].wait()
        except asyncio.CancelledError:
            await self.add(1000)
        return "went on"

    async def fails_in_a_section(self, secret: str) -> None:
        """Write, let that be proposed, and fail where that ends the object."""

        async def section() -> None:
            await self.add()
            await asyncio.sleep(0.001)
            raise ValueError(secret)

        await self.ctx.block_concurrency_while(section)

    async def fails_at_once_in_a_section(self) -> None:
        """Write before a section, and in it, and fail there in the same step."""
        await self.add()

        async def section() -> None:
            await self.add()
            msg = "no"
            raise ValueError(msg)

        await self.ctx.block_concurrency_while(section)

    async def aborts(self, secret: str) -> None:
        """End the object without having written."""
        self.ctx.abort(secret)

    async def fails_in_a_section_without_writing(self) -> None:
        """Fail where that ends the object."""
        await self.ctx.block_concurrency_while(self._fail)

    async def _fail(self) -> None:
        msg = "no"
        raise ValueError(msg)

    async def aborts_after_a_transaction(self) -> None:
        """End the object when a transaction is over, and something else is written."""

        async def work(transaction: Transaction) -> None:
            await transaction.put("in", 1)

        await self.storage.transaction(work)
        await self.storage.put("after", 1)
        self.ctx.abort("enough")

    async def asks(self, other: str) -> Value:
        """Call another object, and then wait for a door."""
        result: Value = await self.env.object("Odd", other).add(10)
        await DOORS["a"].wait()
        return result

    async def writes_and_asks(self, other: str) -> Value:
        """Write, and call another object."""
        await self.add()
        result: Value = await self.env.object("Odd", other).add(10)
        return result

    async def writes_and_syncs(self) -> None:
        """Write, and wait until that is durable."""
        await self.add()
        await self.storage.sync()

    async def passes_a_list(self, other: str) -> Value:
        """Pass a list to another object, which keeps and changes it."""
        mine = [1]
        await self.env.object("Odd", other).takes_a_list(mine)
        return mine

    async def takes_a_list(self, theirs: list[int]) -> None:
        """Change what was passed."""
        theirs.append(2)

    async def later(self, door: str) -> None:
        """Let something go on beside."""

        async def work() -> None:
            await DOORS[door].wait()
            await self.add()

        self.ctx.wait_until(work())

    async def later_without_telling(self, door: str) -> None:
        """Do the same with a task that nobody knows of."""

        async def work() -> None:
            await DOORS[door].wait()
            await self.add()

        self.task = asyncio.create_task(work())

    async def section_without_waiting(self, door: str) -> None:
        """Begin a section, and end without it."""

        async def work() -> None:
            await DOORS[door].wait()
            await self.add()

        self.ctx.block_concurrency_while(work)

    async def too_many_later(self) -> int:
        """Let more go on beside than may be; tell how many could."""
        for count in range(10_000):
            try:
                await self.later("b")
            except OverloadedError:
                return count
        return -1

    async def writes_too_much(self) -> None:
        """Write as much as one entry takes, and a little more."""
        await self.add()
        for n in range(130):
            await self.storage.put(f"k{n:03}", bytes(127 * 1024))

    async def says_what_is_no_text(self) -> None:
        """Write, and raise what cannot be encoded."""
        await self.add()
        msg = "\udc80"
        raise ValueError(msg)

    async def transaction_left_behind(self, door: str) -> None:
        """Begin a transaction within a section, and do not wait for it."""

        async def work(rows: Transaction) -> None:
            await DOORS[door].wait()
            await rows.put("value", 7)

        async def section() -> None:
            self.task = asyncio.create_task(self.storage.transaction(work))

        await self.ctx.block_concurrency_while(section)


class Unborn(DurableObject):
    """Cannot be made."""

    def __init__(self, ctx: ObjectContext, env: Environment) -> None:
        super().__init__(ctx, env)
        msg = "no"
        raise ValueError(msg)

    async def value(self) -> None:
        """Do nothing."""


class Stillborn(DurableObject):
    """Does not come to the end of its beginning."""

    def __init__(self, ctx: ObjectContext, env: Environment) -> None:
        super().__init__(ctx, env)
        ctx.block_concurrency_while(self._begin)

    async def _begin(self) -> None:
        msg = "no"
        raise ValueError(msg)

    async def value(self) -> None:
        """Do nothing."""
