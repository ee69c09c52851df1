"""
Pools that meet over real connections: one link a pair, and the reason if none.

All nodes of a test live in this process, each with a server on a free port.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Protocol

import grpc
import grpc.aio
import pytest

from kvnode._pb import peer_pb2 as pb
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.events import PeerDown, PeerUp, Received, SeedReached
from kvnode.core.replication.messages import (
    DeltaAcknowledgement,
    Push,
    PushAcknowledgement,
)
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.roster import NOBODY, Roster
from kvnode.core.versions.store_view import PeerAddress
from kvnode.errors import RoadError
from kvnode.transport import peer_pool
from kvnode.transport.grpc_road import PEERS, GrpcRoad, add_meetings
from kvnode.transport.peer_pool import PeerPool
from kvnode.transport.wire import PROTOCOL
from kvnode.types import ReplicaId
from tests.runtime.nodes import until

SMALL, LARGE = ReplicaId(1), ReplicaId(2**64 - 1)
Event = PeerUp | PeerDown | SeedReached | Received


class PoolNode:
    """A pool with its server; it keeps what is reported to it."""

    def __init__(
        self,
        name: str,
        replica: ReplicaId,
        port: int,
        cluster: str = "test",
        configured: Collection[str] = (),
    ) -> None:
        self.address = PeerAddress(name, f"127.0.0.1:{port}", replica, "somewhere")
        self.events: list[Event] = []
        self.pauses: list[float] = []
        self.pool = PeerPool(
            self.address,
            cluster,
            {},
            road=GrpcRoad(PEERS),
            uniform=self.uniform,
            configured=configured,
        )
        self.pool.attach(self)
        self.server = grpc.aio.server()
        self._clock = VersionVector.of({replica: 3})
        self.filling = False

    def uniform(self, low: float, high: float) -> float:
        """Return the middle; keep that there was a pause."""
        self.pauses.append(low)
        return (low + high) / 2

    async def deliver(self, event: Event) -> None:
        """Keep *event*."""
        self.events.append(event)

    def clock(self) -> VersionVector:
        """Return what the node covers."""
        return self._clock

    def known_peers(self) -> tuple[PeerAddress, ...]:
        """Return a peer known by hearsay."""
        return (PeerAddress("heard-of", "127.0.0.1:9", ReplicaId(9)),)

    def roster(self) -> Roster:
        """Return who is known to have joined."""
        return NOBODY

    def floor(self) -> Floor:
        """Return what is forgotten."""
        return GROUND

    def is_being_filled(self) -> bool:
        """Tell whether the node is being filled."""
        return self.filling

    def dial(self, other: "PoolNode") -> None:
        """Keep a connection to *other*."""
        self.pool.dial(other.address)

    def links(self, kind: type[Event]) -> list[ReplicaId]:
        """Return the peers of all events of one kind."""
        return [
            event.peer.replica if isinstance(event, PeerUp) else event.peer
            for event in self.events
            if isinstance(event, kind) and not isinstance(event, SeedReached)
        ]

    def believes_connected(self, peer: ReplicaId) -> bool:
        """Tell what the node would believe after its events."""
        believed = False
        for event in self.events:
            if isinstance(event, PeerUp) and event.peer.replica == peer:
                believed = True
            elif isinstance(event, PeerDown) and event.peer == peer:
                believed = False
        return believed

    def numbers(self) -> list[int]:
        """Return the numbers of the acknowledgements that arrived."""
        messages = [e.message for e in self.events if isinstance(e, Received)]
        return [m.number for m in messages if isinstance(m, DeltaAcknowledgement)]


class Starter(Protocol):
    """Starts a node."""

    async def __call__(
        self,
        name: str,
        replica: ReplicaId,
        cluster: str = "test",
        configured: Collection[str] = (),
    ) -> PoolNode:
        """Return a node that listens."""


@asynccontextmanager
async def _nodes() -> AsyncIterator[Starter]:
    started: list[PoolNode] = []

    async def make(
        name: str,
        replica: ReplicaId,
        cluster: str = "test",
        configured: Collection[str] = (),
    ) -> PoolNode:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        port = server.add_insecure_port("127.0.0.1:0")
        node = PoolNode(name, replica, port, cluster, configured)
        node.server = server
        add_meetings(server, PEERS, node.pool.accept)
        await server.start()
        started.append(node)
        return node

    try:
        yield make
    finally:
        for node in started:
            await node.pool.close()
        for node in started:
            await node.server.stop(0)


@pytest.fixture
async def start(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Starter]:
    """How to start a node; all are stopped in the end.  Redialing is quick."""
    monkeypatch.setattr(peer_pool, "REDIAL_SECONDS_MIN", 0.01)
    monkeypatch.setattr(peer_pool, "REDIAL_SECONDS_MAX", 0.05)
    async with _nodes() as start:
        yield start


async def _connected(*nodes: PoolNode) -> None:
    """Return when each node has a link to each other one."""
    for node in nodes:
        others = {n.address.replica for n in nodes if n is not node}
        await until(lambda n=node, o=others: n.pool.connected() >= o)  # type: ignore[misc]  # mypy infers no type for a lambda with defaults


def _send(sender: PoolNode, receiver: PoolNode, *numbers: int) -> None:
    for number in numbers:
        sender.pool.send(receiver.address.replica, DeltaAcknowledgement(1, number))


async def test_dialed_peers_exchange_hellos_and_messages(start: Starter) -> None:
    """Each learns who the other is, what it covers, lacks, and whom it knows."""
    a, b = await start("a", SMALL), await start("b", LARGE)
    b.filling = True
    a.dial(b)
    await _connected(a, b)
    await until(lambda: bool(a.events and b.events))

    assert a.events[0] == PeerUp(
        b.address, b.clock(), b.known_peers(), protocol=PROTOCOL, filling=True
    )
    assert b.events[0] == PeerUp(
        a.address, a.clock(), a.known_peers(), protocol=PROTOCOL
    )
    _send(a, b, *range(50))
    _send(b, a, 7)
    await until(lambda: len(b.numbers()) == 50 and a.numbers() == [7])
    assert b.numbers() == list(range(50))


async def test_hello_is_of_the_moment_in_which_the_connection_stands(
    start: Starter,
) -> None:
    """Whoever hears it would serve from nothing if it told of long before (D10)."""
    a, b = await start("a", SMALL), await start("b", LARGE)
    dialed, opened, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def gate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dialed.set()
        await opened.wait()
        there = await asyncio.open_connection(*b.address.address.split(":"))
        await asyncio.gather(_copied(reader, there[1]), _copied(there[0], writer))
        ended.set()

    async with await asyncio.start_server(gate, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        a.pool.dial(b.address._replace(address=f"127.0.0.1:{port}"))
        await dialed.wait()
        await asyncio.sleep(0.1)  # time for a hello, if it were said at once
        a.filling = True
        opened.set()
        await until(lambda: bool(b.events))
        await a.pool.close()
        await ended.wait()

    assert b.events[0] == PeerUp(
        a.address, a.clock(), a.known_peers(), protocol=PROTOCOL, filling=True
    )


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("attempt", range(5))
async def test_dialing_each_other_leaves_one_link(start: Starter, attempt: int) -> None:
    """Both sides choose the same one, whoever was first."""
    del attempt
    a, b = await start("a", SMALL), await start("b", LARGE)
    a.dial(b)
    b.dial(a)
    await _connected(a, b)
    await asyncio.sleep(0.1)  # time for a second connection, if there is to be one

    before = len(a.links(PeerUp)), len(b.links(PeerUp))
    assert a.believes_connected(LARGE)
    assert b.believes_connected(SMALL)
    _send(a, b, 1, 2, 3)
    _send(b, a, 4, 5, 6)
    await until(lambda: b.numbers() == [1, 2, 3] and a.numbers() == [4, 5, 6])
    assert (len(a.links(PeerUp)), len(b.links(PeerUp))) == before


async def test_closed_link_is_reported_and_made_again(start: Starter) -> None:
    """PeerDown on both sides, then PeerUp on both."""
    a, b = await start("a", SMALL), await start("b", LARGE)
    a.dial(b)
    await _connected(a, b)
    await until(lambda: bool(b.events))

    a.pool.disconnect(LARGE, "for a reason")

    for node, peer in ((a, LARGE), (b, SMALL)):
        await until(lambda n=node: len(n.links(PeerUp)) == 2)  # type: ignore[misc]  # mypy infers no type for a lambda with defaults
        assert node.links(PeerDown) == [peer]
        kinds = [type(event) for event in node.events]
        assert kinds == [PeerUp, PeerDown, PeerUp]


async def test_peer_that_stops_is_down_and_dialed_until_it_is_back(
    start: Starter,
) -> None:
    """No message is kept for it meanwhile."""
    a, b = await start("a", SMALL), await start("b", LARGE)
    a.dial(b)
    await _connected(a, b)

    await b.pool.close()
    await b.server.stop(0)
    await until(lambda: a.links(PeerDown) == [LARGE])
    _send(a, b, 1)

    assert a.pool.connected() == frozenset()
    assert not a.believes_connected(LARGE)


@pytest.mark.parametrize(
    ("replica", "cluster", "reason"),
    [
        (LARGE, "other", "this is cluster"),
        (SMALL, "test", "has the identity 0000000000000001"),
    ],
)
async def test_stranger_is_turned_away_with_the_reason_logged(
    start: Starter,
    caplog: pytest.LogCaptureFixture,
    replica: ReplicaId,
    cluster: str,
    reason: str,
) -> None:
    """At the node that dials and at the one that is dialed."""
    caplog.set_level(logging.WARNING)
    a = await start("a", SMALL)
    b = await start("b", replica, cluster)
    a.dial(b)

    def complaints() -> set[str]:
        return {
            record.message.partition(" ")[0]
            for record in caplog.records
            if reason in record.message
        }

    await until(lambda: complaints() == {"cannot", "turned"})
    assert a.events == b.events == []


async def test_protocol_without_a_common_version_is_refused(
    start: Starter, caplog: pytest.LogCaptureFixture
) -> None:
    """With the versions of both."""
    a = await start("a", SMALL)
    hello = pb.PeerMessage.FromString(a.pool.hello())
    hello.hello.self.replica = LARGE
    hello.hello.protocol = hello.hello.protocol_min = 99
    async with grpc.aio.insecure_channel(a.address.address) as channel:
        connect: grpc.aio.StreamStreamMultiCallable[bytes, pb.PeerMessage]
        connect = channel.stream_stream(
            "/kvnode.v1.Peer/Connect", response_deserializer=pb.PeerMessage.FromString
        )
        call = connect()
        await call.write(hello.SerializeToString())
        assert isinstance(await call.read(), pb.PeerMessage)
        with pytest.raises(grpc.aio.AioRpcError, match=r"1\.\.2 here, 99\.\.99 there"):
            await call.read()
    assert "no common protocol version" in caplog.text


async def test_stream_that_does_not_begin_with_a_hello_is_refused(
    start: Starter,
) -> None:
    """Whatever else it says."""
    a = await start("a", SMALL)
    async with grpc.aio.insecure_channel(a.address.address) as channel:
        connect: grpc.aio.StreamStreamMultiCallable[bytes, pb.PeerMessage]
        connect = channel.stream_stream(
            "/kvnode.v1.Peer/Connect", response_deserializer=pb.PeerMessage.FromString
        )
        call = connect()
        report = pb.PeerMessage(report=pb.Report())
        await call.write(report.SerializeToString())
        assert isinstance(await call.read(), pb.PeerMessage)
        with pytest.raises(grpc.aio.AioRpcError, match="must be a hello"):
            await call.read()
    assert a.events == []


async def test_message_that_breaks_the_protocol_ends_the_link(start: Starter) -> None:
    """And is not handed on."""
    a, b = await start("a", SMALL), await start("b", LARGE)
    a.dial(b)
    await _connected(a, b)
    link = a.pool._links[LARGE]
    link.send(pb.PeerMessage(hello=pb.Hello()).SerializeToString())

    await until(lambda: b.links(PeerDown) == [SMALL])
    await until(lambda: len(b.links(PeerUp)) == 2)
    assert not [event for event in b.events if isinstance(event, Received)]


async def test_node_that_dials_itself_stops_without_alarm(
    start: Starter, caplog: pytest.LogCaptureFixture
) -> None:
    """One list of seeds for all nodes is the usual way."""
    caplog.set_level(logging.WARNING)
    a = await start("a", SMALL)
    a.pool.dial(PeerAddress("", a.address.address))
    (task,) = a.pool._dialing.values()

    await asyncio.wait_for(task, 5)

    assert a.events == [SeedReached(a.address.address, SMALL)]
    assert caplog.records == []


async def test_seed_is_dialed_without_knowing_its_name(start: Starter) -> None:
    """And again when the connection ends."""
    a, b = await start("a", SMALL), await start("b", LARGE)
    a.pool.dial(PeerAddress("", b.address.address))
    await _connected(a, b)
    b.pool.disconnect(SMALL, "for a reason")

    await until(lambda: len(a.links(PeerUp)) == 2)


async def test_who_is_at_a_seed_is_told_when_it_is_known(start: Starter) -> None:
    """Behind the connection, and also if there is one already."""
    a, b = await start("a", LARGE), await start("b", SMALL)
    b.dial(a)
    await _connected(a, b)
    seed = b.address.address.replace("127.0.0.1", "localhost")
    a.pool.dial(PeerAddress("", seed))
    await until(lambda: SeedReached(seed, SMALL) in a.events)
    assert a.links(PeerUp) == [SMALL]
    assert not a.links(PeerDown)

    b.pool.hang_up(a.address)
    a.events.clear()
    a.pool.disconnect(SMALL, "for a reason")
    await until(lambda: len(a.events) >= 3)

    assert [type(event) for event in a.events] == [PeerDown, PeerUp, SeedReached]


async def test_address_is_dialed_no_more_when_it_was_hung_up_on(start: Starter) -> None:
    """Who was there is gone for good."""
    a, b = await start("a", SMALL), await start("b", LARGE)
    a.dial(b)
    await _connected(a, b)

    a.pool.hang_up(b.address)
    await until(lambda: a.links(PeerDown) == [LARGE])
    await asyncio.sleep(0.2)

    assert a.links(PeerUp) == [LARGE]


async def test_nobody_hangs_up_on_a_configured_address(start: Starter) -> None:
    """Who was there is gone for good, but the operator expects somebody."""
    b = await start("b", LARGE)
    a = await start("a", SMALL, configured=(b.address.address,))
    a.dial(b)
    await _connected(a, b)

    a.pool.hang_up(b.address)
    a.pool.disconnect(LARGE, "was removed")

    await until(lambda: len(a.links(PeerUp)) == 2)


async def test_unreachable_address_is_dialed_again_and_again_at_a_bounded_pace(
    start: Starter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Slower each time up to the bound, and logged once as a warning."""
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(peer_pool, "REDIAL_SECONDS_MAX", 0.04)
    a, b = await start("a", SMALL), await start("b", LARGE)
    await b.server.stop(0)
    a.dial(b)

    await until(lambda: len(a.pauses) >= 5)

    assert len(caplog.records) == 1
    assert b.address.address in caplog.text
    (task,) = a.pool._dialing.values()
    assert not task.done()


