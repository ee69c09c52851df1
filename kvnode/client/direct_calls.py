"""
Dialing a node for calls of objects, without gRPC.

The node says over gRPC where, and how to know that it was found: see DirectReply in
proto/kvnode/v1/objects.proto.  Whatever goes wrong, calls go over gRPC, as they do to
nodes that are older, behind a proxy or a firewall, or spoken with under TLS.
"""

import asyncio
import logging
from typing import Final

import grpc

from kvnode._pb import objects_pb2 as pb
from kvnode.address import PORT_MAX, split_address
from kvnode.direct.stream import DirectStream, Frames, dialed
from kvnode.errors import PeerProtocolError, RoadError
from kvnode.limits import CALLER_DEAD_MILLIS, FRAME_BYTES_MAX

logger = logging.getLogger(__name__)

INVITATION_SECONDS_MAX: Final = 1.0
DIAL_SECONDS_MAX: Final = 1.0
"""Three round trips around the world."""

DIRECT_PATH: Final = "/kvnode.v1.Objects/Direct"

_FRAMES: Final = Frames(pb.CallFrameReply, FRAME_BYTES_MAX, CALLER_DEAD_MILLIS)


class DirectCalls:
    """See kvnode.client.connection.Stream."""

    def __init__(self, stream: DirectStream[pb.CallFrameReply]) -> None:
        """Read and write *stream*."""
        self.is_ending = False
        self.write = stream.write
        self.close = stream.close
        self._stream = stream

    async def read(self) -> pb.CallFrameReply | None:
        """Return the next frame of results."""
        frame = await self._stream.read()
        if frame is not None and frame.ending:
            self.is_ending = True
        return frame


async def dial_calls(
    channel: grpc.aio.Channel, address: str, *, anywhere: bool = False
) -> DirectCalls | None:
    """
    Return a stream of calls to a node; None if none is to be had.

    Args:
        channel: To the node.
        address: What the channel was made with.
        anywhere: Whether the node is dialed though something is in between, where
            that port may be mapped as it is, or somebody else's.
    """
    invitation = await _invitation(channel)
    if invitation is None or not (anywhere or _is_in_sight(invitation, address)):
        return None
    try:
        host, _ = split_address(address)
        async with asyncio.timeout(DIAL_SECONDS_MAX):
            stream = await dialed(
                _FRAMES, (host, invitation.port), seconds=DIAL_SECONDS_MAX
            )
            try:
                is_found = await _is_found(stream, invitation)
            except BaseException:
                stream.close()
                raise
    except (TimeoutError, RoadError, PeerProtocolError, ValueError) as error:
        because = str(error) or f"no answer within {DIAL_SECONDS_MAX:g} s"
    else:
        if is_found:
            return DirectCalls(stream)
        stream.close()
        because = "somebody else is there"
    logger.info(
        "calls of objects at %s go over gRPC: port %d, %s",
        address,
        invitation.port,
        because,
    )
    return None


def _is_in_sight(invitation: pb.DirectReply, address: str) -> bool:
    """Tell whether there is no tunnel before the node, and no fault proxy of a test."""
    try:
        return split_address(address)[1] == split_address(invitation.address)[1]
    except ValueError:
        return False


async def _invitation(channel: grpc.aio.Channel) -> pb.DirectReply | None:
    """Return how to dial the node; None if it is not to be dialed."""
    ask: grpc.aio.UnaryUnaryMultiCallable[bytes, pb.DirectReply]
    ask = channel.unary_unary(
        DIRECT_PATH, response_deserializer=pb.DirectReply.FromString
    )
    request = pb.DirectRequest().SerializeToString()
    try:
        invitation = await ask(request, timeout=INVITATION_SECONDS_MAX)
    except grpc.aio.AioRpcError:
        return None
    return invitation if 0 < invitation.port <= PORT_MAX else None


async def _is_found(
    stream: DirectStream[pb.CallFrameReply], invitation: pb.DirectReply
) -> bool:
    """Tell whether the other side is the node that has sent *invitation*."""
    question = pb.CallFrame(question=invitation.question)
    await stream.write(question.SerializeToString())
    first = await stream.read()
    return first is not None and first.answer == invitation.answer
