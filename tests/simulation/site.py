"""
A site: one node core on a store in memory, run as the driver runs it.

`turn` is where all the dangerous instants are: before a commit, between a commit
and its effects, and a commit that finds no room.  A test chooses one with a
`Fate`.  Deltas are served as kvnode.runtime.delta_server does it, but a page at a
time and only when told to, so that anything may happen between two pages.
"""

from collections import deque
from collections.abc import Coroutine, Generator
from dataclasses import dataclass, replace
from enum import Enum
from random import Random
from typing import NamedTuple, Protocol, assert_never

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.dissemination.messages import WakeAt
from kvnode.core.node.commands import WriteRequest
from kvnode.core.node.events import (
    BeginRepair,
    Dial,
    Disconnect,
    Effect,
    Event,
    HangUp,
    Message,
    PaceDelta,
    PeerDown,
    PeersConfigured,
    PeerUp,
    RemoveMember,
    RepairSaid,
    RepairTaken,
    Reply,
    Send,
    ServeDelta,
    StartOver,
    Tell,
)
from kvnode.core.node.node import Node, Settings, TurnResult
from kvnode.core.replication.delta import delta_pages
from kvnode.core.replication.messages import DeltaPage, DeltaRequest
from kvnode.core.versions.roster import Member, Standing
from kvnode.core.versions.store_view import DurableState, PeerAddress
from kvnode.errors import StoreFullError
from kvnode.runtime.delta_server import WINDOW_PAGES
from kvnode.runtime.staged_view import StagedView
from kvnode.runtime.start_over import start_over
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import Millis, ReplicaId
from tests.simulation.practice import GOOD_PRACTICE, Practice, Source

PAGE_BYTES = 200
"""A few entries a page, so that a delta has several."""

OUTBOX_BYTES_MAX = 600
"""A few pushes in flight, so that peers fall behind."""

REPORT_INTERVAL = Millis(200)
FORGET_INTERVAL = Millis(100)
"""So short that a schedule sees several floors."""


class Fate(Enum):
    """What becomes of a turn."""

    DONE = "done"
    CRASH_BEFORE_COMMIT = "crash before commit"
    CRASH_AFTER_COMMIT = "crash after commit"
    STORE_FULL = "store full"


class World(Protocol):
    """What a site does to what is around it."""

    def new_replica(self) -> ReplicaId:
        """Return an identity never used before."""

    def names(self) -> tuple[str, ...]:
        """Return the names of all sites."""

    def transmit(self, sender: "Site", peer: ReplicaId, message: Message) -> None:
        """Put *message* on its way."""

    def committed(self, site: "Site", result: TurnResult) -> None:
        """Note that a turn is durable."""

    def answered(self, site: "Site", number: int, reply: Reply | None) -> None:
        """Note the reply to a request; None = it has not happened."""

    def starts_over(self, site: "Site", reason: str) -> None:
        """Note that a site has stopped: its store must be replaced."""

    def told(self, site: "Site", message: str) -> None:
        """Note what a node tells whoever runs it."""

    def disconnected(self, site: "Site", peer: ReplicaId, reason: str) -> None:
        """Note that a node blames another one."""


class _Turn(NamedTuple):
    events: list[Event]
    result: TurnResult


@dataclass(slots=True)
class _Serving:
    session: int
    source: Source
    pages: Generator[DeltaPage]
    acknowledged: int = -1
    sent: int = 0