async def test_dialing_after_the_end_does_nothing(start: Starter) -> None:
    """A last turn of the node may still ask for it."""
    a, b = await start("a", SMALL), await start("b", LARGE)
    await a.pool.close()
    a.dial(b)
    b.dial(a)
    await asyncio.sleep(0.1)

    assert a.events == []
    assert a.pool.connected() == frozenset()
    await until(lambda: not b.pool.connected())  # it says hello before it says that


async def test_close_ends_every_link_with_a_report(start: Starter) -> None:
    """Both sides know."""
    a, b = await start("a", SMALL), await start("b", LARGE)
    a.dial(b)
    b.dial(a)
    await _connected(a, b)
    await asyncio.sleep(0.05)

    await a.pool.close()

    await until(lambda: not a.believes_connected(LARGE))
    await until(lambda: not b.believes_connected(SMALL))


async def test_cut_road_carries_nothing_until_it_is_mended(start: Starter) -> None:
    """Then a new connection shows what was lost."""
    a, b = await start("a", SMALL), await start("b", LARGE)
    a.dial(b)
    b.dial(a)
    await _connected(a, b)
    await asyncio.sleep(0.05)
    a.events.clear()
    b.events.clear()
    a.pool.conditions("b").blocked = True
    _send(a, b, 1)
    _send(b, a, 2)
    await asyncio.sleep(0.05)
    assert a.events == b.events == []

    a.pool.conditions("b").blocked = False
    _send(a, b, 3)

    await until(lambda: a.believes_connected(LARGE) and b.believes_connected(SMALL))
    assert a.numbers() == b.numbers() == []


