"""Clients that count up counters, and know what they were told of that."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from kvnode.client import Client
from kvnode.errors import IndeterminateError, UnavailableError

FOUNDED_SECONDS = 30.0
GONE_ON_SECONDS = 20.0
"""A takeover lasts 1 to 3 s; a busy machine is no reason to fail."""


class Adder:
    """Counts up one counter, and what it was told of that."""

    def __init__(self, client: Client, name: str) -> None:
        self.counter = client.object("Counter", name)
        self.acknowledged = 0
        self.in_doubt = 0
        self.highest = 0

    async def add(self, pause_seconds: float) -> None:
        """Add one, for ever, with a pause before each."""
        while True:
            await asyncio.sleep(pause_seconds)
            try:
                answer = await self.counter.increment()
            except UnavailableError:
                await asyncio.sleep(0.05)
            except IndeterminateError:
                self.in_doubt += 1
            else:
                self.acknowledged += 1
                assert answer > self.highest, "an answer that went back"
                self.highest = answer

    async def check(self) -> None:
        """See that nothing acknowledged is lost, and nothing was done twice."""
        value = await self.counter.value()
        # One more may be under way when its caller is cancelled.
        most = self.acknowledged + self.in_doubt + 1
        assert self.acknowledged <= value <= most
        assert self.acknowledged > 0


@asynccontextmanager
async def adding(
    clients: Sequence[Client], count: int, *, pause_seconds: float = 0.0
) -> AsyncIterator[list[Adder]]:
    """Yield adders at work, and check each in the end."""
    adders = [
        Adder(clients[number % len(clients)], f"c{number}") for number in range(count)
    ]
    tasks = [asyncio.create_task(adder.add(pause_seconds)) for adder in adders]
    try:
        yield adders
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for adder in adders:
        await adder.check()


async def leaders(client: Client) -> Mapping[str, str]:
    """Return who leads each shard, as the node of *client* knows; may be empty."""
    status = await client.objects_status()
    return {shard.shard: shard.leader for shard in status.shards}


async def all_led(client: Client) -> None:
    """Wait until each shard has a leader."""
    async with asyncio.timeout(FOUNDED_SECONDS):
        while not all((await leaders(client)).values()):  # noqa: ASYNC110 -- a process
            await asyncio.sleep(0.05)


async def gone_on(adders: Sequence[Adder]) -> None:
    """Wait until every counter counts again."""
    before = [adder.acknowledged for adder in adders]
    async with asyncio.timeout(GONE_ON_SECONDS):
        for adder, then in zip(adders, before, strict=True):
            while adder.acknowledged <= then + 1:  # noqa: ASYNC110 -- of a process
                await asyncio.sleep(0.05)