class Site:
    """One PoP."""

    def __init__(
        self,
        name: str,
        store: MemoryStore,
        world: World,
        practice: Practice = GOOD_PRACTICE,
    ) -> None:
        self.name = name
        self.store = store
        self.inbox: deque[Event] = deque()
        self.requests: dict[int, WriteRequest] = {}  # not answered yet
        self.serving: dict[ReplicaId, _Serving] = {}
        self._under_way: deque[_Turn] = deque()
        self.skew = 0  # ms that this site's wall clock is ahead
        self._world = world
        self._practice = practice
        self.node = self._started()

    def _started(self) -> Node:
        own = PeerAddress(self.name, "", region=self.name[0])
        settings = Settings(
            own=own,
            report_interval=REPORT_INTERVAL,
            outbox_bytes_max=OUTBOX_BYTES_MAX,
            forget_interval=FORGET_INTERVAL,
        )
        peers = tuple(PeerAddress(name, "") for name in self._world.names())
        self.inbox.append(PeersConfigured(peers))
        return Node(self._initial_state(), settings, Random(self.name))

    def _initial_state(self) -> DurableState:
        """Return what to start from, as kvnode.runtime.assembly does."""
        state = self.store.state()
        if self.store.unclean:
            # What peers have of the old identity may be lost here: be another.
            known = state.roster.get(state.replica)
            former = known or Member(state.replica, self.name)
            state = replace(
                state,
                replica=self._world.new_replica(),
                seq=0,
                roster=state.roster.join((former._replace(standing=Standing.REMOVED),)),
            )
            run(self.store.reserve(state))
        if state.start_over is not None:
            run(start_over(self.store, self._world.new_replica))
            state = self.store.state()
        return state

    @property
    def replica(self) -> ReplicaId:
        """Return who the site is; an unclean stop makes it another."""
        return self.node.state.replica

    @property
    def address(self) -> PeerAddress:
        """Return how the site introduces itself."""
        return PeerAddress(self.name, "", self.replica, region=self.name[0])

    @property
    def clock(self) -> VersionVector:
        """Return what the site covers durably."""
        return self.store.state().clock

    @property
    def serves(self) -> bool:
        """Tell whether it may answer clients: it is not being filled (D10)."""
        return self.store.state().filling is None

    @property
    def hello(self) -> PeerUp:
        """Return what peers hear when they are connected."""
        state = self.store.state()
        members = tuple(state.roster)
        return PeerUp(self.address, state.clock, (), members, state.floor, protocol=2)

    @property
    def pending(self) -> VersionVector:
        """Return what a read of an uncovered entry joins, as the driver does."""
        return self.store.state().pending.join(self.node.uncommitted_pending())

    @property
    def busy(self) -> bool:
        """Tell whether there is anything to make a turn of, or to end."""
        return bool(self.inbox or self._under_way)

    def stage(self, now: Millis) -> None:
        """
        Stage a turn of all that waits; the one under way becomes durable.

        As in the driver: the new turn sees the one under way, which is on its
        way to disk meanwhile.
        """
        self._step(now)
        if len(self._under_way) > 1:
            self._finish(Fate.DONE)

    def turn(self, now: Millis, fate: Fate = Fate.DONE) -> bool:
        """Stage a turn of all that waits and end all; tell whether the site stands."""
        self._step(now)
        while self._under_way:
            if not self._finish(fate):
                return False
        return True

    def _step(self, now: Millis) -> None:
        events, self.inbox = list(self.inbox), deque()
        if not events:
            return
        for event in events:
            if isinstance(event, WriteRequest):
                self.requests[event.number] = event
        with self.store.snapshot() as snapshot:
            before = self._under_way[-1].result.commit if self._under_way else None
            view = StagedView(snapshot, before)
            at = ClockReading(Millis(now + self.skew), now)
            result = self.node.step(events, at, view)
        # Whoever is down for long is taken for dead, which is not told to the world.
        self._perform_all([e for e in result.at_once if not isinstance(e, Tell)])
        self._under_way.append(_Turn(events, result))
        if self._practice.effects_before_commit:
            self._perform_all(result.effects)

    def _finish(self, fate: Fate) -> bool:
        """End the oldest turn under way; tell whether the site stands."""
        if fate is Fate.CRASH_BEFORE_COMMIT:
            return False
        commit = self._under_way[0].result.commit
        if commit:
            if fate is Fate.STORE_FULL:
                self.store.fail_next(StoreFullError("the disk is full"))
            try:
                run(self.store.apply(commit))
            except StoreFullError:
                self._fail_all()
                return True
        result = self._under_way.popleft().result
        self.node.committed()
        self._world.committed(self, result)
        if fate is Fate.CRASH_AFTER_COMMIT:
            return False
        if not self._practice.effects_before_commit:
            self._perform_all(result.effects)
        return True

    def _fail_all(self) -> None:
        self.node.abort()
        while self._under_way:
            events, result = self._under_way.popleft()
            for event in events:
                if isinstance(event, WriteRequest):
                    del self.requests[event.number]
                    self._world.answered(self, event.number, None)
            for effect in result.effects:
                # A reply may be one to a write of an earlier turn.
                earlier = isinstance(effect, Reply) and effect.number in self.requests
                if earlier or isinstance(effect, Disconnect):
                    self._perform(effect)

    def _perform_all(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send(peer, message):
                self._world.transmit(self, peer, message)
            case Reply(number):
                self._world.answered(self, number, effect)
                del self.requests[number]
            case ServeDelta(peer, request):
                self._serve(peer, request)
            case PaceDelta(peer, session, number, abandoned):
                self._pace(peer, session, number, abandoned=abandoned)
            case Disconnect(peer, reason):
                self._world.disconnected(self, peer, reason)
            case Dial() | HangUp() | WakeAt():
                pass  # the network connects whom it likes, and time passes by itself
            case StartOver(reason):
                self._world.starts_over(self, reason)
            case Tell(message):
                self._world.told(self, message)
            case BeginRepair() | RepairSaid() | RepairTaken():
                raise AssertionError(effect)  # nor are equal nodes ever different
            case _:
                assert_never(effect)

    def crash(self, store: MemoryStore | None = None) -> None:
        """Lose all but what a power cut leaves, or be *store*, and start again."""
        for peer in list(self.serving):
            self.end_serving(peer)
        self.inbox.clear()
        self._under_way.clear()
        self.requests.clear()
        if store is None:
            self.store.crash()
        else:
            self.store = store
        self.node = self._started()

    def restart(self) -> None:
        """Start again on what is stored."""
        self.crash(self.store)

    def remove(self, replica: ReplicaId) -> None:
        """Let the operator say that *replica* will not come back."""
        self.inbox.append(RemoveMember(replica))

    def peer_down(self, peer: ReplicaId) -> None:
        """Tell the node that the connection has ended."""
        self.end_serving(peer)
        self.inbox.append(PeerDown(peer))

    def sync(self) -> None:
        """Make all that was committed survive a crash (`relaxed` only)."""
        run(self.store.sync())

    # -- deltas --------------------------------------------------------------

    def _serve(self, peer: ReplicaId, request: DeltaRequest) -> None:
        self.end_serving(peer)
        source = self._practice.open_source(self.store)
        slices = delta_pages(source.view, request, page_bytes=PAGE_BYTES)
        pages = (page for page in slices if page is not None)
        self.serving[peer] = _Serving(request.session, source, pages)

    def _pace(
        self, peer: ReplicaId, session: int, number: int, *, abandoned: bool
    ) -> None:
        serving = self.serving.get(peer)
        if serving is None or serving.session != session:
            return
        if abandoned:
            self.end_serving(peer)
        else:
            serving.acknowledged = max(serving.acknowledged, number)

    def serve_page(self, peer: ReplicaId) -> bool:
        """Send *peer* the next page of its delta; tell whether one was due."""
        serving = self.serving.get(peer)
        if serving is None or serving.sent - serving.acknowledged > WINDOW_PAGES:
            return False
        page = next(serving.pages)
        serving.sent += 1
        if page.last:
            self.end_serving(peer)
        self._world.transmit(self, peer, page)
        return True

    def end_serving(self, peer: ReplicaId) -> None:
        """Let go of the delta for *peer*, if there is one."""
        serving = self.serving.pop(peer, None)
        if serving:
            serving.pages.close()
            serving.source.held.__exit__(None, None, None)


def run(coroutine: Coroutine[None, None, object]) -> None:
    """Run a coroutine that never waits to its end."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    message = "a store in memory does not wait"
    raise AssertionError(message)
