"""
Serving deltas: one snapshot each, a few pages ahead of the peer.

An open snapshot keeps old pages of the store from reuse, so sessions are few,
they end when the peer goes quiet, and the peer asks again (rules D1, D10).

A peer that was away for long can wait a little longer, and clients cannot.  So pages
are made in slices of a millisecond, each when the loop has nothing else to do, and
while it always has, all deltas together take a quarter of its time (rule D7).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from kvnode.core.clocks.version_vector import EMPTY
from kvnode.core.node.healing import PATIENCE
from kvnode.core.replication.delta import delta_pages
from kvnode.core.replication.messages import DeltaPage, DeltaRequest
from kvnode.core.versions.store_view import StoreView
from kvnode.errors import CorruptRecordError, DamagedRecordError
from kvnode.runtime.token_bucket import TokenBucket
from kvnode.storage.port import Store
from kvnode.transport.port import Transport
from kvnode.types import EntryKey, ReplicaId

logger = logging.getLogger(__name__)

WINDOW_PAGES = 8
"""Pages in flight: 2 MiB a round trip keeps a long link busy."""

QUIET_SECONDS_MAX = 20.0

DAMAGED_MAX = 1000
"""Damaged keys remembered; with more, the store is to be replaced."""

PATIENCE_SECONDS = PATIENCE / 1000 + 1
"""Deltas wait a little longer for a damaged record than its healing may take."""

PAUSE_SECONDS_MAX = 5.0
"""
All pauses between two pages: half of what a peer waits for one (SILENCE_MAX).

