"""One node on a store in memory, and what a test does to it."""

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
)
from kvnode.core.node.node import Node, Settings
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.store_view import Commit, DurableState, PeerAddress
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


class Bench:
    """Node A; turns are committed at once unless a test does it itself."""

    def __init__(self, *, outbox_bytes_max: int = 10_000) -> None:
        self.now = START
        self.store = MemoryStore(A)
        own = PeerAddress(NAMES[A], "", region=REGIONS[A])
        settings = Settings(own=own, outbox_bytes_max=outbox_bytes_max)
        self.node = Node(DurableState(A), settings)
        self._numbers = 0

    def turn(self, *events: Event) -> list[Effect]:
        """Make a durable turn of *events*; return its effects."""
        with self.store.snapshot() as view:
            result = self.node.step(events, self.now, view)
        if result.commit:
            run(self.store.apply(result.commit))
        self.node.committed()
        return result.effects

    def failed_turn(self, *events: Event) -> list[Effect]:
        """Make a turn that finds no room; return what must not be performed."""
        with self.store.snapshot() as view:
            result = self.node.step(events, self.now, view)
        self.node.abort()
        return result.effects

    def staged(self, *events: Event) -> Commit | None:
        """Stage a turn without making it durable; return its commit."""
        with self.store.snapshot() as view:
            return self.node.step(events, self.now, view).commit

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
        return self.store.state().clock


def sent(effects: list[Effect], kind: type[Message]) -> list[tuple[ReplicaId, Message]]:
    """Return the messages of one kind among *effects*, with whom they go to."""
    return [
        (effect.peer, effect.message)
        for effect in effects
        if isinstance(effect, Send) and isinstance(effect.message, kind)
    ]
