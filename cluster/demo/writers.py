"""
Writers that go on, whatever happens, and remember what was acknowledged.

Each write has a key of its own, so that later every acknowledged one can be
looked for.  A write without an answer counts as unknown: it may be there.
"""

import asyncio
from itertools import pairwise
from time import monotonic

from kvnode.client import Client
from kvnode.errors import KvError, Outcome

WORKERS = 8
PAUSE_SECONDS = 0.02
"""8 writers with pauses of 20 ms make up to 400 writes/s: load, yet no race."""

ANSWER_SECONDS = 2.0


class Writers:
    """Writes `orders/<site>/…` at one node until told to stop."""

    def __init__(self, site: str, client: Client) -> None:
        self.site = site
        self.acknowledged: dict[bytes, bytes] = {}
        self.acknowledged_at: list[float] = []
        self.unknown = 0
        self.refused = 0
        self._client = client
        self._number = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to write, in several tasks."""
        self._tasks = [asyncio.create_task(self._write()) for _ in range(WORKERS)]

    async def stop(self) -> None:
        """Let the writes under way end, and begin no more."""
        tasks, self._tasks = self._tasks, []
        await asyncio.gather(*tasks)

    def longest_pause(self, since: float, until: float) -> float:
        """Return the longest time in seconds without an acknowledgement."""
        moments = [since]
        moments += [at for at in self.acknowledged_at if since < at < until]
        moments.append(until)
        return max(b - a for a, b in pairwise(moments))

    def count(self, since: float, until: float) -> int:
        """Return how many writes were acknowledged between two moments."""
        return sum(since < at < until for at in self.acknowledged_at)

    async def _write(self) -> None:
        while self._tasks:
            self._number += 1
            key = f"orders/{self.site}/{self._number:06}"
            value = f"order {self._number} taken in {self.site}"
            try:
                await self._client.put(key, value, deadline=ANSWER_SECONDS)
            except KvError as error:
                if error.outcome is Outcome.INDETERMINATE:
                    self.unknown += 1
                else:
                    self.refused += 1
            else:
                self.acknowledged[key.encode()] = value.encode()
                self.acknowledged_at.append(monotonic())
            await asyncio.sleep(PAUSE_SECONDS)
