"""
One side of one repair: what differs is found by ranges, and then sent (rule D9).

Both sides make an index of their items, speak of ranges in turn until they know what
each of them lacks, and then send that as pages, both at once.  Each range and each page
is acknowledged when it has been dealt with, and only a few are on their way, so that
neither side nor the link between holds much whatever is sent.  What is sent is slowed
down to a number of bytes a second: users' writes travel on the same link.

The index is of one snapshot, the pages are of a later one: see
kvnode.core.replication.item_index.  Making it looks through the whole store, so it
tells at no cost whether that is what was written to it, and whose contents count.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, assert_never

from kvnode.core.node.events import RepairTaken
from kvnode.core.replication.item_index import ItemIndex, index_items
from kvnode.core.replication.messages import (
    RepairAcknowledgement,
    RepairEnd,
    RepairMessage,
    RepairPage,
    RepairRange,
    WireEntry,
    wire_entry,
)
from kvnode.core.replication.range_message import RangeMessage
from kvnode.core.replication.range_reconciliation import RangeSession
from kvnode.core.replication.repair import Trust
from kvnode.core.replication.repair_outcome import RepairOutcome
from kvnode.core.versions.rolling_digest import RollingDigest
from kvnode.errors import PeerProtocolError, UnavailableError
from kvnode.runtime.steps import finish
from kvnode.storage.port import Store
from kvnode.types import EntryKey

WINDOW_MESSAGES = 4
"""On their way at a time: 2 MiB of ranges, 1 MiB of pages."""

PAGE_ENTRIES_MAX = 250
"""Bounds how long taking in a page keeps the receiver's event loop: about 5 ms."""

INDEX_SECONDS_MAX = 600.0
"""So long a peer may take to index its store: ten million entries, and then some."""

QUIET_SECONDS_MAX = 60.0
"""Between two messages once it has: a page's large values come in less."""

ACKNOWLEDGEMENT_BYTES = 32


class RepairPort(Protocol):
    """What a session asks of its node."""

    def send(self, message: RepairMessage) -> None:
        """Send *message* to the peer."""

    def take(self, page: RepairPage, trust: Trust) -> None:
        """Merge a page; `RepairSession.taken` is called when it is durable."""

    def damaged(self, key: EntryKey) -> None:
        """See to it that a damaged record is pulled again."""

    def checked(self, total: int, then: RollingDigest) -> bool:
        """Take in what a scan has found; tell whether the store is wrong."""


class Manner(NamedTuple):
    """
    How a session behaves.

    Attributes:
        page_bytes: A page is closed once it is so large.
        bytes_per_second: What it sends at most.
        doubted: Whether this node has found its own store to be wrong.
    """

    page_bytes: int
    bytes_per_second: int
    doubted: bool


