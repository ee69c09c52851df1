"""
Sending states to replicas that lack what has left the log.

A picture of the state is read page by page.  A few pages are under way at a time; who
takes them in says up to which it has them, which is also a sign of life.  Pages that
are lost are sent again, from the first that was not taken on.

Whatever happens, whoever asked for it (`SendSnapshot`) is told when it is over.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from kvnode.core.objects.messages import (
    SNAPSHOT_PAGE_BYTES_MAX,
    PagesTaken,
    SnapshotMessage,
    SnapshotPage,
)
from kvnode.core.objects.shard_replica import Uniform
from kvnode.errors import KvError
from kvnode.runtime.background import Background
from kvnode.runtime.shards.state.applier import Applier
from kvnode.runtime.shards.state.compaction import HELD_BYTES_MAX
from kvnode.storage.shards.state_port import StatePages
from kvnode.types import ReplicaId

logger = logging.getLogger(__name__)

SENDING_MAX: Final = 4
"""States on their way at a time, of all shards; others wait for their turn."""

WINDOW_PAGES: Final = 4
"""Under way at a time: 1 MiB, so 10 MiB/s over 100 ms, and no more of memory."""

RESEND_SECONDS: Final = 1.0
"""Pages that were not taken by then are sent again."""

SILENCE_SECONDS_MAX: Final = 10.0
"""Who says nothing for so long is away."""

AGAIN_SECONDS: Final = 1.0
"""Between a snapshot that came to nothing and being asked for the next one."""

CATCH_UP_SECONDS: Final = 60.0
"""For so long the log behind a picture is kept after it has been sent."""

_PICTURE_LAST: Final = (1 << 63) - 1
"""Two pictures of one sender hardly ever have the same number."""

Send = Callable[[ReplicaId, str, SnapshotMessage], None]


@dataclass(slots=True, eq=False)
class _Session:
    """A state on its way to one replica."""

    shard: str
    receiver: ReplicaId
    epoch: int
    picture: int
    sent: int = 0
    taken: int = 0
    heard_at: float = 0.0
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    flying: deque[SnapshotPage] = field(default_factory=deque)


@dataclass(slots=True)
class _Hold:
    """What of a log is kept for the sake of a picture."""

    base: int
    bytes_then: int
    until: float = float("inf")


class SnapshotSender:
    """All states that are on their way from one node."""

    def __init__(
        self,
        send: Send,
        background: Background,
        *,
        uniform: Uniform,
        promised: Callable[[str], int],
        ended: Callable[[str, ReplicaId], None],
    ) -> None:
        """
        Begin with none.

        Args:
            send: Sends a message, which may be lost.
            background: Where the work is done.
            uniform: Draws what tells pictures apart.
            promised: Returns which epoch a shard's replica has promised.
            ended: Told when the way of a state to a replica is over, however.
        """
        self._send = send
        self._background = background
        self._uniform = uniform
        self._promised = promised
        self._ended = ended
        self._slots = asyncio.Semaphore(SENDING_MAX)
        self._sessions: dict[tuple[str, ReplicaId], _Session] = {}
        self._work: dict[tuple[str, ReplicaId], asyncio.Task[None]] = {}
        self._holds: dict[tuple[str, ReplicaId], _Hold] = {}

    def begin(
        self, shard: str, receiver: ReplicaId, epoch: int, applier: Applier
    ) -> None:
        """Send the state of *shard*, unless it is on its way in this epoch already."""
        place = shard, receiver
        before = self._sessions.get(place)
        if before is not None:
            if before.epoch >= epoch:
                return
            self._work[place].cancel()
        picture = self._uniform(1, _PICTURE_LAST)
        session = self._sessions[place] = _Session(shard, receiver, epoch, picture)
        self._work[place] = self._background.start(self._run(session, applier))

    def heard(self, shard: str, sender: ReplicaId, message: PagesTaken) -> None:
        """Take in up to which page a replica has them."""
        session = self._sessions.get((shard, sender))
        if session is None or session.picture != message.picture:
            return
        session.heard_at = asyncio.get_running_loop().time()
        if message.number == 0 and session.taken:
            session.taken = session.sent + 1  # it has ended, or forgotten them
        else:
            session.taken = max(session.taken, message.number)
        session.heard.set()

    def held(self, shard: str, applied_bytes: int) -> int | None:
        """Return behind which entry of *shard* the log is needed, None if it is not."""
        now = asyncio.get_running_loop().time()
        for place, hold in list(self._holds.items()):
            if place[0] == shard and (
                hold.until <= now or applied_bytes - hold.bytes_then > HELD_BYTES_MAX
            ):
                del self._holds[place]
        holds = [hold.base for place, hold in self._holds.items() if place[0] == shard]
        return min(holds, default=None)

    async def _run(self, session: _Session, applier: Applier) -> None:
        place = session.shard, session.receiver
        try:
            async with self._slots:
                await self._send_state(session, applier)
        except (KvError, OSError) as error:
            logger.warning(
                "the state of shard %s was not sent to replica %016x: %s",
                session.shard,
                session.receiver,
                error,
            )
            await asyncio.sleep(AGAIN_SECONDS)
        if self._sessions.get(place) is session:
            del self._sessions[place], self._work[place]
            self._ended(session.shard, session.receiver)

    async def _send_state(self, session: _Session, applier: Applier) -> None:
        loop = asyncio.get_running_loop()
        place = session.shard, session.receiver
        session.heard_at = loop.time()
        with (
            applier.used(),
            closing(applier.state.pages(page_bytes=SNAPSHOT_PAGE_BYTES_MAX)) as pages,
        ):
            hold = _Hold(pages.base.number, applier.applied_bytes)
            self._holds[place] = hold
            try:
                await self._stream(session, pages)
            finally:
                hold.until = loop.time() + CATCH_UP_SECONDS

    async def _stream(self, session: _Session, pages: StatePages) -> None:
        """Send all pages, until the last is taken or nobody takes them."""
        loop = asyncio.get_running_loop()
        while self._promised(session.shard) <= session.epoch:
            await self._fill_window(session, pages)
            try:
                async with asyncio.timeout(RESEND_SECONDS):
                    await session.heard.wait()
            except TimeoutError:
                if loop.time() - session.heard_at > SILENCE_SECONDS_MAX:
                    return
                for page in session.flying:
                    self._send(session.receiver, session.shard, page)
            session.heard.clear()
            if session.taken > session.sent:
                return
            while session.flying and session.flying[0].number <= session.taken:
                if not session.flying.popleft().rows:
                    return

    async def _fill_window(self, session: _Session, pages: StatePages) -> None:
        """Send further pages, up to the one without rows, which is the last."""
        flying = session.flying
        while len(flying) < WINDOW_PAGES and (not flying or flying[-1].rows):
            rows = await pages.page()
            session.sent += 1
            page = SnapshotPage(
                session.epoch, session.picture, session.sent, pages.base, rows
            )
            flying.append(page)
            self._send(session.receiver, session.shard, page)
