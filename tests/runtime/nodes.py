"""
One node in this process: a driver on a store in memory, with nobody to talk to.

The transport records what would leave, the store can hold a commit back, and
both write into one log, so that a test can say what must come before what.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import TypeVar

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.commands import LOCAL, Command, Put, Replicas
from kvnode.core.node.events import Message, PeerDown, PeerUp, Received, Reply
from kvnode.core.node.node import Node, Settings
from kvnode.core.replication.messages import (
    Push,
    PushAcknowledgement,
    wire_entry,
)
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.store_view import Commit, PeerAddress
from kvnode.core.versions.version import Entry, Kind, Version
from kvnode.errors import KvError
from kvnode.runtime.delta_server import DeltaServer
from kvnode.runtime.driver import Driver
from kvnode.runtime.inbox import Inbox
from kvnode.runtime.repair_server import RepairServer
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import (
    DEFAULT_NAMESPACE,
    Dot,
    EntryKey,
    HlcTimestamp,
    Millis,
    ReplicaId,
)

OWN = ReplicaId(0xA)
PEER = ReplicaId(0xB)
THIRD = ReplicaId(0xC)
NOW = Millis(1_700_000_000_000)
PEER_ADDRESS = PeerAddress("tokyo", "", PEER, "asia")

M = TypeVar("M")


class ManualClock:
    """
    A wall clock that stands still until a test moves it.

    The steady clock goes along, but never back.
    """

    def __init__(self) -> None:
        self.now = NOW
        self._steady = Millis(0)

    def __call__(self) -> Millis:
        """Return the time."""
        return self.now

    def read(self) -> ClockReading:
        """Return both clocks."""
        self._steady = max(self._steady, Millis(self.now - NOW))
        return ClockReading(self.now, self._steady)


class GatedStore(MemoryStore):
    """A store in memory whose commits wait while its gate is closed."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(OWN)
        self.gate = asyncio.Event()
        self.gate.set()
        self.applying = asyncio.Event()
        self._log = log

    def hold(self) -> None:
        """Hold back what is applied from now on."""
        self.gate.clear()
        self.applying.clear()

    async def apply(self, commit: Commit) -> None:
        """Apply *commit* once the gate is open."""
        self.applying.set()
        await self.gate.wait()
        await super().apply(commit)
        self._log.append(f"durable {len(commit.writes)}")


class RecordingTransport:
    """Keeps what would have been sent."""

    def __init__(self, log: list[str]) -> None:
        self.sent: list[tuple[ReplicaId, Message]] = []
        self.dialed: list[PeerAddress] = []
        self.hung_up: list[PeerAddress] = []
        self.disconnected: list[tuple[ReplicaId, str]] = []
        self._log = log

    def send(self, peer: ReplicaId, message: Message) -> None:
        """Keep *message*."""
        self.sent.append((peer, message))
        self._log.append(f"send {type(message).__name__}")

    def dial(self, address: PeerAddress) -> None:
        """Keep *address*."""
        self.dialed.append(address)

    def hang_up(self, address: PeerAddress) -> None:
        """Keep *address*."""
        self.hung_up.append(address)

    def disconnect(self, peer: ReplicaId, reason: str) -> None:
        """Keep *peer* with *reason*."""
        self.disconnected.append((peer, reason))

    def messages(self, kind: type[M]) -> list[M]:
        """Return the messages of one kind, in order."""
        return [m for _, m in self.sent if isinstance(m, kind)]


