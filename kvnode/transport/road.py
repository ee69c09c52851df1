"""
The road to peers: streams of messages, whatever carries them.

The pool decides whom to dial and which connection to keep; a road only opens
streams.  gRPC is one (kvnode.transport.grpc_road), a simulated network another.
"""

from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import NamedTuple, Protocol, TypeVar

MessageT_co = TypeVar("MessageT_co", covariant=True)


class Stream(Protocol[MessageT_co]):
    """Messages of one kind both ways, in order each way, until either side ends it."""

    async def read(self) -> MessageT_co | None:
        """
        Return the next message, or None at the end of the stream.

        Raises:
            RoadError: The stream has broken.
        """

    async def write(self, message: bytes) -> None:
        """
        Send an encoded message; returns when there is room for the next.

        Raises:
            RoadError: The stream has broken.
        """


class Road(Protocol[MessageT_co]):
    """Opens streams to nodes by address."""

    def open(self, address: str) -> AbstractAsyncContextManager[Stream[MessageT_co]]:
        """
        Return a stream to whoever listens at *address*, open while entered.

        It is connected by then, which may take for ever.  So what is said first is of
        that moment, and not of the one in which it was dialed.

        Raises:
            RoadError: Nobody answers there.
        """


class Ending(Enum):
    """Why a stream that was accepted is over."""

    CUT = "the road is cut for now"
    REFUSED = "the other side must not be met"
    OVER = "it was met, and that has ended"


class Farewell(NamedTuple):
    """What to tell whoever dialed when their stream is over."""

    ending: Ending
    reason: str
