"""
What is on its way out on one stream: frames that wait, joined as they go.

Fields of a frame repeat, so the bytes of several, one after another, are the bytes of
one that holds all of it.  While one is written the next ones gather; so sixteen shards
that send in the same turn cost one write.

What finds no room is lost, as on a network, and so is what comes while the road is cut.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple

from kvnode._pb import shards_pb2 as pb
from kvnode.transport.link import Conditions

LANE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Four of the largest entries; a peer that lags by more has stopped reading."""

JOINED_BYTES_MAX: Final = 1024 * 1024
"""A frame is not made larger than that; heartbeats wait for no more before them."""


TryWrite = Callable[[bytes], bool]
"""Writes a frame if there is room for it at once; tells whether it has."""


class _Waiting(NamedTuple):
    """An encoded frame, and when it may go by the loop's clock."""

    due: float
    frame: bytes


class Lane:
    """The way out on one stream."""

    def __init__(self, conditions: Conditions) -> None:
        """Begin with nothing; *conditions* are those of the road, as they change."""
        self._conditions = conditions
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._closed = asyncio.Event()
        self._try_write: TryWrite | None = None  # while nothing is being written

    def send(self, frame: bytes) -> None:
        """Let *frame* wait for its turn; lost if there is no room, or after the end."""
        self.put(frame)
        self._arrived.set()

    def put(self, frame: bytes) -> None:
        """Do as `send` does, once `flush` is called."""
        if self._conditions.blocked or self._closed.is_set():
            return
        if self._waiting_bytes + len(frame) > LANE_BYTES_MAX:
            return
        due = asyncio.get_running_loop().time() + self._conditions.delay_ms / 1000
        self._waiting.append(_Waiting(due, frame))
        self._waiting_bytes += len(frame)

    def flush(self) -> None:
        """Let what waits go: at once, if the stream can take it."""
        now = asyncio.get_running_loop().time()
        while self._may_go(now):
            assert self._try_write is not None, "nothing is being written"
            joined = self._joined(now)
            if not self._conditions.blocked and not self._try_write(joined):
                self._waiting.appendleft(_Waiting(now, joined))
                self._waiting_bytes += len(joined)
                break
        if self._waiting:
            self._arrived.set()

    def _may_go(self, now: float) -> bool:
        is_due = bool(self._waiting) and self._waiting[0].due <= now
        return is_due and self._try_write is not None

    def close(self) -> None:
        """Let `pump` end after the write under way; what waits is lost."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self._closed.set()
        self._arrived.set()

    async def pump(
        self,
        write: Callable[[bytes], Awaitable[None]],
        try_write: TryWrite | None = None,
    ) -> None:
        """
        Write what waits, in its order, until closed.

        Args:
            write: Writes a frame, and returns when there is room for the next.
            try_write: Writes one if there is room at once, and tells whether it has;
                None if there is no such way.
        """
        loop = asyncio.get_running_loop()
        while not self._closed.is_set():
            self._try_write = try_write
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            pause = self._waiting[0].due - loop.time()
            if pause > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._closed.wait()
                continue
            self._try_write = None
            joined = self._joined(loop.time())
            if not self._conditions.blocked:
                await write(joined)

    def _joined(self, now: float) -> bytes:
        """Take the first frame, and those that may go with it."""
        frames: list[bytes] = []
        size_bytes = 0
        while self._waiting and self._waiting[0].due <= now:
            size_bytes += len(self._waiting[0].frame)
            if frames and size_bytes > JOINED_BYTES_MAX:
                break
            frames.append(self._waiting.popleft().frame)
        joined = b"".join(frames)
        self._waiting_bytes -= len(joined)
        return joined


def hello_frame(hello: pb.ShardHello) -> bytes:
    """Return the first frame of a stream."""
    return pb.ShardFrame(hello=hello).SerializeToString()
