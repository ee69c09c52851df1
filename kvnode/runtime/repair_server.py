"""
Repairs of one node: one at a time, begun by it or by a peer (rule D9).

A repair looks through the whole store and holds an index of it, 16 bytes an entry and
more.  So a node takes part in one at a time, and whoever finds it busy tries again
later.  With a store that is wrong, that is enough: after the first repair it holds what
its peers hold, and their alarms end.

Nodes that see one fault at the same time do not begin at the same time: each waits a
little, drawn by chance.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from kvnode.core.node.events import RepairArrived, RepairTaken, Scanned
from kvnode.core.replication.messages import (
    RepairAcknowledgement,
    RepairBegin,
    RepairEnd,
    RepairMessage,
    RepairPage,
)
from kvnode.core.replication.repair import Trust
from kvnode.core.replication.repair_outcome import RepairOutcome
from kvnode.core.versions.rolling_digest import RollingDigest
from kvnode.errors import KvError, UnavailableError
from kvnode.runtime.repair_session import Manner, RepairSession
from kvnode.storage.port import Store
from kvnode.transport.port import Transport
from kvnode.types import EntryKey, ReplicaId

logger = logging.getLogger(__name__)

BEGIN_SECONDS_MAX = 2.0
"""How long a repair waits by chance before it begins by itself."""

Uniform = Callable[[float, float], float]


class RepairNode(Protocol):
    """What repairs ask of their node."""

    def repair_arrived(self, event: RepairArrived) -> None:
        """Queue a page to be merged."""

    def scanned(self, event: Scanned) -> None:
        """Queue what a scan has found."""

    def damaged(self, key: EntryKey) -> None:
        """Note that the record of *key* is damaged: it is pulled from a peer."""

    def check_serving(self) -> None:
        """Do nothing if this node's store is whole; else raise UnavailableError."""

    def peer_name(self, peer: ReplicaId) -> str:
        """Return what people call a connected peer; empty if it is not connected."""


class _Port:
    """What the session with *peer* asks of its node."""

    def __init__(
        self,
        peer: ReplicaId,
        transport: Transport,
        node: RepairNode,
        checked: Callable[[int, RollingDigest], bool],
    ) -> None:
        self._peer = peer
        self._transport = transport
        self._node = node
        self._checked = checked

    def send(self, message: RepairMessage) -> None:
        """Send *message* to the peer."""
        self._transport.send(self._peer, message)

    def take(self, page: RepairPage, trust: Trust) -> None:
        """Queue a page to be merged."""
        self._node.repair_arrived(RepairArrived(self._peer, page, trust))

    def damaged(self, key: EntryKey) -> None:
        """See to it that a damaged record is pulled again."""
        self._node.damaged(key)

    def checked(self, total: int, then: RollingDigest) -> bool:
        """Take in what a scan has found; tell whether the store is wrong."""
        return self._checked(total, then)