@dataclass(slots=True)
class RunningNode:
    """A driver that runs, and all it stands on."""

    store: GatedStore
    transport: RecordingTransport
    clock: ManualClock
    inbox: Inbox
    deltas: DeltaServer
    repairs: RepairServer
    driver: Driver
    running: asyncio.Task[None]
    log: list[str]
    outcomes: list[Reply | KvError] = field(default_factory=list)

    def queue(
        self,
        *commands: Command,
        session: Session = NEW_SESSION,
        replicas: Replicas = LOCAL,
    ) -> asyncio.Future[Reply | KvError]:
        """Queue one request; the future gets what came of it."""
        future: asyncio.Future[Reply | KvError] = asyncio.Future()
        self.driver.write(
            commands, future.set_result, session=session, replicas=replicas
        )
        return future

    async def put(self, name: bytes, value: bytes = b"value") -> Reply:
        """Store a register, durably."""
        reply = await self.queue(Put(at(name), value))
        assert isinstance(reply, Reply)
        return reply

    async def peer_up(self, clock: VersionVector = EMPTY, *, protocol: int = 1) -> None:
        """Connect PEER, which covers *clock* and speaks *protocol*."""
        await self.driver.deliver(PeerUp(PEER_ADDRESS, clock, (), protocol=protocol))
        await self.settled()

    async def peer_down(self) -> None:
        """End the connection to PEER."""
        await self.driver.deliver(PeerDown(PEER))
        await self.settled()

    async def receive(self, message: Message) -> None:
        """Let *message* come from PEER."""
        await self.driver.deliver(Received(PEER, message))
        await self.settled()

    async def acknowledge(self, seq: int) -> None:
        """Let PEER acknowledge this node's write number *seq*."""
        await self.receive(PushAcknowledgement(OWN, seq, seq))

    async def settled(self) -> None:
        """Return when all that was queued before has been done."""
        for _ in range(20):
            await asyncio.sleep(0)


@asynccontextmanager
async def running_node(
    *,
    operations_max: int = 1000,
    bytes_max: int = 1 << 26,
    sessions_max: int = 3,
    page_bytes: int = 1 << 18,
) -> AsyncIterator[RunningNode]:
    """Yield a node that runs; it stops at the end, if it has not before."""
    log: list[str] = []
    store, transport, clock = GatedStore(log), RecordingTransport(log), ManualClock()
    deltas = DeltaServer(
        store, transport, page_bytes=page_bytes, sessions_max=sessions_max
    )
    repairs = RepairServer(
        store,
        transport,
        random_word=count(1).__next__,
        uniform=lambda low, _: low,
        page_bytes=page_bytes,
        bytes_per_second=1 << 40,
    )
    inbox = Inbox(operations_max=operations_max, bytes_max=bytes_max)
    own = PeerAddress("home", "", OWN, "europe")
    driver = Driver(
        Node(store.state(), Settings(own), Random(1)),
        store,
        transport,
        clock=clock,
        deltas=deltas,
        repairs=repairs,
        inbox=inbox,
        backup=no_backup,
    )
    running = asyncio.create_task(driver.run())
    node = RunningNode(
        store, transport, clock, inbox, deltas, repairs, driver, running, log
    )
    try:
        yield node
    finally:
        store.gate.set()
        driver.stop()
        await repairs.close()
        await asyncio.gather(running, return_exceptions=True)
        deltas.close()


async def until(condition: Callable[[], bool]) -> None:
    """Return when *condition* holds: for what happens on real connections."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- what is waited for sets no event
            await asyncio.sleep(0.002)


async def no_backup() -> AsyncIterator[bytes]:
    """Yield a backup of two pieces."""
    for piece in (b"one", b"two"):
        yield piece


def at(name: bytes) -> EntryKey:
    """Return a key in the default namespace."""
    return EntryKey(DEFAULT_NAMESPACE, name)


def foreign(
    seq: int, value: bytes = b"theirs", *, dependencies: tuple[Dot, ...] = ()
) -> Entry:
    """Return the entry that PEER's write number *seq* made."""
    hlc = HlcTimestamp((NOW << 16) + seq)
    version = Version(Kind.REGISTER, hlc, Dot(PEER, seq), dependencies=dependencies)
    return Entry(version, value)


def push_of(name: bytes, entry: Entry) -> Push:
    """Return a push of one entry."""
    dot = entry.version.dot
    return Push(dot.replica, dot.seq, dot.seq, (wire_entry(at(name), entry),))