async def test_cut_road_is_not_dialed_over(start: Starter) -> None:
    """Neither side gets through, and nobody believes to be connected."""
    a, b = await start("a", SMALL), await start("b", LARGE)
    a.pool.conditions("b").blocked = True
    a.dial(b)
    b.dial(a)
    await asyncio.sleep(0.1)
    assert a.events == b.events == []

    a.pool.conditions("b").blocked = False

    await _connected(a, b)


async def test_three_nodes_are_all_connected(start: Starter) -> None:
    """Everybody dials everybody at once."""
    nodes = [await start(f"n{n}", ReplicaId(n)) for n in (5, 3, 4)]
    for node in nodes:
        for other in nodes:
            if other is not node:
                node.dial(other)
    await _connected(*nodes)
    for node in nodes:
        await until(
            lambda n=node: all(  # type: ignore[misc]  # mypy infers no type for a lambda with defaults
                n.believes_connected(o.address.replica) for o in nodes if o is not n
            )
        )


class FailingStream:
    """A stream whose read fails when it is told to."""

    def __init__(self) -> None:
        self.fails = asyncio.Event()

    async def read(self) -> pb.PeerMessage | None:
        """Wait, and fail."""
        await self.fails.wait()
        message = "this node is stopping"
        raise RoadError(message)

    async def write(self, message: bytes) -> None:
        """Send nothing."""


