"""
Watching a prefix, across lost connections and failing nodes.

Each step carries a token that is good at every node, so after a failure the watch
goes on where it was, at the next endpoint.  Of a key that changed several times,
the last state is certain to be seen.  A change may be seen twice.

The consumer's pace is the watch's: what it does not take waits at the node, by
HTTP/2 flow control.
"""

import asyncio
import math
import random
from collections.abc import AsyncGenerator

import grpc
from google.protobuf.message import Message

from kvnode._pb import kv_pb2
from kvnode.client.attempts import guarded
from kvnode.client.connection import Connection
from kvnode.client.dispatcher import Dispatcher
from kvnode.client.replies import changes_of
from kvnode.client.retry import pause_seconds
from kvnode.client.values import Changes
from kvnode.errors import KvError, RejectedError, UnavailableError

_WATCH = "/kvnode.v1.Kv/Watch"


async def watch(
    dispatcher: Dispatcher, request: kv_pb2.WatchRequest
) -> AsyncGenerator[Changes, None]:
    """
    Yield the steps of a watch until the consumer stops or the client closes.

    Args:
        dispatcher: Whose endpoints are asked.
        request: Where to begin; its token is moved on with each step.

    Raises:
        RejectedError: The node says that no such watch can be.
        UnavailableError: The client was closed.
    """
    pool = dispatcher.pool
    failures = 0
    while True:
        connection = await pool.connect(math.inf)
        try:
            async for reply in _replies(connection, request):
                failures = 0
                if reply.resume_token:
                    request.resume_token = reply.resume_token
                yield changes_of(reply)
        except RejectedError:
            raise
        except KvError as error:
            if pool.closed:
                msg = "this client was closed"
                raise UnavailableError(msg) from error
        pool.move_on(connection)
        failures += 1
        chance = random.random()  # noqa: S311 - jitter is no secret
        await asyncio.sleep(pause_seconds(failures, chance))


async def _replies(
    connection: Connection[kv_pb2.OperationResult], request: kv_pb2.WatchRequest
) -> AsyncGenerator[kv_pb2.WatchReply, None]:
    """Yield what one node sends, until it ends the stream; raise KvError."""
    call: grpc.aio.UnaryStreamCall[Message, kv_pb2.WatchReply] = (
        connection.channel.unary_stream(
            _WATCH,
            request_serializer=kv_pb2.WatchRequest.SerializeToString,
            response_deserializer=kv_pb2.WatchReply.FromString,
        )(request)
    )
    try:
        while True:
            reply = await guarded(
                call.read(),
                namespace=request.namespace,
                address=connection.address,
                writes=False,
            )
            if not isinstance(reply, kv_pb2.WatchReply):
                return
            yield reply
    finally:
        call.cancel()