class RepairServer:
    """
    The repair that a node takes part in, if any.

    Attributes:
        doubted: The node has found its own store to be wrong, and no repair has ended
            since: contents of peers count.
        repairs: How many have come to their end.
        repaired: How many entries they have stored here.
        scans: How many looks through the whole store have come to their end.
        scans_wrong: How many of them found other entries than were written.
    """

    def __init__(  # noqa: PLR0913 -- each named at the call
        self,
        store: Store,
        transport: Transport,
        *,
        random_word: Callable[[], int],
        uniform: Uniform,
        page_bytes: int,
        bytes_per_second: int,
    ) -> None:
        """
        Make it idle.

        Args:
            store: What is to be repaired.
            transport: The way to peers.
            random_word: Draws 64 bits.
            uniform: Draws how long to wait before beginning.
            page_bytes: A page is closed once it is so large.
            bytes_per_second: What it sends at most.
        """
        self.doubted = False
        self.repairs = 0
        self.repaired = 0
        self.scans = 0
        self.scans_wrong = 0
        self._store = store
        self._transport = transport
        self._random_word = random_word
        self._uniform = uniform
        self._page_bytes = page_bytes
        self._bytes_per_second = bytes_per_second
        self._node: RepairNode | None = None
        self._peer = ReplicaId(0)
        self._session: RepairSession | None = None
        self._running: asyncio.Task[RepairOutcome] | None = None
        self._beginning: dict[ReplicaId, asyncio.Task[None]] = {}

    def attach(self, node: RepairNode) -> None:
        """Repair the store of *node*; comes once, before anything else."""
        self._node = node

    def checked(self, total: int, then: RollingDigest) -> bool:
        """
        Take in that all entries of a snapshot give *total*; correct the digest.

        Args:
            total: The sum of their fingerprints.
            then: The digest in the state of that snapshot.

        Returns:
            Whether the store is not what was written to it.
        """
        assert self._node is not None, "attach comes first"
        wrong = then.known and total != then.total
        self.scans += 1
        if wrong:
            self.scans_wrong += 1
            self.doubted = True
            logger.error(
                "this node's store does not hold what was written to it (D9), which"
                " only a bug or broken hardware can do: check memory and disk.  Peers"
                " that hold the same writes are asked for what differs"
            )
        self._node.scanned(Scanned(total, then))
        return wrong

    @property
    def repairing_with(self) -> str:
        """Return with whom a repair is under way; empty if none is."""
        return self._session.outcome.peer if self._session is not None else ""

    # -- beginning ------------------------------------------------------------

    def begin_soon(self, peer: ReplicaId) -> None:
        """Begin a repair with *peer* in a little while, if none is under way then."""
        if peer not in self._beginning:
            self._beginning[peer] = asyncio.create_task(self._begin_later(peer))

    async def _begin_later(self, peer: ReplicaId) -> None:
        try:
            await asyncio.sleep(self._uniform(0, BEGIN_SECONDS_MAX))
            await self.repair(peer)
        except KvError as error:
            logger.info("no repair: %s", error)  # told already, if it had begun
        finally:
            self._beginning.pop(peer, None)

    async def repair(self, peer: ReplicaId) -> RepairOutcome:
        """
        Find in what the stores of this node and *peer* differ, and mend it.

        Goes on if the caller does not wait for the end.

        Raises:
            UnavailableError: The peer is not connected, one of the two is being filled
                or takes part in another repair, or this one ended before it was
                complete.
            CorruptRecordError: The own store cannot be read.
        """
        if self.repairing_with:
            msg = f"a repair with {self.repairing_with} is under way: try again later"
            raise UnavailableError(msg)
        number = self._random_word()
        running = self._start(peer, number, self._random_word() | 1)
        self._transport.send(peer, RepairBegin(number))
        return await asyncio.shield(running)

    def _start(
        self, peer: ReplicaId, number: int, salt: int | None
    ) -> asyncio.Task[RepairOutcome]:
        node = self._node
        assert node is not None, "attach comes first"
        node.check_serving()
        name = node.peer_name(peer)
        if not name:
            msg = f"{peer:016x} is not connected, or does not know of repairs"
            raise UnavailableError(msg)
        port = _Port(peer, self._transport, node, self.checked)
        manner = Manner(self._page_bytes, self._bytes_per_second, self.doubted)
        session = RepairSession(number, name, self._store, port, manner)
        self._peer, self._session = peer, session
        repair = self._run(session, salt)
        self._running = asyncio.create_task(repair, name="repair")
        self._running.add_done_callback(_retrieved)
        return self._running

    async def _run(self, session: RepairSession, salt: int | None) -> RepairOutcome:
        logger.info("repair with %s begins", session.outcome.peer)
        try:
            outcome = await session.run(salt)
        except KvError as error:
            logger.warning("%s", error)
            raise
        finally:
            self.repaired += session.outcome.changed_here
            if self._session is session:
                self._session = None
        self.repairs += 1
        if session.doubted and not outcome.refused_here:
            self.doubted = False
        logger.warning("%s", outcome.told())
        return outcome

    # -- what peers say -------------------------------------------------------

    def hear(self, peer: ReplicaId, message: RepairMessage) -> None:
        """Take in what *peer* says of a repair."""
        session = self._session
        if isinstance(message, RepairBegin):
            self._serve(peer, message)
        elif (
            session is not None
            and self._peer == peer
            and session.number == message.session
        ):
            session.hear(message)
        elif not isinstance(message, RepairEnd | RepairAcknowledgement):
            reason = "there is no such repair"
            self._transport.send(peer, RepairEnd(message.session, reason))

    def _serve(self, peer: ReplicaId, message: RepairBegin) -> None:
        busy = self.repairing_with
        if busy:
            reason = f"another repair, with {busy}, is under way"
            self._transport.send(peer, RepairEnd(message.session, reason))
            return
        try:
            self._start(peer, message.session, None)
        except UnavailableError as error:
            self._transport.send(peer, RepairEnd(message.session, str(error)))

    def taken(self, effect: RepairTaken) -> None:
        """Take in that a page of a repair is durable."""
        session = self._session
        if (
            session is not None
            and self._peer == effect.peer
            and session.number == effect.session
        ):
            session.taken(effect)

    def end(self, peer: ReplicaId) -> None:
        """End the repair with *peer*, if there is one: its connection is gone."""
        if self._session is not None and self._peer == peer:
            self._session.fail("the connection is gone")

    async def close(self) -> None:
        """End what is under way, and release its snapshots."""
        tasks: list[asyncio.Task[Any]] = [*self._beginning.values()]
        if self._running is not None:
            tasks.append(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _retrieved(task: asyncio.Task[RepairOutcome]) -> None:
    """Tell what a repair ended with, unless that has been told."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, KvError):
        logger.error("a repair failed", exc_info=error)
