"""
The road of one call of an object's method.

Objects have connections of their own: a shard that nobody leads just now, or a method
that takes long, is no reason to take the keys' operations to another node.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final, Generic, NamedTuple, TypeVar

import grpc
from google.protobuf.message import Message

from kvnode._pb import objects_pb2
from kvnode.client.attempts import Attempts, Failed
from kvnode.client.connection import Connection, StreamKind
from kvnode.client.direct_calls import dial_calls
from kvnode.client.dispatcher import server_millis
from kvnode.client.error_map import error_of
from kvnode.client.leaders import Leaders
from kvnode.client.retry import is_harmless
from kvnode.errors import (
    InvalidArgumentError,
    KvError,
    PeerProtocolError,
    RejectedError,
)
from kvnode.framing import embedded
from kvnode.object_limits import CALL_BYTES_MAX

_SERVICE = "/kvnode.v1.Objects"
_ADMIN = "/kvnode.v1.ObjectsAdmin"


def no_objects(address: str, because: str = "") -> RejectedError:
    """Return the error for a node that has no such service."""
    del because  # it says no more than that the method is unknown
    return RejectedError(f"the node at {address} serves no objects")


_CALLS = StreamKind(
    f"{_SERVICE}/Calls", objects_pb2.CallFrameReply, no_objects, dial_calls
)


ReplyT = TypeVar("ReplyT", bound=Message)


class UnaryMethod(NamedTuple, Generic[ReplyT]):
    """A method of nodes that takes one message: its full name, and its reply."""

    path: str
    reply: type[ReplyT]


STATUS: Final = UnaryMethod(f"{_SERVICE}/Status", objects_pb2.ObjectsStatusReply)
BOOKMARK: Final = UnaryMethod(f"{_SERVICE}/Bookmark", objects_pb2.BookmarkReply)
RESTORE: Final = UnaryMethod(f"{_SERVICE}/Restore", objects_pb2.RestoreReply)
LOCATE: Final = UnaryMethod(f"{_SERVICE}/Locate", objects_pb2.LocateReply)
ALARM: Final = UnaryMethod(f"{_SERVICE}/Alarm", objects_pb2.AlarmReply)
SET_ALARM: Final = UnaryMethod(f"{_SERVICE}/SetAlarm", objects_pb2.AlarmReply)
SHARDS: Final = UnaryMethod(f"{_ADMIN}/Shards", objects_pb2.ShardsReply)
MOVE: Final = UnaryMethod(f"{_ADMIN}/Move", objects_pb2.MoveShardReply)
LEAD: Final = UnaryMethod(f"{_ADMIN}/Lead", objects_pb2.LeadShardReply)
FOUND: Final = UnaryMethod(f"{_ADMIN}/Found", objects_pb2.FoundShardReply)
REPLACE_VOTER: Final = UnaryMethod(
    f"{_ADMIN}/ReplaceVoter", objects_pb2.ReplaceVoterReply
)


class ObjectDispatcher(Attempts[objects_pb2.ObjectCallResult]):
    """Sends calls to one of *addresses*; made within a loop."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        credentials: grpc.ChannelCredentials | None,
        direct: bool | None = None,
    ) -> None:
        """
        Ask nodes when there is something to ask.

        Args:
            addresses: Of nodes, the first one preferred.
            credentials: For TLS; None for none.
            direct: Whether nodes are dialed without gRPC; None = unless something is
                in between.
        """
        kind = _CALLS
        if direct is not None:
            dial = partial(dial_calls, anywhere=True) if direct else None
            kind = kind._replace(dial=dial)
        super().__init__(addresses, kind, credentials=credentials)
        self._stamp = objects_pb2.ObjectCall()  # id and deadline of the latest attempt
        several = len(addresses) > 1
        self._leaders: Leaders[objects_pb2.ObjectCallResult] = Leaders(
            {
                address: partial(self.new_pool, (address,))
                for address in addresses
                if several
            }
        )

    async def call(
        self,
        request: bytes,
        which: bytes,
        *,
        writes: bool,
        repeatable: bool,
        deadline: float,
    ) -> objects_pb2.ObjectValue:
        """
        Send *request* until it is answered, or must be given up.

        Args:
            request: A CallRequest, complete but for its deadline, by `request_part`.
            which: Of which object, serialized.
            writes: Whether the method changes anything.
            repeatable: Whether it does no harm if it is sent twice.
            deadline: Seconds from now, > 0.

        Raises:
            KvError: See `repeat`.
        """
        size_bytes = len(request)
        if size_bytes > CALL_BYTES_MAX:
            msg = f"the call has {size_bytes} bytes; at most {CALL_BYTES_MAX} are taken"
            raise InvalidArgumentError(msg)
        expires_at = self._time() + deadline
        failed: Failed[objects_pb2.ObjectCallResult] | None = None
        ready = self.pool.ready
        leader = self._leaders.known(which, ready)
        asked = leader or ready
        if asked is not None:
            try:
                return await self._attempt(request, which, asked, expires_at)
            except KvError as error:
                if asked is ready:
                    failed = asked, error
                else:
                    self._leaders.forget(which)
                    if not is_harmless(error, writes=writes, repeatable=repeatable):
                        raise
        return await self.repeat(
            partial(self._attempt, request, which),
            writes=writes,
            deadline=expires_at - self._time(),
            repeatable=repeatable,
            failed=failed,
        )

    async def close(self) -> None:
        """Fail what is under way, close all connections, cancel all timers."""
        await self._leaders.close()
        await super().close()

    async def call_once(
        self,
        request: objects_pb2.CallRequest,
        *,
        connect_seconds: float,
        deadline: float,
    ) -> objects_pb2.ObjectValue:
        """
        Send *request*, of whatever size, to whoever is connected, and never again.

        Args:
            request: Complete but for its deadline.
            connect_seconds: How long to wait for a connection, > 0.
            deadline: Seconds from now, > 0.

        Raises:
            KvError: `outcome` says whether it may have happened.
        """
        expires_at = self._time() + deadline
        connection = self.pool.ready
        if connection is None:
            connection = await self.pool.connect(self._time() + connect_seconds)
        part = request_part(request.SerializeToString())
        return await self._attempt(part, b"", connection, expires_at)

    async def _attempt(
        self,
        request: bytes,
        which: bytes,
        connection: Connection[objects_pb2.ObjectCallResult],
        expires_at: float,
    ) -> objects_pb2.ObjectValue:
        stamp, identifier = self._stamp, next(self._ids)
        stamp.id = identifier
        stamp.call.deadline_ms = server_millis(expires_at - self._time())
        payload = stamp.SerializeToString() + request
        if not self._gate.try_enter(len(payload)):
            await self._gate.enter(len(payload), expires_at)
        result = await connection.submit(identifier, payload, expires_at)
        match result.WhichOneof("kind"):
            case "reply":
                reply = result.reply
                self._leaders.told(which, reply.leader)
                return reply.result
            case "error":
                raise error_of(result.error, namespace="")
            case _:
                msg = f"{connection.address} answered a call with nothing"
                raise PeerProtocolError(msg)

    async def unary_call(
        self,
        method: "UnaryMethod[ReplyT]",
        request: Message,
        *,
        writes: bool,
        deadline: float,
    ) -> ReplyT:
        """
        Call *method* of a node.

        Args:
            method: Which one.
            request: What is asked.
            writes: Whether it changes anything.
            deadline: Seconds from now, > 0.

        Raises:
            KvError: See `repeat`.
        """

        async def invoke(
            connection: Connection[objects_pb2.ObjectCallResult], remaining: float
        ) -> ReplyT:
            call: grpc.aio.UnaryUnaryMultiCallable[Message, ReplyT]
            call = connection.channel.unary_unary(
                method.path,
                request_serializer=_serialized,
                response_deserializer=method.reply.FromString,
            )
            try:
                return await call(request, timeout=remaining)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    raise no_objects(connection.address) from error
                raise

        return await self.unary(invoke, namespace="", writes=writes, deadline=deadline)


def request_part(request: bytes) -> bytes:
    """Return a serialized CallRequest as a part of the ObjectCall that it goes in."""
    return embedded(objects_pb2.ObjectCall.CALL_FIELD_NUMBER, request)


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()
