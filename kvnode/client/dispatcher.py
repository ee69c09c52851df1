"""
The road of one call: options, gate, frame, reply, and again if that is safe.

No call gets a task or a timer of its own: the caller's task awaits the reply's
future, and the wheel of kvnode.client.deadlines fails what takes too long.  The
deadline covers everything: connecting, waiting for room, retries and pauses.
"""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import grpc

from kvnode._pb import kv_pb2
from kvnode.client.connection import Connection
from kvnode.client.deadlines import Deadlines
from kvnode.client.error_map import error_of, error_of_rpc
from kvnode.client.gate import Gate
from kvnode.client.pool import Pool
from kvnode.client.retry import (
    ATTEMPT_SECONDS_MIN,
    Decision,
    decide,
    pause_seconds,
)
from kvnode.errors import (
    ConnectionLostError,
    InvalidArgumentError,
    KvError,
    PeerProtocolError,
)
from kvnode.limits import FRAME_BYTES_MAX

Reply = TypeVar("Reply")

SERVER_SHARE = 0.9
"""
Part of the time left that the node may spend waiting (S2, S4).

The rest is for the way back: the node's answer says what is missing, while our
own timer could only say that there was none.
"""


_PAYLOAD_BYTES_MAX = FRAME_BYTES_MAX - 16  # a frame around one operation adds 6


class Dispatcher:
    """Sends operations of *namespace* to one of *addresses*; made within a loop."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        namespace: str,
        credentials: grpc.ChannelCredentials | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._time = loop.time
        self._namespace = namespace
        self._gate = Gate()
        self._deadlines = Deadlines(loop)
        self._ids = itertools.count(1)
        self.pool = Pool(
            addresses,
            credentials=credentials,
            gate=self._gate,
            deadlines=self._deadlines,
        )

    async def run(
        self,
        operation: kv_pb2.Operation,
        options: kv_pb2.Options | None,
        *,
        expect: str,
        writes: bool,
        deadline: float,
    ) -> kv_pb2.OperationResult:
        """
        Send *operation* until it is answered, or must be given up.

        Args:
            operation: Complete but for its id.
            options: The message within *operation* that takes the deadline; None
                for operations that never wait.
            expect: Name of the result's field.
            writes: Whether the operation changes anything.
            deadline: Seconds from now, > 0.

        Raises:
            KvError: Of the last attempt; `outcome` holds for all of them.
        """
        started_at = self._time()
        expires_at = started_at + deadline
        attempts = 0
        while True:
            attempts += 1
            connection = self.pool.ready
            try:
                if connection is None:
                    connection = await self.pool.connect(expires_at)
                    started_at = self._time()
                if options is not None:
                    options.deadline_ms = _server_millis(expires_at - started_at)
                operation.id = identifier = next(self._ids)
                payload = operation.SerializeToString()
                if len(payload) > _PAYLOAD_BYTES_MAX:
                    raise _too_large(len(payload))
                if not self._gate.try_enter(len(payload)):
                    await self._gate.enter(len(payload), expires_at)
                result = await connection.submit(identifier, payload, expires_at)
                kind = result.WhichOneof("kind")
                if kind == expect:
                    return result
                failure = self._failure(result, kind, expect)
            except KvError as error:
                failure = error
            await self._recover(
                failure,
                connection,
                writes=writes,
                attempts=attempts,
                expires_at=expires_at,
            )
            started_at = self._time()

    async def unary(
        self,
        invoke: Callable[[grpc.aio.Channel, float], Awaitable[Reply]],
        *,
        namespace: str,
        writes: bool,
        deadline: float,
    ) -> Reply:
        """
        Await *invoke* with a connected channel and the seconds left.

        The rules for trying again are those of `run`.

        Raises:
            KvError: Of the last attempt; `outcome` holds for all of them.
        """
        expires_at = self._time() + deadline
        attempts = 0
        while True:
            attempts += 1
            connection = self.pool.ready
            try:
                if connection is None:
                    connection = await self.pool.connect(expires_at)
                remaining = expires_at - self._time()
                return await guarded(
                    invoke(connection.channel, remaining),
                    namespace=namespace,
                    address=connection.address,
                    writes=writes,
                )
            except KvError as error:
                failure = error
            await self._recover(
                failure,
                connection,
                writes=writes,
                attempts=attempts,
                expires_at=expires_at,
            )

    def now(self) -> float:
        """Return the loop's time, in which deadlines are."""
        return self._time()

    async def close(self) -> None:
        """Fail what is under way, close all connections, cancel all timers."""
        await self.pool.close()
        self._deadlines.close()

    def _failure(
        self, result: kv_pb2.OperationResult, kind: str | None, expect: str
    ) -> KvError:
        if kind == "error":
            return error_of(result.error, namespace=self._namespace)
        return PeerProtocolError(f"the node answered with {kind}, not {expect}")

    async def _recover(
        self,
        failure: KvError,
        connection: Connection | None,
        *,
        writes: bool,
        attempts: int,
        expires_at: float,
    ) -> None:
        """Get ready for the next attempt, or raise *failure* if none is due."""
        remaining = expires_at - self._time()
        endpoint_count = self.pool.endpoint_count
        decision = decide(
            failure,
            writes=writes,
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


def _too_large(size_bytes: int) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the request has {size_bytes} bytes, and {_PAYLOAD_BYTES_MAX} is the most that"
        " can be sent at once: split it"
    )


def _server_millis(remaining: float) -> int:
    return max(1, int(remaining * SERVER_SHARE * 1000))
