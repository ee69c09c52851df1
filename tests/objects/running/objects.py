"""Classes of objects for tests, and a host that serves them on a fake log."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from kvnode.object_values import Value
from kvnode.objects.durable_object import DurableObject, Environment, ObjectContext
from kvnode.objects.object_id import ObjectId
from kvnode.objects.points.shard_history import HISTORY_DEFAULT, HistoryLimits
from kvnode.objects.private_map import Storage
from kvnode.objects.running.environment import Caller, NodeEnvironment
from kvnode.objects.running.instance import Instance
from kvnode.objects.running.object_host import ObjectHost
from kvnode.objects.storing.object_storage import Transaction
from kvnode.types import Millis
from tests.objects.running.fake_log import FakeLog

SHARD = "s000"
NOW = 1_700_000_000_000
DOORS: dict[str, asyncio.Event] = {}


class Counter(DurableObject):
    """Counts."""

    started = 0
    ended = 0

    def __init__(self, ctx: ObjectContext, env: Environment) -> None:
        super().__init__(ctx, env)
        Counter.started += 1

    async def increment(self, by: int = 1) -> int:
        """Add *by*."""
        value: int = await self.storage.get("value", 0)
        await self.storage.put("value", value + by)
        return value + by

    async def value(self) -> int:
        """Return the sum."""
        found: int = await self.storage.get("value", 0)
        return found

    async def value_later(self, door: str) -> int:
        """Await a door, and return the sum."""
        await DOORS[door].wait()
        return await self.value()

    async def slow(self, door: str) -> int:
        """Read, await a door, and write what was read and one more."""
        value: int = await self.storage.get("value", 0)
        await DOORS[door].wait()
        await self.storage.put("value", value + 1)
        return value + 1

    async def slow_alone(self, door: str) -> int:
        """Do the same while nothing else happens."""
        return await self.ctx.block_concurrency_while(lambda: self.slow(door))

    async def move(self, fail: bool) -> None:  # noqa: FBT001 -- called by name
        """Change two keys in a transaction."""

        async def work(txn: Transaction) -> None:
            await txn.put("a", 1)
            await asyncio.sleep(0)
            assert await txn.get("a") == 1
            assert await self.storage.get("a") is None
            await txn.put("b", 2)
            if fail:
                msg = "no"
                raise ValueError(msg)

        await self.storage.transaction(work)

    async def keys(self) -> list[str]:
        """Return what is stored."""
        return list(await self.storage.list())

    async def write_and_raise(self) -> None:
        """Write, and raise."""
        await self.increment()
        msg = "after writing"
        raise LookupError(msg)

    async def strange(self) -> object:
        """Return what cannot be passed on."""
        await self.increment()
        return object()

    async def wake_me(self, when: Value) -> None:
        """Ask for an alarm, without code for it."""
        await self.storage.set_alarm(when)  # type: ignore[arg-type]

    async def abort(self) -> None:
        """Write, and end the instance."""
        await self.storage.put("value", 100)
        await self.storage.sync()
        self.ctx.abort("enough")
        await asyncio.sleep(0)

    async def end(self) -> None:
        """End the instance without having written; count that."""
        Counter.ended += 1
        self.ctx.abort("enough")

    async def ask(self, other: str) -> Value:
        """Write, and call another object."""
        await self.increment()
        result: Value = await self.env.object("Counter", other).increment(10)
        return result


class Bell(DurableObject):
    """Has an alarm."""

    failures = 0

    def __init__(self, ctx: ObjectContext, env: Environment) -> None:
        super().__init__(ctx, env)
        self.began = False
        ctx.block_concurrency_while(self.begin)

    async def begin(self) -> None:
        """Begin slowly."""
        await asyncio.sleep(0)
        self.began = True

    async def set(self, when: int) -> bool:
        """Set the alarm."""
        await self.storage.set_alarm(when)
        return self.began

    async def due(self) -> int | None:
        """Return when it is due."""
        return await self.storage.get_alarm()

    async def rung(self) -> int:
        """Return how often it rang."""
        found: int = await self.storage.get("rung", 0)
        return found

    async def forget(self) -> None:
        """Delete everything."""
        await self.storage.delete_all()

    async def alarm(self) -> None:
        """Ring, or fail."""
        assert await self.storage.get_alarm() is None
        if Bell.failures:
            Bell.failures -= 1
            msg = "not yet"
            raise ValueError(msg)
        await self.storage.put("rung", await self.rung() + 1)


def call_at(host: ObjectHost) -> Caller:
    """Return what calls objects of the only shard of *host*."""

    async def call(
        target: ObjectId,
        method: str,
        arguments: tuple[Value, ...],
        named: dict[str, Value],
        location_hint: str,
    ) -> Value:
        return await host.call(
            SHARD, target, method, arguments, named, location_hint=location_hint
        )

    return call


class Site:
    """A host, its log, and its time."""

    def __init__(
        self,
        classes: dict[str, type[DurableObject]] | None = None,
        history: HistoryLimits = HISTORY_DEFAULT,
    ) -> None:
        self.now = NOW
        self.founded: list[str] = []
        self.founding: Callable[[], Awaitable[None]] | None = None
        self.host = ObjectHost(
            classes or {"Counter": Counter, "Bell": Bell, "Storage": Storage},
            env=self._env,
            now=lambda: Millis(self.now),
            chance=lambda: 0.5,
            found=self._found,
            history=history,
        )
        self.log = FakeLog(self.host)
        self.host.attach(self.log)
        self.host.opened(SHARD, 1, 0)

    def _env(self, instance: Instance) -> NodeEnvironment:
        return NodeEnvironment(instance, call_at(self.host))

    async def _found(self, shard: str) -> None:
        self.founded.append(shard)
        if self.founding is not None:
            await self.founding()

    def call(
        self,
        target: str,
        method: str,
        *arguments: Value,
        key: str = "",
        hint: str = "",
        shard: str = SHARD,
    ) -> asyncio.Task[Any]:
        """Call `Class name`."""
        class_name, name = target.split()
        id_ = ObjectId.from_name(class_name, name)
        calling = self.host.call(
            shard, id_, method, arguments, idempotency_key=key, location_hint=hint
        )
        return asyncio.create_task(calling)

    def reopen(self) -> None:
        """Lose the lead, and have it again."""
        self.host.closed(SHARD, 1)
        self.log.loss = None
        self.host.opened(SHARD, 2, self.log.rows.applied)


async def settled(turns: int = 50) -> None:
    """Return once everything that can run has run."""
    for _ in range(turns):
        await asyncio.sleep(0)


@asynccontextmanager
async def site(
    classes: dict[str, type[DurableObject]] | None = None,
    history: HistoryLimits = HISTORY_DEFAULT,
) -> AsyncIterator[Site]:
    """Yield a host that leads its only shard."""
    Counter.started, Counter.ended, Bell.failures = 0, 0, 0
    DOORS.clear()
    for name in "ab":
        DOORS[name] = asyncio.Event()
    made = Site(classes, history)
    try:
        yield made
    finally:
        made.host.closed(SHARD, 9)
        await settled()
