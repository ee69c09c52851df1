"""
Serving deltas: one snapshot each, a few pages ahead of the peer.

An open snapshot keeps old pages of the store from reuse, so sessions are few,
they end when the peer goes quiet, and the peer asks again (rules D1, D10).
"""

import asyncio
import logging
from collections.abc import Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication.delta import delta_pages
from kvnode.core.replication.messages import DeltaPage
from kvnode.core.versions.store_view import StoreView
from kvnode.errors import CorruptRecordError
from kvnode.storage.port import Store
from kvnode.transport.port import Transport
from kvnode.types import ReplicaId

logger = logging.getLogger(__name__)

WINDOW_PAGES = 8
"""Pages in flight: 2 MiB a round trip keeps a long link busy."""

QUIET_SECONDS_MAX = 20.0


@dataclass(slots=True)
class _Serving:
    session: int
    snapshot: AbstractContextManager[StoreView]
    pages: Generator[DeltaPage]
    acknowledged: int
    task: asyncio.Task[None] | None
    paced: asyncio.Event


class DeltaServer:
    """The deltas that one node is sending."""

    def __init__(
        self, store: Store, transport: Transport, *, page_bytes: int, sessions_max: int
    ) -> None:
        self._store = store
        self._transport = transport
        self._page_bytes = page_bytes
        self._sessions_max = sessions_max
        self._serving: dict[ReplicaId, _Serving] = {}

    def serve(self, peer: ReplicaId, session: int, clock: VersionVector) -> None:
        """Begin to send *peer* what *clock* lacks; an older session of it ends."""
        self.end(peer)
        if len(self._serving) >= self._sessions_max:
            reason = f"{self._sessions_max} deltas are being served; ask again later"
            refusal = DeltaPage(session, 0, EMPTY, (), last=True, refused=reason)
            self._transport.send(peer, refusal)
            return
        snapshot = self._store.snapshot()
        view = snapshot.__enter__()
        pages = delta_pages(view, clock, session=session, page_bytes=self._page_bytes)
        serving = _Serving(session, snapshot, pages, -1, None, asyncio.Event())
        self._serving[peer] = serving
        serving.task = asyncio.create_task(self._send_pages(peer, serving))

    def pace(
        self, peer: ReplicaId, session: int, number: int, *, abandoned: bool
    ) -> None:
        """The peer has all pages up to *number*, or has given the session up."""
        serving = self._serving.get(peer)
        if serving is None or serving.session != session:
            return
        if abandoned:
            self.end(peer)
            return
        serving.acknowledged = max(serving.acknowledged, number)
        serving.paced.set()

    def close(self) -> None:
        """End all sessions and release their snapshots."""
        for peer in list(self._serving):
            self.end(peer)

    def end(self, peer: ReplicaId) -> None:
        """End what is being sent to *peer*, if anything, and release it."""
        serving = self._serving.pop(peer, None)
        if serving:
            if serving.task and serving.task is not asyncio.current_task():
                serving.task.cancel()
            serving.pages.close()
            serving.snapshot.__exit__(None, None, None)

    async def _send_pages(self, peer: ReplicaId, serving: _Serving) -> None:
        try:
            for page in serving.pages:
                self._transport.send(peer, page)
                # One page at a time between other things that the loop must do.
                await asyncio.sleep(0)
                while page.number - serving.acknowledged >= WINDOW_PAGES:
                    serving.paced.clear()
                    async with asyncio.timeout(QUIET_SECONDS_MAX):
                        await serving.paced.wait()
        except TimeoutError:
            logger.info("delta %d: the peer went quiet", serving.session)
        except CorruptRecordError:
            logger.exception("delta %d cannot be read", serving.session)
        finally:
            if self._serving.get(peer) is serving:
                self.end(peer)