class RepairSession:
    """
    One side of a repair; `run` is its life.

    Attributes:
        number: Of the session.
        outcome: What it has come to so far.
        doubted: Whether this node has found its own store to be wrong.
    """

    def __init__(
        self,
        number: int,
        peer_name: str,
        store: Store,
        port: RepairPort,
        manner: Manner,
    ) -> None:
        self.number = number
        self.outcome = RepairOutcome(peer_name)
        self.doubted = manner.doubted
        self._store = store
        self._port = port
        self._manner = manner
        self._ranges: deque[bytes] = deque()
        self._heard = asyncio.Event()
        self._broken = ""
        self._heard_yet = False
        self._in_hand = 0  # messages of the peer that have not been dealt with
        self._on_their_way = 0  # own messages that have not been acknowledged
        self._last_taken = False

    # -- what comes in --------------------------------------------------------

    def hear(
        self, message: RepairRange | RepairPage | RepairAcknowledgement | RepairEnd
    ) -> None:
        """Take in a message of the peer."""
        self._heard_yet = True
        self._heard.set()
        match message:
            case RepairRange(_, data):
                self._admit(message.size_bytes)
                self._ranges.append(data)
            case RepairPage():
                self._admit(message.size_bytes)
                self.outcome.received += len(message.entries)
                for entry in message.entries:
                    self.outcome.note_key(entry.key)
                self._port.take(message, self._trust(doubtful=message.doubtful))
            case RepairAcknowledgement(_, changed, refused):
                self.outcome.note_message(ACKNOWLEDGEMENT_BYTES)
                self.outcome.changed_there += changed
                self.outcome.refused_there += refused
                self._on_their_way -= 1
                if self._on_their_way < 0:
                    self.fail("it acknowledges what it was not sent")
            case RepairEnd(_, reason):
                self.fail(f"{self.outcome.peer} ended it: {reason}")
            case _:
                assert_never(message)

    def _admit(self, size_bytes: int) -> None:
        self.outcome.note_message(size_bytes)
        self._in_hand += 1
        if self._in_hand > WINDOW_MESSAGES:
            self.fail(f"it sent more than {WINDOW_MESSAGES} messages at a time")

    def _trust(self, *, doubtful: bool) -> Trust:
        if doubtful == self.doubted:
            return Trust.EQUAL
        return Trust.OURS if doubtful else Trust.THEIRS

    def taken(self, effect: RepairTaken) -> None:
        """Take in that a page is durable; acknowledge it."""
        self._heard.set()
        if effect.broken:
            self.fail(effect.broken)
            return
        self.outcome.changed_here += effect.changed
        self.outcome.refused_here += effect.refused
        self._last_taken = self._last_taken or effect.last
        self._acknowledge(effect.changed, effect.refused)

    def _acknowledge(self, changed: int = 0, refused: int = 0) -> None:
        self._in_hand -= 1
        self.outcome.note_message(ACKNOWLEDGEMENT_BYTES)
        self._port.send(RepairAcknowledgement(self.number, changed, refused))

    def fail(self, reason: str) -> None:
        """End the session; `run` raises."""
        self._broken = self._broken or reason
        self._heard.set()

    # -- its life -------------------------------------------------------------

    async def run(self, salt: int | None) -> RepairOutcome:
        """
        Find and mend what differs; return what that was.

        Args:
            salt: 64 random bits, odd, if this side speaks first; else None.

        Raises:
            UnavailableError: It came to no end: the peer ended it, went quiet or broke
                the protocol.  What was mended stays so.
            CorruptRecordError: The own store cannot be read.
        """
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        try:
            await self._run(salt)
        except PeerProtocolError as error:
            reason = str(error)
            self._port.send(RepairEnd(self.number, reason))
            msg = f"the repair with {self.outcome.peer} ended: {reason}"
            raise UnavailableError(msg) from error
        except BaseException:
            self._port.send(RepairEnd(self.number, "given up"))
            raise
        finally:
            self.outcome.seconds = loop.time() - begun_at
        return self.outcome

    async def _run(self, salt: int | None) -> None:
        with self._store.snapshot() as view:
            then = view.state().digest
            index = await finish(index_items(view))
        for key in index.damaged:
            self._port.damaged(key)
        self.outcome.damaged = len(index.damaged)
        if not index.damaged and self._port.checked(index.total, then):
            self.doubted = True
        ranges = RangeSession(index)
        if salt is not None:
            await self._say(ranges.begin(salt))
        while not ranges.finished:
            await self._until(lambda: bool(self._ranges))
            message = RangeMessage.decode(self._ranges.popleft())
            answer = await finish(ranges.receive(message))
            self._acknowledge()
            await self._say(answer)
        await self._send_entries(index, ranges)
        await self._until(lambda: self._last_taken and not self._on_their_way)

    async def _say(self, messages: list[RangeMessage]) -> None:
        for message in messages:
            data = message.encode()
            await self._send(RepairRange(self.number, data))

    async def _send_entries(self, index: ItemIndex, ranges: RangeSession) -> None:
        """Send what the peer lacks, from a snapshot of now."""
        with self._store.snapshot() as view:
            state = view.state()
            sound = state.clock.includes(state.floor.vector)  # else it starts over soon
            rows = index.entries(ranges.lacked, view) if sound else iter(())
            wires = (wire_entry(*row) for few in rows for row in few)
            pages = _pages(wires, self._manner.page_bytes)
            page = next(pages, ())
            while True:
                following = next(pages, None)
                self.outcome.sent += len(page)
                for entry in page:
                    self.outcome.note_key(entry.key)
                await self._send(
                    RepairPage(
                        self.number,
                        page,
                        last=following is None,
                        floor=state.floor,
                        doubtful=self.doubted,
                    )
                )
                if following is None:
                    return
                page = following

    async def _send(self, message: RepairRange | RepairPage) -> None:
        """Send *message* when there is room for it, slowly enough."""
        await self._until(lambda: self._on_their_way < WINDOW_MESSAGES)
        self._on_their_way += 1
        self.outcome.note_message(message.size_bytes)
        self._port.send(message)
        await asyncio.sleep(message.size_bytes / self._manner.bytes_per_second)

    async def _until(self, holds: Callable[[], bool]) -> None:
        """
        Wait until *holds*, which something that comes in makes true.

        Raises:
            PeerProtocolError: The session is over; or nothing comes.
        """
        while not self._broken and not holds():
            self._heard.clear()
            patience = QUIET_SECONDS_MAX if self._heard_yet else INDEX_SECONDS_MAX
            try:
                async with asyncio.timeout(patience):
                    await self._heard.wait()
            except TimeoutError:
                self.fail("the peer went quiet")
        if self._broken:
            raise PeerProtocolError(self._broken)


def _pages(
    entries: Iterator[WireEntry], page_bytes: int
) -> Iterator[tuple[WireEntry, ...]]:
    """Yield *entries* in pages of bounded size; none if there are none."""
    page: list[WireEntry] = []
    size = 0
    for entry in entries:
        page.append(entry)
        size += entry.size_bytes
        if size >= page_bytes or len(page) == PAGE_ENTRIES_MAX:
            yield tuple(page)
            page, size = [], 0
    if page:
        yield tuple(page)
