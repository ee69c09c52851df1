"""
Failover: which of several endpoints calls go to.

All calls go to one endpoint until it fails, and then to the next: staying keeps
sessions from waiting for replication.  An endpoint fails by being out of reach,
by losing its stream, by saying UNAVAILABLE, or by silence past a deadline.

However many callers wait for a connection, one task makes it, and only while
somebody waits.  It tries each endpoint once without delay, and then pauses before
each further round (kvnode.client.retry.pause_seconds).
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Generic

import grpc

from kvnode.client.batching import Result
from kvnode.client.connection import Connection, Endpoint, StreamKind
from kvnode.client.gate import Gate
from kvnode.client.retry import pause_seconds
from kvnode.deadlines import Deadlines
from kvnode.errors import UnavailableError


class Pool(Generic[Result]):
    """The endpoints at *addresses*, the first preferred at the start."""

    def __init__(
        self,
        addresses: Sequence[str],
        kind: StreamKind[Result],
        *,
        credentials: grpc.ChannelCredentials | None,
        gate: Gate,
        deadlines: Deadlines,
    ) -> None:
        assert addresses, "a client has an endpoint"
        self._endpoints = tuple(
            Endpoint(
                address,
                kind,
                credentials=credentials,
                gate=gate,
                deadlines=deadlines,
                on_trouble=self.move_on,
            )
            for address in dict.fromkeys(addresses)
        )
        self._index = 0
        self.ready: Connection[Result] | None = (
            None  # the one in use, while it is alive
        )
        # A dict for its order: calls go on in the order in which they came.
        self._waiting: dict[asyncio.Future[Connection[Result]], None] = {}
        self._connecting: asyncio.Task[None] | None = None
        self._last_failure = "no endpoint has answered yet"
        self.closed = False

    @property
    def endpoint_count(self) -> int:
        """How many endpoints there are."""
        return len(self._endpoints)

    def move_on(self, failed: Connection[Result]) -> None:
        """Go to the next endpoint, unless that has happened since *failed*."""
        if self._endpoints[self._index].address == failed.address:
            self._go_to_next()

    async def connect(self, expires_at: float) -> Connection[Result]:
        """
        Return a connection, waiting for one if need be.

        Raises:
            UnavailableError: There was none until loop time *expires_at*, or the
                pool is closed; nothing was sent.
        """
        if self.closed:
            raise _closed()
        if self.ready is not None:
            return self.ready
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Connection[Result]] = loop.create_future()
        self._waiting[waiter] = None
        if self._connecting is None or self._connecting.done():
            self._connecting = loop.create_task(
                self._connect(), name="kvnode client connecting"
            )
        try:
            async with asyncio.timeout_at(expires_at):
                return await waiter
        except TimeoutError:
            msg = f"no endpoint could be used before the deadline: {self._last_failure}"
            raise UnavailableError(msg) from None
        finally:
            self._waiting.pop(waiter, None)

    async def close(self) -> None:
        """Fail all calls and close all connections, for good."""
        if self.closed:
            return
        self.closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(_closed())
        for endpoint in self._endpoints:
            await endpoint.close("this client was closed")

    async def _connect(self) -> None:
        failures = 0
        while self._waiting:
            endpoint = self._endpoints[self._index]
            try:
                connection = await endpoint.connect()
            except UnavailableError as error:
                self._last_failure = str(error)
                self._go_to_next()
                failures += 1
                rounds, rest = divmod(failures, len(self._endpoints))
                if rest == 0:
                    chance = random.random()  # noqa: S311 - jitter is no secret
                    await asyncio.sleep(pause_seconds(rounds, chance))
                continue
            self.ready = connection
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(connection)
            return

    def _go_to_next(self) -> None:
        self._index = (self._index + 1) % len(self._endpoints)
        self.ready = self._endpoints[self._index].connection


def _closed() -> UnavailableError:
    return UnavailableError("this client is closed: make a new one")
