"""
The driver: runs a node's turns against a real store and real peers.

Events queue up in a bounded inbox and become turns, each with one transaction and
one sync (group commit).  While a turn is on its way to disk the next one is
staged upon it.  Replies and messages leave only when their turn is durable (rule
W2), in the order of turns.

Reads do not come here (kvnode.runtime.reader_side).

Reference:
    DeWitt et al., 1984.  Implementation techniques for main memory database
        systems: group commit.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, assert_never

from kvnode.api.port import OnReply
from kvnode.core.dissemination.messages import WakeAt
from kvnode.core.node.commands import (
    LOCAL,
    Command,
    Delete,
    Replicas,
    WriteRequest,
)
from kvnode.core.node.events import (
    TICK_MILLIS,
    BeginRepair,
    Damaged,
    Dial,
    Disconnect,
    Effect,
    Event,
    HangUp,
    LeaveCluster,
    PaceDelta,
    PeerDown,
    PeersConfigured,
    PeerUp,
    Received,
    RemoveMember,
    RepairArrived,
    RepairSaid,
    RepairTaken,
    Reply,
    Scanned,
    SeedReached,
    Send,
    ServeDelta,
    StaleConflicts,
    StartOver,
    Tell,
    Tick,
)
from kvnode.core.node.node import Node, TurnResult
from kvnode.core.replication.messages import DeltaPage, Push
from kvnode.core.replication.repair_outcome import RepairOutcome
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.store_view import (
    Commit,
    PeerAddress,
)
from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    StartOverError,
    StoreFullError,
    UnavailableError,
)
from kvnode.runtime.clock import Clock
from kvnode.runtime.delta_server import DeltaServer
from kvnode.runtime.inbox import Inbox, command_bytes
from kvnode.runtime.reader_side import ReaderSide
from kvnode.runtime.repair_server import RepairServer
from kvnode.runtime.staged_view import StagedView
from kvnode.storage.port import Store
from kvnode.transport.port import Transport
from kvnode.types import EntryKey, Millis

logger = logging.getLogger(__name__)

SMALL_MESSAGE_BYTES = 1024
"""What a message without entries or values holds, about."""

DAMAGED_WAITING_MAX = 1000
"""Damaged keys that may wait to be looked at; the others are met again."""


class _Turn(NamedTuple):
    """Events, and what the node made of them."""

    events: list[Event]
    result: TurnResult


class Driver(ReaderSide):
    """Feeds one node with events and performs its effects."""

    def __init__(  # noqa: PLR0913 -- the ports of the node, each named at the call
        self,
        node: Node,
        store: Store,
        transport: Transport,
        *,
        clock: Clock,
        deltas: DeltaServer,
        repairs: RepairServer,
        inbox: Inbox,
        backup: Callable[[], AsyncIterator[bytes]],
    ) -> None:
        super().__init__(node, store, clock=clock, repairs=repairs)
        self.backup = backup
        self._transport = transport
        self._deltas = deltas
        self._inbox = inbox
        self._replies: dict[int, OnReply] = {}
        self._numbers = 0
        self._damaged: set[EntryKey] = set()
        self._committing: Commit | None = None
        self._last_turn: asyncio.Task[bool] | None = None
        self._start_over = ""
        self._waking: asyncio.TimerHandle | None = None
        deltas.attach(self.damaged)
        repairs.attach(self)

    # -- events in -----------------------------------------------------------

    def write(
        self,
        commands: tuple[Command, ...],
        on_reply: OnReply,
        *,
        session: Session = NEW_SESSION,
        replicas: Replicas = LOCAL,
    ) -> None:
        """
        Queue *commands* as one request; *on_reply* gets what came of it.

        Raises:
            OverloadedError: The inbox is full; nothing was queued.
            StoreFullError: The disk is; only deletions are taken (W3).
            UnavailableError: See `check_serving` and `refuse_writes`.
        """
        self.check_serving()
        if self._refusing_writes:
            raise UnavailableError(self._refusing_writes)
        size = sum(map(command_bytes, commands))
        self._inbox.check_room(len(commands), size)
        if not self.store.usage().accepts_client_writes and not all(
            isinstance(command, Delete) for command in commands
        ):
            raise StoreFullError(self._full_message())
        self._numbers += 1
        self._replies[self._numbers] = on_reply
        request = WriteRequest(self._numbers, commands, session, replicas)
        self._inbox.put(request, len(commands), size)

    async def deliver(self, event: PeerUp | PeerDown | SeedReached | Received) -> None:
        """
        Queue what a peer caused; a message waits for room first.

        Connections do not wait: an end that came late would be taken for the
        end of the connection after it.
        """
        operations, size, is_page = 1, 0, False
        match event:
            case Received(message=message):
                await self._inbox.room()
                size = getattr(message, "size_bytes", SMALL_MESSAGE_BYTES)
                is_page = isinstance(message, DeltaPage)
                if isinstance(message, Push | DeltaPage):
                    operations = max(1, len(message.entries))
            case PeerDown(peer):
                self._deltas.end(peer)
                self._repairs.end(peer)
            case PeerUp() | SeedReached():
                pass
        self._inbox.put(event, operations, size, is_maintenance=is_page)

    def join(self, patience: Millis) -> None:
        """
        Serve nobody before a peer was met: this node has just begun (D10, G2b).

        If none is met for *patience* ms it serves alone: a cluster must begin
        somewhere.
        """
        self._joining_until = Millis(self.now() + patience)

    def configure(self, peers: tuple[PeerAddress, ...]) -> None:
        """Make the peers that the operator named known; dials them all."""
        self._inbox.put(PeersConfigured(peers), 1, 0)

    def tell(self, event: RemoveMember | LeaveCluster | StaleConflicts) -> None:
        """Queue what the operator wants, or housekeeping; there are few of them."""
        self._inbox.put(event, 1, 0)

    @property
    def unanswered(self) -> int:
        """Return how many write requests were taken and are not answered yet."""
        return len(self._replies)

    def refuse_writes(self, reason: str) -> None:
        """Take no client writes from now on and say why; empty = take them again."""
        self._refusing_writes = reason

    def damaged(self, key: EntryKey) -> None:
        """
        Note that the record of *key* is damaged: it is pulled from a peer.

        Readers may meet it very often: while that waits for its turn, once is enough.
        """
        if key not in self._damaged and len(self._damaged) < DAMAGED_WAITING_MAX:
            self._damaged.add(key)
            self._inbox.put(Damaged(key), 1, len(key.key))

    def scanned(self, event: Scanned) -> None:
        """Queue what a scan of the store has found."""
        self._inbox.put(event, 1, 0)

    def repair_arrived(self, event: RepairArrived) -> None:
        """Queue a page of a repair to be merged."""
        self._inbox.put(event, len(event.page.entries), event.page.size_bytes)

    async def repair(self, peer: str) -> RepairOutcome:
        """
        Repair with the peer called *peer*; goes on if nobody waits for it any more.

        Raises:
            InvalidArgumentError: There is no such peer.
            UnavailableError: It is not connected, another repair is under way, or it
                ended before it was complete.
        """
        known = {each.name: each.replica for each in self.known_peers()}
        if peer not in known:
            names = ", ".join(sorted(known)) or "none"
            msg = f"{peer!r} is no peer of this node; it knows {names}"
            raise InvalidArgumentError(msg)
        return await self._repairs.repair(known[peer])

    # -- turns ---------------------------------------------------------------

    async def run(self) -> None:
        """
        Run turns until stopped.

        Raises:
            OSError: The disk failed.  What was not answered stays unanswered:
                nobody can know whether it happened.
            StartOverError: The store must be replaced; it is marked.
        """
        ticking = asyncio.create_task(self._tick_forever(), name="ticks")
        try:
            while not (self._stopping and not self._inbox):
                if events := await self._inbox.take():
                    await self._turn(events)
            await self._last_turn_done()
            if self._start_over:
                raise StartOverError(self._start_over)  # noqa: TRY301 -- it is an end like others
        except BaseException as error:
            self.failed = error
            raise
        finally:
            ticking.cancel()
            if self._waking is not None:
                self._waking.cancel()
            self._inbox.wake()  # whoever waits for room would wait for ever
            self._abandon_replies()

    def stop(self) -> None:
        """Finish what is queued, then end `run`."""
        self._stopping = True
        self._inbox.wake()

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_MILLIS / 1000)
            self._inbox.put(Tick(), 0, 0)

    def _wake_at(self, due: Millis) -> None:
        """Put a tick at *due*; of several wishes the earliest counts."""
        loop = asyncio.get_running_loop()
        when = loop.time() + max(0, due - self.now()) / 1000
        if self._waking is not None:
            if self._waking.when() <= when:
                return
            self._waking.cancel()
        self._waking = loop.call_at(when, self._wake)

    def _wake(self) -> None:
        self._waking = None
        self._inbox.put(Tick(), 0, 0)

    async def _turn(self, events: list[Event]) -> None:
        """Stage a turn while the last one is on its way to disk; then send it."""
        if self._last_turn and self._last_turn.done():
            await self._last_turn_done()  # however it ended, the node knows
        if self._damaged:  # hardly ever, and every turn comes by here
            taken = (event.key for event in events if isinstance(event, Damaged))
            self._damaged.difference_update(taken)
        with self.store.snapshot() as snapshot:
            view = StagedView(snapshot, self._committing)
            result = self.node.step(events, self._clock.read(), view)
        for effect in result.at_once:
            self._perform(effect)
        turn = _Turn(events, result)
        if not await self._last_turn_done():
            self._turn_failed(turn)  # it was built on a turn that has not happened
        elif result.commit:
            self._committing = result.commit
            self._last_turn = asyncio.create_task(self._finish(turn), name="commit")
        else:
            self._done(turn)

    async def _last_turn_done(self) -> bool:
        """Wait for the turn under way; tell whether it happened."""
        task, self._last_turn = self._last_turn, None
        return task is None or await task

    async def _finish(self, turn: _Turn) -> bool:
        """Make *turn* durable and perform its effects; tell whether it happened."""
        assert turn.result.commit is not None, "there is something to make durable"
        try:
            await self.store.apply(turn.result.commit)
        except StoreFullError as error:
            logger.error("a turn found no room on the disk: %s", error)  # noqa: TRY400 -- an expected state; the trace says nothing
            self.node.abort()
            self._turn_failed(turn)
            return False
        finally:
            self._committing = None
        self.committed_state = turn.result.commit.state
        self._done(turn)
        return True

    def _done(self, turn: _Turn) -> None:
        """Perform the effects of a turn that is durable."""
        self.node.committed()
        if any(isinstance(event, PeerUp) for event in turn.events):
            self._joining_until = Millis(0)
        for effect in turn.result.effects:
            self._perform(effect)
        if turn.result.commit:
            self._announce(turn.result.commit)

    def _turn_failed(self, turn: _Turn) -> None:
        """Answer the turn's writes: for want of room nothing of it has happened."""
        numbers = {e.number for e in turn.events if isinstance(e, WriteRequest)}
        for number in numbers:
            self._answer(number, StoreFullError(self._full_message()))
        for effect in turn.result.effects:
            if isinstance(effect, Reply) and effect.number not in numbers:
                self._answer(effect.number, effect)
            elif isinstance(effect, Dial | Disconnect):
                self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Reply(number):
                self._answer(number, effect)
            case Send(peer, message):
                self._transport.send(peer, message)
            case ServeDelta(peer, request):
                self._deltas.serve(peer, request)
            case PaceDelta(peer, session, number, abandoned):
                self._deltas.pace(peer, session, number, abandoned=abandoned)
            case Dial() | HangUp() | Disconnect():
                self._connect(effect)
            case StartOver(reason):
                self._start_over = reason
                self.stop()
            case Tell(told):
                logger.warning("%s", told)
            case WakeAt(due):
                self._wake_at(due)
            case BeginRepair() | RepairSaid() | RepairTaken():
                self._perform_repair(effect)
            case _:
                assert_never(effect)

    def _connect(self, effect: Dial | HangUp | Disconnect) -> None:
        match effect:
            case Dial(address):
                self._transport.dial(address)
            case HangUp(address):
                self._transport.hang_up(address)
            case Disconnect(peer, reason):
                self._transport.disconnect(peer, reason)
            case _:
                assert_never(effect)

    def _perform_repair(self, effect: BeginRepair | RepairSaid | RepairTaken) -> None:
        match effect:
            case BeginRepair(peer):
                self._repairs.begin_soon(peer)
            case RepairSaid(peer, message):
                self._repairs.hear(peer, message)
            case RepairTaken():
                self._repairs.taken(effect)
            case _:
                assert_never(effect)

    def _answer(self, number: int, outcome: Reply | KvError) -> None:
        on_reply = self._replies.pop(number, None)
        if on_reply:
            on_reply(outcome)

    def _abandon_replies(self) -> None:
        """Tell everyone who still waits that nobody knows."""
        error = IndeterminateError("this node stopped before the write was answered")
        for number in list(self._replies):
            self._answer(number, error)
