"""One node on a store in memory, and what a test does to it."""

from random import Random

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.commands import LOCAL, Command, Outcome, Replicas, WriteRequest
from kvnode.core.node.events import (
    Effect,
    Event,
    Message,
    PeerUp,
    Received,
    Reply,
    Send,
    Tick,
)
from kvnode.core.node.node import Node, Settings
from kvnode.core.replication.messages import Report
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.roster import Member, Standing
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.store_view import (
    Commit,
    DurableState,
    PeerAddress,
    Write,
)
from kvnode.core.versions.version import Entry
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import EntryKey, Millis, ReplicaId
from tests.core.replication.entries import A, B, C
from tests.simulation.site import run

START = Millis(1_700_000_000_000)
NAMES = {A: "a-site", B: "b-site", C: "c-site"}
REGIONS = {A: "east", B: "east", C: "west"}


def address(replica: ReplicaId) -> PeerAddress:
    """Return how a peer introduces itself."""
    return PeerAddress(NAMES[replica], "", replica, REGIONS[replica])


def member(replica: ReplicaId, standing: Standing = Standing.MEMBER) -> Member:
    """Return the roster's record of a node."""
    return Member(replica, NAMES[replica], "", REGIONS[replica], 0, standing)


class Bench:
    """Node A; turns are committed at once unless a test does it itself."""

    def __init__(
        self, *, outbox_bytes_max: int = 10_000, state: DurableState | None = None
    ) -> None:
        self.now = START
        self.store = MemoryStore(A)
        if state is not None:
            self.store.commit(Commit(state))
        own = PeerAddress(NAMES[A], "", region=REGIONS[A])
        self.settings = Settings(own=own, outbox_bytes_max=outbox_bytes_max)
        self.node = Node(self.store.state(), self.settings, Random(1))
        self._numbers = 0

    def restart(self) -> None:
        """Let the node forget all that is not in the store."""
        self.node = Node(self.store.state(), self.settings, Random(1))

    @property
    def at(self) -> ClockReading:
        """Return what both clocks of the node say; neither is ever set."""
        return ClockReading(self.now, Millis(self.now - START))

    def turn(self, *events: Event) -> list[Effect]:
        """Make a durable turn of *events*; return its effects."""
        with self.store.snapshot() as view:
            result = self.node.step(events, self.at, view)
        if result.commit:
            run(self.store.apply(result.commit))
        self.node.committed()
        return [*result.at_once, *result.effects]

    def put_aside_of_the_node(self, key: EntryKey, entry: Entry) -> None:
        """Put *entry* into the store past the node."""
        run(self.store.apply(Commit(self.state, (Write(key, entry, None),))))

    def failed_turn(self, *events: Event) -> list[Effect]:
        """Make a turn that finds no room; return what must not be performed."""
        with self.store.snapshot() as view:
            result = self.node.step(events, self.at, view)
        self.node.abort()
        return result.effects

    def staged(self, *events: Event) -> Commit | None:
        """Stage a turn without making it durable; return its commit."""
        with self.store.snapshot() as view:
            return self.node.step(events, self.at, view).commit

    def request(
        self,
        *commands: Command,
        session: Session = NEW_SESSION,
        replicas: Replicas = LOCAL,
    ) -> WriteRequest:
        """Return a request with a number of its own."""
        self._numbers += 1
        return WriteRequest(self._numbers, commands, session, replicas)

    def write(
        self, *commands: Command, session: Session = NEW_SESSION
    ) -> list[Outcome]:
        """Perform *commands* in a turn; return what came of them."""
        effects = self.turn(self.request(*commands, session=session))
        [reply] = [e for e in effects if isinstance(e, Reply)]
        return list(reply.outcomes)

    def connect(self, peer: ReplicaId, clock: VersionVector = EMPTY) -> list[Effect]:
        """Let *peer* connect; return what the node does about it."""
        return self.turn(PeerUp(address(peer), clock, ()))

    def meet(
        self,
        peer: ReplicaId,
        clock: VersionVector = EMPTY,
        floor: Floor = GROUND,
        members: tuple[Member, ...] = (),
        *,
        filling: bool = False,
    ) -> list[Effect]:
        """Let *peer*, which knows all of protocol 2, connect."""
        up = PeerUp(address(peer), clock, (), members, floor, 2, filling)
        return self.turn(up)

    def report(
        self,
        peer: ReplicaId,
        clock: VersionVector,
        *,
        held: VersionVector = EMPTY,
        floor: Floor = GROUND,
        sent_at: Millis | None = None,
        filling: bool = False,
    ) -> list[Effect]:
        """Let *peer*, whose roster is A's, report what it covers."""
        at = self.now if sent_at is None else sent_at
        roster = self.store.state().roster.digest()
        report = Report(
            clock, at, held=held, roster=roster, floor=floor, filling=filling
        )
        return self.hear(peer, report)

    def tick(self, after: int = 0) -> list[Effect]:
        """Let *after* ms pass, and a tick come."""
        self.now = Millis(self.now + after)
        return self.turn(Tick())

    def hear(self, peer: ReplicaId, *messages: Message) -> list[Effect]:
        """Let *messages* of *peer* arrive in one turn."""
        return self.turn(*(Received(peer, message) for message in messages))

    def entry(self, key: EntryKey) -> Entry | None:
        """Return what is stored under *key*."""
        with self.store.snapshot() as view:
            return view.entry(key)

    @property
    def clock(self) -> VersionVector:
        """Return what the node covers durably."""
        return self.state.clock

    @property
    def state(self) -> DurableState:
        """Return what the node finds again after a crash."""
        return self.store.state()


def sent(effects: list[Effect], kind: type[Message]) -> list[tuple[ReplicaId, Message]]:
    """Return the messages of one kind among *effects*, with whom they go to."""
    return [
        (effect.peer, effect.message)
        for effect in effects
        if isinstance(effect, Send) and isinstance(effect.message, kind)
    ]