It asks another then, or this node again, from the beginning.
"""

PAUSE_FACTOR = 3.0
"""Of a busy node, what others have against what deltas take: a quarter is theirs."""

IDLE_SHARE = 0.1
"""A turn of the loop without work is shorter than this part of a slice."""

CREDIT_SECONDS_MAX = 0.015
"""Time that others have had beyond theirs: enough for a page without a pause."""

OnDamaged = Callable[[EntryKey], None]


class _Deference:
    """
    What one delta leaves to others (rule D7).

    A write takes a good many turns of the loop, one after the other, so that one turn
    for others would put a slice between any two of them.  And some of them begin in
    threads, of gRPC and of the disk, which hardly get a word in while the loop does not
    sleep.

    Where a turn takes long, what others have had beyond their part counts for the next
    slices: a delta that got one in each turn would never end.  Nor would one whose peer
    gave it up before a page came: where slices take long, of a disk that has to be
    waited for, it has more than its part.
    """

    def __init__(
        self,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        sessions: Callable[[], int] = lambda: 1,
    ) -> None:
        """
        Begin.

        Args:
            now: The loop's time in seconds.
            sleep: Waits for so many seconds, and for a turn of the loop at least.
            sessions: Tells how many deltas share the quarter, this one included.
        """
        self._sessions = sessions
        self._now = now
        self._sleep = sleep
        self._credit = 0.0
        self._left = PAUSE_SECONDS_MAX

    def page_sent(self) -> None:
        """Note that the peer has something: it waits anew."""
        self._left = PAUSE_SECONDS_MAX

    async def pause(self, seconds: float) -> None:
        """Return after *seconds*, or as many as the peer may be let wait."""
        seconds = min(seconds, self._left)
        if seconds > 0:
            self._left -= seconds
            await self._sleep(seconds)

    async def others_first(self, took: float) -> None:
        """
        Return once the loop has had a turn without work, or others had their part.

        Args:
            took: How many seconds the last slice kept the loop.
        """
        one_in = (PAUSE_FACTOR + 1) * self._sessions()
        owed = (one_in - 1) * took - self._credit
        self._credit = max(0.0, -owed)
        if self._credit:
            return
        patience = min(owed, self._left)
        began = self._now()
        while True:
            await self._sleep(min(took, patience))
            turn = self._now()
            await self._sleep(0)
            now = self._now()
            if now - turn <= IDLE_SHARE * took:
                break
            if now - began >= patience:
                beyond = max(0.0, now - began - owed)
                self._credit = min(beyond, CREDIT_SECONDS_MAX)
                break
        self._left = max(0.0, self._left - (now - began))


@dataclass(slots=True)
class _Serving:
    session: int
    snapshot: AbstractContextManager[StoreView]
    pages: Generator[DeltaPage | None]
    damaged: set[EntryKey]
    acknowledged: int
    task: asyncio.Task[None] | None
    paced: asyncio.Event


class DeltaServer:
    """The deltas that one node is sending."""

    def __init__(
        self,
        store: Store,
        transport: Transport,
        *,
        page_bytes: int,
        sessions_max: int,
        bootstrap_bytes_per_second: int = 0,
    ) -> None:
        self._store = store
        self._transport = transport
        self._page_bytes = page_bytes
        self._sessions_max = sessions_max
        self._bootstrap_rate = (
            TokenBucket(bootstrap_bytes_per_second)
            if bootstrap_bytes_per_second
            else None
        )
        self._serving: dict[ReplicaId, _Serving] = {}
        self._damaged: dict[EntryKey, float] = {}  # when they were noticed
        self._on_damaged: OnDamaged | None = None

    def attach(self, on_damaged: OnDamaged) -> None:
        """Tell *on_damaged* of keys whose records are found to be damaged."""
        self._on_damaged = on_damaged

    def serve(self, peer: ReplicaId, request: DeltaRequest) -> None:
        """Begin to send *peer* what it requests; an older session of it ends."""
        self.end(peer)
        session = request.session
        if len(self._serving) >= self._sessions_max:
            reason = f"{self._sessions_max} deltas are being served; ask again later"
            refusal = DeltaPage(session, 0, EMPTY, (), last=True, refused=reason)
            self._transport.send(peer, refusal)
            return
        snapshot = self._store.snapshot()
        view = snapshot.__enter__()
        damaged: set[EntryKey] = set()
        pages = delta_pages(
            view,
            request,
            expected=self._store.usage().entry_count,
            page_bytes=self._page_bytes,
            given_up=self._given_up(view),
            damaged=damaged,
        )
        serving = _Serving(session, snapshot, pages, damaged, -1, None, asyncio.Event())
        self._serving[peer] = serving
        rate = self._bootstrap_rate if request.whole else None
        serving.task = asyncio.create_task(self._send_pages(peer, serving, rate))

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

    def _given_up(self, view: StoreView) -> frozenset[EntryKey]:
        """Return the keys that have been damaged for too long to wait for them."""
        now = asyncio.get_running_loop().time()
        given_up = set()
        for key, since in list(self._damaged.items()):
            try:
                view.entry(key)
            except DamagedRecordError:
                if now - since >= PATIENCE_SECONDS:
                    given_up.add(key)
            else:
                del self._damaged[key]
        return frozenset(given_up)

    def _note_damaged(self, keys: set[EntryKey]) -> None:
        """See to it that *keys* are healed, and that no delta waits for them long."""
        now = asyncio.get_running_loop().time()
        for key in sorted(keys):
            if key not in self._damaged and len(self._damaged) < DAMAGED_MAX:
                self._damaged[key] = now
            if self._on_damaged is not None:
                self._on_damaged(key)

    @staticmethod
    async def _window_open(serving: _Serving, number: int) -> None:
        """Return when few enough pages up to *number* are on the road."""
        while number - serving.acknowledged >= WINDOW_PAGES:
            serving.paced.clear()
            async with asyncio.timeout(QUIET_SECONDS_MAX):
                await serving.paced.wait()

    async def _send_pages(
        self, peer: ReplicaId, serving: _Serving, rate: TokenBucket | None
    ) -> None:
        now = asyncio.get_running_loop().time
        deference = _Deference(now, sessions=lambda: len(self._serving))
        try:
            began = now()
            for page in serving.pages:
                if page is not None:
                    self._transport.send(peer, page)
                    deference.page_sent()
                await deference.others_first(now() - began)
                if page is not None:
                    if rate is not None:
                        await deference.pause(_pause_after(page, rate))
                    await self._window_open(serving, page.number)
                began = now()
        except TimeoutError:
            logger.info("delta %d: the peer went quiet", serving.session)
        except CorruptRecordError:
            logger.exception("delta %d cannot be read", serving.session)
        finally:
            self._note_damaged(serving.damaged)
            if self._serving.get(peer) is serving:
                self.end(peer)


def _pause_after(page: DeltaPage, rate: TokenBucket) -> float:
    """
    Return how many seconds to wait before the page after *page* is begun.

    Large values that the page announces count with it: they are pulled at once.
    """
    size = sum(entry.size_bytes + entry.value_bytes for entry in page.entries)
    return rate.take(size, asyncio.get_running_loop().time())
