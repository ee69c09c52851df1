"""
Trying: until a request is answered, or must be given up.

What fails is tried again at the next endpoint where kvnode.client.retry allows that.
The deadline covers everything: connecting, waiting for room, retries and pauses.
"""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import grpc

from kvnode.client.batching import Result
from kvnode.client.connection import Connection, StreamKind
from kvnode.client.error_map import error_of_rpc
from kvnode.client.gate import Gate
from kvnode.client.pool import Pool
from kvnode.client.retry import (
    ATTEMPT_SECONDS_MIN,
    Decision,
    decide,
    pause_seconds,
)
from kvnode.deadlines import Deadlines
from kvnode.errors import ConnectionLostError, KvError, Outcome

Reply = TypeVar("Reply")


Failed = tuple[Connection[Result], KvError]
"""An attempt that was made, and what came of it."""


class Attempts(Generic[Result]):
    """Asks one of several nodes, over streams of one kind; made within a loop."""

    def __init__(
        self,
        addresses: Sequence[str],
        kind: StreamKind[Result],
        *,
        credentials: grpc.ChannelCredentials | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._time = loop.time
        self._gate = Gate()
        self._deadlines = Deadlines(loop)
        self._ids = itertools.count(1)
        self._kind = kind
        self._credentials = credentials
        self.pool = self.new_pool(addresses)

    def new_pool(self, addresses: Sequence[str]) -> Pool[Result]:
        """Return connections that count like those of `pool`; close them yourself."""
        return Pool(
            addresses,
            self._kind,
            credentials=self._credentials,
            gate=self._gate,
            deadlines=self._deadlines,
        )

    async def repeat(
        self,
        attempt: Callable[[Connection[Result], float], Awaitable[Reply]],
        *,
        writes: bool,
        deadline: float,
        repeatable: bool = False,
        failed: Failed[Result] | None = None,
    ) -> Reply:
        """
        Await *attempt* with a connection and the loop time at which to give up.

        Args:
            attempt: Asks one node, once.
            writes: Whether it changes anything.
            deadline: Seconds from now, > 0.
            repeatable: Whether it does no harm twice, though it may have happened.
            failed: The first attempt, if that was made before.

        Raises:
            KvError: Of the last attempt, but for a write of which an earlier one may
                have happened: then of that.  `outcome` holds for all of them.
        """
        expires_at = self._time() + deadline
        doubt: KvError | None = None
        attempts = 0
        while True:
            attempts += 1
            connection = self.pool.ready
            try:
                if failed is not None:
                    (connection, before), failed = failed, None
                    raise before
                if connection is None:
                    connection = await self.pool.connect(expires_at)
                return await attempt(connection, expires_at)
            except KvError as error:
                failure = error
            if writes and failure.outcome is Outcome.INDETERMINATE:
                doubt = failure
            try:
                await self._recover(
                    failure,
                    connection,
                    writes=writes,
                    repeatable=repeatable,
                    attempts=attempts,
                    expires_at=expires_at,
                )
            except KvError as error:
                if doubt is None or doubt is error:
                    raise
                raise doubt from error

    async def unary(
        self,
        invoke: Callable[[Connection[Result], float], Awaitable[Reply]],
        *,
        namespace: str,
        writes: bool,
        deadline: float,
    ) -> Reply:
        """
        Await *invoke* with a connection and the seconds left.

        Raises:
            KvError: See `repeat`.
        """

        async def attempt(connection: Connection[Result], expires_at: float) -> Reply:
            return await guarded(
                invoke(connection, expires_at - self._time()),
                namespace=namespace,
                address=connection.address,
                writes=writes,
            )

        return await self.repeat(attempt, writes=writes, deadline=deadline)

    def now(self) -> float:
        """Return the loop's time, in which deadlines are."""
        return self._time()

    async def close(self) -> None:
        """Fail what is under way, close all connections, cancel all timers."""
        await self.pool.close()
        self._deadlines.close()

    async def _recover(  # noqa: PLR0913 -- each is named at the call
        self,
        failure: KvError,
        connection: Connection[Result] | None,
        *,
        writes: bool,
        attempts: int,
        expires_at: float,
        repeatable: bool = False,
    ) -> None:
        """Get ready for the next attempt, or raise *failure* if none is due."""
        remaining = expires_at - self._time()
        endpoint_count = self.pool.endpoint_count
        decision = decide(
            failure,
            writes=writes,
            repeatable=repeatable,
            attempts=attempts,
            endpoint_count=endpoint_count,
            remaining=remaining,
        )
        if decision is Decision.GIVE_UP or self.pool.closed:
            raise failure
        if connection is not None:
            self.pool.move_on(connection)
        if decision is Decision.AFTER_PAUSE:
            chance = random.random()  # noqa: S311 - jitter is no secret
            pause = pause_seconds(attempts - endpoint_count + 1, chance)
            if remaining - pause < ATTEMPT_SECONDS_MIN:
                raise failure
            await asyncio.sleep(pause)


async def guarded(
    reply: Awaitable[Reply], *, namespace: str, address: str, writes: bool
) -> Reply:
    """
    Await *reply*, an RPC to *address*, and translate how it can fail.

    Raises:
        KvError: Instead of grpc's errors, and of the cancellation that grpc
            raises in a caller whose channel was closed under it.
    """
    try:
        return await reply
    except grpc.aio.AioRpcError as error:
        raise error_of_rpc(
            error, namespace=namespace, address=address, writes=writes
        ) from error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        msg = f"the connection to {address} was closed during the call"
        raise ConnectionLostError(msg) from None
