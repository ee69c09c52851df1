"""Clients that count up counters, and know what they were told of that."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from kvnode.client import Client
from kvnode.errors import IndeterminateError, UnavailableError


class Adder:
    """Counts up one counter, and what it was told of that."""

    def __init__(self, client: Client, name: str) -> None:
        self.counter = client.object("Counter", name)
        self.acknowledged = 0
        self.in_doubt = 0
        self.highest = 0

    async def add(self) -> None:
        """Add one, for ever."""
        while True:
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
async def adding(clients: Sequence[Client], count: int) -> AsyncIterator[list[Adder]]:
    """Yield adders at work, and check each in the end."""
    adders = [
        Adder(clients[number % len(clients)], f"c{number}") for number in range(count)
    ]
    tasks = [asyncio.create_task(adder.add()) for adder in adders]
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
