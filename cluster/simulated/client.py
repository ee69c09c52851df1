"""
Clients of simulated nodes: kvnode's own session, over the simulated network.

Values, tokens and errors are the client library's; only the road is another.
Each operation is tried once: a checker wants to know what became of it, not of
the next attempt.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import count

from cluster.simulated.chance import Stream
from cluster.simulated.network import Network
from cluster.simulated.service import FAILURE, OPERATION, WATCH
from cluster.simulated.stream import End, Host
from kvnode._pb import kv_pb2 as pb
from kvnode.client.arguments import prefix_bytes
from kvnode.client.dispatcher import SERVER_SHARE
from kvnode.client.error_map import error_of
from kvnode.client.replies import changes_of
from kvnode.client.retry import pause_seconds
from kvnode.client.session import Session
from kvnode.client.values import Changes, Key
from kvnode.errors import (
    ConnectionLostError,
    DeadlineError,
    KvError,
    PeerProtocolError,
    RejectedError,
    RoadError,
    UnavailableError,
)
from kvnode.types import DEFAULT_NAMESPACE

CONNECT_SECONDS_MAX = 1.5
"""As of the real client."""

DEADLINE_SECONDS = 5.0

Reply = asyncio.Future[pb.OperationResult]


class SimulatedDispatcher:
    """Sends operations to one node; see kvnode.client.store.Dispatching."""

    def __init__(self, network: Network, host: Host, address: str) -> None:
        self.address = address
        self._network = network
        self._host = host
        self._ids = count(1)
        self._end: End | None = None
        self._waiting: dict[int, Reply] = {}
        self._reading: asyncio.Task[None] | None = None

    async def run(
        self,
        operation: pb.Operation,
        options: pb.Options | None,
        *,
        expect: str,
        writes: bool,
        deadline: float,
    ) -> pb.OperationResult:
        """
        Send *operation* once, and return what it is answered with.

        Raises:
            KvError: `outcome` says whether it may have happened.
        """
        del writes  # nothing is repeated
        loop = asyncio.get_running_loop()
        expires_at = loop.time() + deadline
        end = await self._connected(min(expires_at, loop.time() + CONNECT_SECONDS_MAX))
        if options is not None:
            left = expires_at - loop.time()
            options.deadline_ms = max(1, int(left * SERVER_SHARE * 1000))
        operation.id = identifier = next(self._ids)
        reply: Reply = loop.create_future()
        self._waiting[identifier] = reply
        try:
            end.send_now(OPERATION + operation.SerializeToString())
            async with asyncio.timeout_at(expires_at):
                result = await reply
        except RoadError as error:
            msg = f"nothing was done at {self.address}: {error}"
            raise UnavailableError(msg) from error
        except TimeoutError:
            msg = f"no reply from {self.address} before the deadline"
            raise DeadlineError(msg) from None
        finally:
            self._waiting.pop(identifier, None)
        kind = result.WhichOneof("kind")
        if kind == "error":
            raise error_of(result.error, namespace=DEFAULT_NAMESPACE)
        if kind != expect:
            msg = f"the node answered with {kind}, not {expect}"
            raise PeerProtocolError(msg)
        return result

    async def dial(self, expires_at: float) -> End:
        """
        Return a new connection.

        Raises:
            UnavailableError: There was none until *expires_at*.
        """
        end = self._network.dial(self._host, self.address)
        try:
            async with asyncio.timeout_at(expires_at):
                await end.connection()
        except (RoadError, TimeoutError) as error:
            end.close("given up")
            msg = f"{self.address} cannot be reached: {error}"
            raise UnavailableError(msg) from error
        return end

    def close(self) -> None:
        """Hang up; what was sent and not answered is lost."""
        if self._end is not None:
            self._end.close("the client hung up")

    async def _connected(self, expires_at: float) -> End:
        if self._end is None or self._end.broken:
            # Several operations may come at once: they share one connection.
            end = await self.dial(expires_at)
            if self._end is None or self._end.broken:
                self._end = end
                self._reading = asyncio.create_task(self._read(end), name="replies")
            else:
                end.close("there is a connection already")
        return self._end

    async def _read(self, end: End) -> None:
        """Hand results to those who wait, until the connection ends."""
        try:
            while True:
                message = await end.receive()
                result = pb.OperationResult.FromString(message[1:])
                reply = self._waiting.pop(result.id, None)
                if reply is not None and not reply.done():
                    reply.set_result(result)
        except RoadError as error:
            waiting, self._waiting = self._waiting, {}
            for reply in waiting.values():
                if not reply.done():
                    msg = f"the connection to {self.address} was lost: {error}"
                    reply.set_exception(ConnectionLostError(msg))


class SimulatedClient(Session):
    """One process's session with one node; data methods as of `Client.session`."""

    def __init__(
        self,
        dispatcher: SimulatedDispatcher,
        pauses: Stream,
        *,
        token: bytes,
        deadline: float = DEADLINE_SECONDS,
    ) -> None:
        super().__init__(dispatcher, DEFAULT_NAMESPACE, deadline, token)
        self._own = dispatcher
        self._pauses = pauses

    def session(self, token: bytes = b"") -> Session:
        """Return another session on the same connection; see `Client.session`."""
        return Session(self._own, DEFAULT_NAMESPACE, self._deadline, token)

    async def close(self) -> None:
        """Hang up."""
        self._own.close()

    async def watch(
        self,
        prefix: Key = b"",
        *,
        resume_token: bytes = b"",
        from_start: bool = False,
        conflicts: bool = False,
    ) -> AsyncGenerator[Changes, None]:
        """
        Yield changes of keys with *prefix*, across failures; see `Client.watch`.

        Raises:
            RejectedError: The node says that no such watch can be.
        """
        request = pb.WatchRequest(
            prefix=prefix_bytes(prefix),
            resume_token=resume_token,
            from_start=from_start,
            conflicts=conflicts,
        )
        failures = 0
        while True:
            try:
                async with aclosing(_replies(self._own, request)) as replies:
                    async for reply in replies:
                        failures = 0
                        if reply.resume_token:
                            request.resume_token = reply.resume_token
                            request.from_start = False
                        yield changes_of(reply)
            except RejectedError:
                raise
            except (RoadError, KvError):
                failures += 1
            chance = self._pauses.between(0, 1, 0.5)
            await asyncio.sleep(pause_seconds(max(1, failures), chance))


async def _replies(
    dispatcher: SimulatedDispatcher, request: pb.WatchRequest
) -> AsyncGenerator[pb.WatchReply, None]:
    """Yield what the node sends, until the connection ends; raise KvError."""
    end = await dispatcher.dial(asyncio.get_running_loop().time() + CONNECT_SECONDS_MAX)
    try:
        await end.send(WATCH + request.SerializeToString())
        while True:
            message = await end.receive()
            if message[:1] == FAILURE:
                failure = pb.Error.FromString(message[1:])
                raise error_of(failure, namespace=DEFAULT_NAMESPACE)
            yield pb.WatchReply.FromString(message[1:])
    finally:
        end.close("the watch is over")
