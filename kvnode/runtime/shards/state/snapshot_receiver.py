"""
Taking in states that other nodes send.

Pages are taken in their order, each acknowledged once the state's file has it; the last
one is when the whole is durably in place.  What comes twice is acknowledged again, what
comes too early is sent again.  A picture that goes silent is given up, and so is one of
an epoch that has passed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kvnode.core.objects.messages import NO_MORE_PAGES, PagesTaken, SnapshotPage
from kvnode.core.objects.quorum_log import Position
from kvnode.errors import KvError, UnavailableError
from kvnode.runtime.background import Background
from kvnode.runtime.shards.state.applier import Applier
from kvnode.runtime.shards.state.snapshot_sender import Send
from kvnode.storage.shards.state_port import StateInstall
from kvnode.types import ReplicaId

logger = logging.getLogger(__name__)

RECEIVING_MAX: Final = 4
"""States taken in at a time; pages of others are dropped, and sent again."""

WAITING_PAGES_MAX: Final = 8
"""Twice what a correct peer has under way: it sends again what takes long."""

SILENCE_SECONDS_MAX: Final = 15.0
"""Longer than who sends is patient, so that it is the first to give up."""


@dataclass(slots=True, eq=False)
class _Session:
    """A state that one replica sends."""

    shard: str
    sender: ReplicaId
    epoch: int
    picture: int
    base: Position
    waiting: deque[SnapshotPage] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    taken: int = 0

    async def page(self) -> SnapshotPage:
        """
        Return the next page that has come.

        Raises:
            UnavailableError: None does any more.
        """
        try:
            async with asyncio.timeout(SILENCE_SECONDS_MAX):
                while not self.waiting:
                    self.arrived.clear()
                    await self.arrived.wait()
        except TimeoutError as error:
            msg = f"nothing more came after page {self.taken}"
            raise UnavailableError(msg) from error
        return self.waiting.popleft()


class SnapshotReceiver:
    """All states that are on their way to one node."""

    def __init__(
        self,
        send: Send,
        background: Background,
        *,
        promised: Callable[[str], int],
        arrived: Callable[[str, ReplicaId, int, Position], None],
    ) -> None:
        """
        Begin with none.

        Args:
            send: Sends a message, which may be lost.
            background: Where the work is done.
            promised: Returns which epoch a shard's replica has promised.
            arrived: Told of which shard what entries up to a position did is here,
                durably, from whom, and in which epoch.
        """
        self._send = send
        self._background = background
        self._promised = promised
        self._arrived = arrived
        self._sessions: dict[str, _Session] = {}
        self._work: dict[str, asyncio.Task[None]] = {}

    def heard(
        self, shard: str, sender: ReplicaId, page: SnapshotPage, applier: Applier
    ) -> None:
        """Take in a page, or begin with a picture."""
        session = self._sessions.get(shard)
        if (
            session is None
            or session.picture != page.picture
            or session.sender != sender
        ):
            if page.number != 1 or page.epoch < self._promised(shard):
                self._send(sender, shard, PagesTaken(page.epoch, page.picture, 0))
                return
            if session is not None and not _gives_way(session, sender, page):
                return
            session = self._begin(shard, sender, page, applier)
        if session is not None and len(session.waiting) < WAITING_PAGES_MAX:
            session.waiting.append(page)
            session.arrived.set()

    def _begin(
        self, shard: str, sender: ReplicaId, page: SnapshotPage, applier: Applier
    ) -> _Session | None:
        if self._sessions.pop(shard, None) is not None:
            self._work.pop(shard).cancel()
        if len(self._sessions) >= RECEIVING_MAX:
            return None
        session = _Session(shard, sender, page.epoch, page.picture, page.base)
        self._sessions[shard] = session
        self._work[shard] = self._background.start(self._run(session, applier))
        return session

    async def _run(self, session: _Session, applier: Applier) -> None:
        try:
            with applier.used():
                await self._take_in(session, applier)
        except (KvError, OSError) as error:
            logger.warning(
                "the state of shard %s that replica %016x has sent was given up: %s",
                session.shard,
                session.sender,
                error,
            )
        else:
            self._arrived(session.shard, session.sender, session.epoch, session.base)
        if self._sessions.get(session.shard) is session:
            del self._sessions[session.shard], self._work[session.shard]

    async def _take_in(self, session: _Session, applier: Applier) -> None:
        install = await applier.begin_install()
        try:
            await self._take_pages(session, applier, install)
            await applier.finish_install(install, session.base)
        finally:
            await install.abandon()
        self._acknowledge(session, NO_MORE_PAGES)

    async def _take_pages(
        self, session: _Session, applier: Applier, install: StateInstall
    ) -> None:
        """
        Take in pages up to the last one, or until the state has all that is in them.

        The log may bring that meanwhile; and after a crash behind `finish_install` the
        state has it from the beginning, though its log does not say so.
        """
        while not applier.has(session.base):
            page = await session.page()
            if self._promised(session.shard) > session.epoch:
                msg = f"epoch {session.epoch} has passed"
                raise UnavailableError(msg)
            if page.number == session.taken + 1:
                if not page.rows:
                    return
                await install.add(page.rows)
                session.taken += 1
            self._acknowledge(session, session.taken)

    def _acknowledge(self, session: _Session, number: int) -> None:
        message = PagesTaken(session.epoch, session.picture, number)
        self._send(session.sender, session.shard, message)


def _gives_way(session: _Session, sender: ReplicaId, page: SnapshotPage) -> bool:
    """Tell whether a new picture takes the place of one that is on its way."""
    return page.epoch > session.epoch or (
        page.epoch == session.epoch and sender == session.sender
    )
