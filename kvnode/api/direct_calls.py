"""
Calls over plain TCP: the frames of `Calls`, without gRPC.

A client asks over gRPC where to dial (`Direct`), and is told a question and its answer
with it: so it knows who has answered at that port, and this node that it was asked.
What it is told is of this run of the node alone, and holds until that ends.

Whoever breaks a rule is not told why, but in the log: that has no place in a frame, and
the library breaks none.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from hmac import compare_digest
from secrets import token_bytes
from typing import Final

from kvnode._pb import objects_pb2 as pb
from kvnode.api.objects_port import ObjectsPort
from kvnode.api.results import call_stream
from kvnode.direct.stream import DirectStream, Frames
from kvnode.errors import KvError, PeerProtocolError, RoadError
from kvnode.limits import CALLER_DEAD_MILLIS, FRAME_BYTES_MAX
from kvnode.transport.direct_road import DirectDoor

logger = logging.getLogger(__name__)

QUESTION_BYTES_MAX: Final = 64
"""Of the first frame: whoever was not invited takes no memory."""

CALLS: Final = Frames(pb.UnreadCallFrame, QUESTION_BYTES_MAX, CALLER_DEAD_MILLIS)
"""What clients send."""

QUESTION_SECONDS_MAX: Final = 5.0
"""For whoever has dialed to say why: others may want the place."""

TOKEN_BYTES: Final = 16

_GONE: Final = "whoever has called is gone"


class DirectCalls:
    """
    Serves clients that dial this node.

    Attributes:
        invitation: How they do.
    """

    def __init__(
        self,
        objects: ObjectsPort,
        door: DirectDoor[pb.UnreadCallFrame],
        address: str,
    ) -> None:
        """
        Let whoever comes through *door* call *objects*.

        Args:
            objects: What is served.
            door: Of this node, for `CALLS`.
            address: host:port at which other nodes reach this one.
        """
        self.invitation = pb.DirectReply(
            port=door.port,
            address=address,
            question=token_bytes(TOKEN_BYTES),
            answer=token_bytes(TOKEN_BYTES),
        )
        self._objects = objects
        self._door = door
        self._streams: set[DirectStream[pb.UnreadCallFrame]] = set()
        self._is_ending = False
        self._changed = asyncio.Event()
        door.attach(self.accept)

    async def accept(
        self, stream: DirectStream[pb.UnreadCallFrame], origin: str
    ) -> None:
        """
        Do the calls of *stream*, until either side ends it.

        Raises:
            RoadError: It has broken.
        """
        if not await self._is_invited(stream) or self._is_ending:
            return
        stream.take(FRAME_BYTES_MAX)
        answer = pb.CallFrameReply(answer=self.invitation.answer)
        self._streams.add(stream)
        try:
            await stream.write(answer.SerializeToString())
            await call_stream(self._objects, stream.write).serve(self._frames(stream))
        except (KvError, PeerProtocolError) as error:
            logger.warning("calls from %s end: %s", origin, error)
        finally:
            self._streams.discard(stream)
            self._changed.set()

    async def end(self, seconds: float) -> None:
        """Let clients go elsewhere; return once all have gone, or after *seconds*."""
        self._is_ending = True
        ending = pb.CallFrameReply(ending=True).SerializeToString()
        for stream in self._streams:
            stream.try_write(ending)  # who does not read is not told, and is cut off
        try:
            async with asyncio.timeout(seconds):
                while self._streams:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            logger.warning("%d clients have not gone yet", len(self._streams))

    async def close(self) -> None:
        """Listen no more, and end all streams."""
        await self._door.close()

    async def _is_invited(self, stream: DirectStream[pb.UnreadCallFrame]) -> bool:
        """Tell whether whoever has dialed was told to."""
        try:
            async with asyncio.timeout(QUESTION_SECONDS_MAX):
                first = await stream.read()
        except (TimeoutError, PeerProtocolError):
            return False
        question = self.invitation.question
        if first is None or first.calls:
            return False
        return compare_digest(first.question, question)

    @staticmethod
    async def _frames(
        stream: DirectStream[pb.UnreadCallFrame],
    ) -> AsyncIterator[pb.UnreadCallFrame]:
        while (frame := await stream.read()) is not None:
            yield frame
        raise RoadError(_GONE)  # its calls would be answered to nobody
