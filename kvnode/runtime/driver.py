"""
The driver: runs a node's turns against a real store and real peers.

Events queue up in a bounded inbox and become turns, each with one transaction and
one sync (group commit).  While a turn is on its way to disk the next one is
staged upon it.  Replies and messages leave only when their turn is durable (rule
W2), in the order of turns.

Reads do not come here: they look at a snapshot on the spot, and at most wait
here until the node covers what their session has seen (rule S2).

Reference:
    DeWitt et al., 1984.  Implementation techniques for main memory database
        systems: group commit.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple, assert_never

from kvnode.api.digest_status import DigestStanding
from kvnode.api.port import OnReply
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.dissemination.messages import WakeAt
from kvnode.core.membership.clock_offset import Verdict
from kvnode.core.membership.quarantine import Quarantine
from kvnode.core.node.commands import (
    LOCAL,
    Command,
    Delete,
    Replicas,
    WriteRequest,
)
from kvnode.core.node.departure import has_left
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
    Send,
    ServeDelta,
    StaleConflicts,
    StartOver,
    Tell,
    Tick,
)
from kvnode.core.node.forgetting import Forgetting
from kvnode.core.node.health import HealthChange, MemberStatus
from kvnode.core.node.node import Node, Peer, TurnResult
from kvnode.core.replication.repair_outcome import RepairOutcome
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.roster import Roster
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.store_view import (
    Commit,
    Filling,
    PeerAddress,
    StoreView,
    Usage,
)
from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    OverloadedError,
    StartOverError,
    StoreFullError,
    UnavailableError,
)
from kvnode.runtime.clock import Clock
from kvnode.runtime.delta_server import DeltaServer
from kvnode.runtime.inbox import Inbox, command_bytes
from kvnode.runtime.repair_server import RepairServer
from kvnode.runtime.staged_view import StagedView
from kvnode.storage.port import Store
from kvnode.transport.port import Transport
from kvnode.types import EntryKey, Millis, ReplicaId

logger = logging.getLogger(__name__)


DAMAGED_WAITING_MAX = 1000
"""Damaged keys that may wait to be looked at; the others are met again."""

_JOINING = (
    "this node has just begun and has not met a peer yet: ask another node, or again"
    " in a few seconds"
)

COVERING_MAX = 10_000
"""Requests that may wait to be covered: each is looked at after every commit."""


class _Turn(NamedTuple):
    """Events, and what the node made of them."""

    events: list[Event]
    result: TurnResult


class Driver:
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
        self.node = node
        self.store = store
        self.committed_state = node.state
        self.failed: BaseException | None = None
        self.now: Callable[[], Millis] = clock
        self._clock = clock
        self.backup = backup
        self._transport = transport
        self._deltas = deltas
        self._repairs = repairs
        self._inbox = inbox
        self._replies: dict[int, OnReply] = {}
        self._numbers = 0
        self._covering: dict[asyncio.Future[None], Session] = {}
        self._listeners: list[Callable[[Commit], None]] = []
        self._damaged: set[EntryKey] = set()
        self._committing: Commit | None = None
        self._last_turn: asyncio.Task[bool] | None = None
        self._stopping = False
        self._start_over = ""
        self._joining_until = Millis(0)
        self._waking: asyncio.TimerHandle | None = None
        self._refusing_writes = ""
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

    def _full_message(self) -> str:
        usage = self.store.usage()
        return (
            f"no room on this node's disk: {usage.free_bytes} bytes are left and"
            f" {usage.reserve_bytes} are kept for replication and deletes; free"
            " some disk space, writing resumes by itself"
        )

    async def deliver(self, event: PeerUp | PeerDown | Received) -> None:
        """
        Queue what a peer caused; a message waits for room first.

        Connections do not wait: an end that came late would be taken for the
        end of the connection after it.
        """
        size = 0
        match event:
            case Received(message=message):
                await self._inbox.room()
                size = getattr(message, "size_bytes", 256 * 1024)
            case PeerDown(peer):
                self._deltas.end(peer)
                self._repairs.end(peer)
            case PeerUp():
                pass
        self._inbox.put(event, 1, size)

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

    # -- what others ask -----------------------------------------------------

    def clock(self) -> VersionVector:
        """Return what this node covers, durably."""
        return self.committed_state.clock

    def known_peers(self) -> tuple[PeerAddress, ...]:
        """Return the peers this node knows of."""
        return self.committed_state.peers

    def pending(self) -> VersionVector:
        """
        Return what a read of an uncovered entry must join into its token (D3).

        Of the turn on its way to disk, too: a snapshot may show its entries.
        """
        return self.committed_state.pending.join(self.node.uncommitted_pending())

    def peers(self) -> Mapping[ReplicaId, Peer]:
        """Return the connected peers."""
        return self.node.peers

    def peer_name(self, peer: ReplicaId) -> str:
        """Return what people call a peer that can be repaired with; else nothing."""
        known = self.node.peers.get(peer)
        return known.address.name if known and known.speaks_digests else ""

    def digest_standing(self) -> DigestStanding:
        """Return the digest, and what comparing it has shown (D9)."""
        watch, repairs = self.node.digests, self._repairs
        names = {peer.replica: peer.name for peer in self.known_peers()}
        return DigestStanding(
            watch.total or self.committed_state.digest.total,
            self.committed_state.digest.known,
            watch.view,
            self.committed_state.floor,
            watch.incomparable,
            watch.comparisons,
            watch.differences,
            tuple(names.get(each, f"{each:016x}") for each in watch.alarms),
            repairs.scans,
            repairs.scans_wrong,
            repairs.repairs,
            repairs.repaired,
            repairs.repairing_with,
        )

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

    def roster(self) -> Roster:
        """Return who ever joined, and what became of them."""
        return self.committed_state.roster

    def floor(self) -> Floor:
        """Return up to where deletions are forgotten here."""
        return self.committed_state.floor

    def replica(self) -> ReplicaId:
        """Return this node's identity."""
        return self.committed_state.replica

    def conflicts_ever(self) -> int:
        """Return how many conflicts this node has noticed."""
        return self.committed_state.conflicts_ever

    def uncovered_batches(self) -> int:
        """Return how many pushed batches wait for what they depend on."""
        return self.node.uncovered_batches

    def hlc(self) -> int:
        """Return the newest timestamp given."""
        return self.committed_state.hlc

    def heard_ms_ago(self, replica: ReplicaId) -> int:
        """Return when a peer was last heard, in ms ago; -1 = never."""
        heard_ms_ago = self.node.heard_ms_ago(replica, self._clock.read().steady)
        return -1 if heard_ms_ago is None else heard_ms_ago

    def members(self) -> tuple[MemberStatus, ...]:
        """Return every replica that ever joined, this one too, and how it is."""
        return self.node.members(self._clock.read().steady)

    def member_changes(self) -> tuple[HealthChange, ...]:
        """Return the last few changes of members' health, the newest last."""
        return self.node.member_changes()

    def clock_verdict(self) -> Verdict:
        """Return what is thought of this node's wall clock (C1)."""
        return self.node.clock_verdict

    def quarantine(self) -> Quarantine:
        """Return the keys that hold versions from the future, to look at (C2)."""
        return self.node.quarantine

    def check_serving(self) -> None:
        """
        Do nothing if this node may answer clients.

        Raises:
            UnavailableError: It is stopping, or being filled (D10); nothing was done.
        """
        reason = self._not_serving()
        if reason:
            raise UnavailableError(reason)

    def serves(self) -> bool:
        """Tell whether this node may answer clients."""
        return not self._not_serving()

    def _not_serving(self) -> str:
        if self.failed or self._stopping:
            return f"this node is stopping: {self.failed or 'asked to'}"
        if has_left(self.replica(), self.committed_state.roster):
            return "this node has left the cluster for good; ask another node"
        filling = self.committed_state.filling
        if filling is None:
            joining = self._joining_until - self.now() > 0
            return _JOINING if joining else ""
        return (
            f"this node is being filled: {filling.done} of about {filling.expected}"
            " entries are here; ask another node, or again later"
        )

    def refusal(self) -> str:
        """Return why client writes are refused now; empty if they are not."""
        if reason := self._not_serving() or self._refusing_writes:
            return reason
        if not self.store.usage().accepts_client_writes:
            return self._full_message()
        return self.node.refusal()

    def behind(self, origin: ReplicaId) -> Millis | None:
        """Return how far behind *origin* this node may be in ms; None = unknown."""
        return self.node.staleness.behind(origin, self._clock.read().steady)

    def filling(self) -> Filling | None:
        """Return how far a bootstrap is; None = all is here."""
        return self.committed_state.filling

    def donor(self) -> ReplicaId | None:
        """Return the peer that fills this node just now, if any."""
        return self.node.donor

    def forgetting(self) -> Forgetting:
        """Return how far this node is with forgetting."""
        return self.node.forgetting

    def hindrances(self) -> tuple[str, ...]:
        """Return why nothing new is forgotten just now, for people."""
        return self.node.hindrances(self.now())

    def snapshot(self) -> AbstractContextManager[StoreView]:
        """Return a consistent view of everything committed so far."""
        return self.store.snapshot()

    def usage(self) -> Usage:
        """Return how full the store is."""
        return self.store.usage()

    def covers(self, session: Session) -> bool:
        """Tell whether all that *session* has seen is covered here."""
        state = self.committed_state
        return state.clock.covers_all(session.seen) and (
            session.floor <= state.floor.hlc
            or session.floor <= self.node.reported_until
        )

    async def wait_covered(self, session: Session, patience_s: float) -> bool:
        """
        Wait until *session* is covered; tell whether that came in time.

        Raises:
            OverloadedError: Too many wait already.
        """
        if self.covers(session):
            return True
        if len(self._covering) >= COVERING_MAX:
            msg = f"{COVERING_MAX} requests wait for what their sessions have seen"
            raise OverloadedError(msg)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._covering[future] = session
        try:
            async with asyncio.timeout(patience_s):
                await future
        except TimeoutError:
            return self.covers(session)
        finally:
            self._covering.pop(future, None)
        return True

    def listen(self, listener: Callable[[Commit], None]) -> Callable[[], None]:
        """Call *listener* after every commit; returns how to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def until(
        self, condition: Callable[[], bool], patience_s: float | None = None
    ) -> bool:
        """Wait for commits until *condition* holds; tell whether it came to."""
        committed = asyncio.Event()
        stop = self.listen(lambda _: committed.set())
        try:
            async with asyncio.timeout(patience_s):
                while not condition():
                    await committed.wait()
                    committed.clear()
        except TimeoutError:
            return condition()
        finally:
            stop()
        return True

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

    def _announce(self, commit: Commit) -> None:
        for future, session in tuple(self._covering.items()):
            if self.covers(session):
                del self._covering[future]
                if not future.done():
                    future.set_result(None)
        for listener in tuple(self._listeners):
            listener(commit)

    def _abandon_replies(self) -> None:
        """Tell everyone who still waits that nobody knows."""
        error = IndeterminateError("this node stopped before the write was answered")
        for number in list(self._replies):
            self._answer(number, error)