async def test_read_that_fails_while_its_connection_is_given_up_is_no_alarm() -> None:
    """Else asyncio reports an error that nobody has taken."""
    alarms: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: alarms.append(context)
    )
    node, stream = PoolNode("a", SMALL, 1), FailingStream()
    hello = pb.Hello(self=pb.Address(name="b", replica=LARGE))
    meeting = asyncio.create_task(node.pool.meet(hello, stream, dialed=True))
    await until(lambda: bool(node.events))
    await asyncio.sleep(0)

    stream.fails.set()
    meeting.cancel()
    await asyncio.wait((meeting,))
    del meeting
    gc.collect()

    assert [type(event) for event in node.events] == [PeerUp, PeerDown]
    assert alarms == []


async def test_fresh_writes_and_their_acknowledgements_pass_all_else(
    start: Starter,
) -> None:
    """What was queued in one go arrives so: pushes first, the rest in order."""
    a, b = await start("a", SMALL), await start("b", LARGE)
    a.dial(b)
    await _connected(a, b)
    await until(lambda: bool(b.events))
    peer = b.address.replica
    acknowledged = PushAcknowledgement(SMALL, 1, 1)

    _send(a, b, 1, 2)
    a.pool.send(peer, Push(SMALL, 1, 1, ()))
    _send(a, b, 3)
    a.pool.send(peer, acknowledged)

    await until(lambda: len(b.events) == 6)
    arrived = [event.message for event in b.events if isinstance(event, Received)]
    assert arrived[:2] == [Push(SMALL, 1, 1, ()), acknowledged]
    assert b.numbers() == [1, 2, 3]
