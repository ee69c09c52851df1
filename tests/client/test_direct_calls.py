"""Calls of the library over plain TCP, and over gRPC wherever that is not to be had."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from kvnode._pb import objects_pb2 as pb
from kvnode.api.direct_calls import CALLS, DirectCalls
from kvnode.api.objects_service import Context, add_servicer
from kvnode.client import Client, object_dispatcher
from kvnode.client import connection as connecting
from kvnode.client import direct_calls as dialing
from kvnode.client.batching import Window
from kvnode.errors import ConnectionLostError, UnavailableError
from kvnode.transport.direct_road import DirectDoor
from tests.api.objects_server import FakeObjects, NotedServicer, listening


class Servicer(NotedServicer):
    """The service, which notes who asks where to dial."""

    def __init__(self, objects: FakeObjects, invitation: pb.DirectReply) -> None:
        super().__init__(objects, invitation)
        self.asked = 0
        self.is_old = False

    async def Direct(  # noqa: D102, N802
        self, request: pb.DirectRequest, context: Context
    ) -> pb.DirectReply:
        self.asked += 1
        if self.is_old:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")
        return await super().Direct(request, context)


class Node:
    """Fake objects that can be dialed, over gRPC and without."""

    def __init__(self, door: DirectDoor[pb.UnreadCallFrame]) -> None:
        self.address = ""
        self.objects = FakeObjects()
        self.calls = DirectCalls(self.objects, door, "")
        self.servicer = Servicer(self.objects, self.calls.invitation)
        self.server: grpc.aio.Server | None = None

    @property
    def over_grpc(self) -> int:
        """Return how many streams of calls came over gRPC."""
        return self.servicer.stream_count


@asynccontextmanager
async def running(
    server_credentials: grpc.ServerCredentials | None = None,
) -> AsyncIterator[Node]:
    """Yield a node that listens."""
    node = Node(await DirectDoor.open(CALLS, "127.0.0.1", 0))

    def register(server: grpc.aio.Server) -> None:
        node.server = server
        add_servicer(server, node.servicer)
        if server_credentials is not None:
            port = server.add_secure_port("127.0.0.1:0", server_credentials)
            node.address = f"127.0.0.1:{port}"

    try:
        async with listening(register) as address:
            node.address = node.address or address
            node.calls.invitation.address = f"paris:{node.address.rpartition(':')[2]}"
            yield node
    finally:
        await node.calls.close()


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node that listens."""
    async with running() as node:
        yield node


@pytest.fixture
async def client(node: Node) -> AsyncIterator[Client]:
    """A client of it."""
    async with Client(node.address) as client:
        yield client


async def test_calls_go_without_grpc(node: Node, client: Client) -> None:
    """And come back, one and many."""
    counter = client.object("Counter", "c")
    assert await counter.increment(1) == 1
    found = await asyncio.gather(*(counter.increment(1) for _ in range(100)))

    assert sorted(found) == list(range(2, 102))
    assert node.over_grpc == 0
    assert node.servicer.asked == 1


# -- where it is not to be had ---------------------------------------------------------


class Stranger(asyncio.Protocol):
    """Somebody else, who says something to whoever dials."""

    def __init__(self, says: bytes) -> None:
        self._says = says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say it."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._says)


def _behind_a_proxy(node: Node) -> None:
    node.calls.invitation.address = "paris:7400"


def _without_an_address(node: Node) -> None:
    node.calls.invitation.address = "paris"


def _at_no_port(node: Node) -> None:
    node.calls.invitation.port = 70_000


def _nowhere(node: Node) -> None:
    node.calls.invitation.port = 0


def _older(node: Node) -> None:
    node.servicer.is_old = True


@pytest.mark.parametrize(
    "change",
    [_behind_a_proxy, _without_an_address, _at_no_port, _nowhere, _older],
)
async def test_who_is_not_to_be_dialed_is_not(
    node: Node, client: Client, change: Callable[[Node], None]
) -> None:
    """At a tunnel's end that port belongs to somebody else."""
    change(node)
    assert await client.object("Counter", "c").increment(1) == 1
    assert node.over_grpc == 1
    assert not node.calls._streams


async def test_who_is_told_to_dials_around_what_is_in_between(node: Node) -> None:
    """The port may be mapped as it is; who answers there is known."""
    _behind_a_proxy(node)
    async with Client(node.address, direct=True) as client:
        assert await client.object("Counter", "c").increment(1) == 1
    assert node.over_grpc == 0


async def test_who_is_told_not_to_does_not_ask(node: Node) -> None:
    """Whatever the node says."""
    async with Client(node.address, direct=False) as client:
        assert await client.object("Counter", "c").increment(1) == 1
    assert node.over_grpc == 1
    assert node.servicer.asked == 0


async def test_port_that_nobody_answers_at_is_no_obstacle(
    node: Node, client: Client
) -> None:
    """It may be behind a firewall."""
    await node.calls.close()
    assert await client.object("Counter", "c").increment(1) == 1
    assert node.over_grpc == 1


@pytest.mark.parametrize(
    "speaks",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x00\x00\x01\xff",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x06\x12\x04nope",
    ],
    ids=["silent", "speaks HTTP", "no message", "no answer", "another answer"],
)
async def test_stranger_at_that_port_is_not_called(
    node: Node, client: Client, monkeypatch: pytest.MonkeyPatch, speaks: bytes
) -> None:
    """Calls would be lost, and be told to whoever listens there."""
    monkeypatch.setattr(dialing, "DIAL_SECONDS_MAX", 0.05)
    stranger = await asyncio.get_running_loop().create_server(
        lambda: Stranger(speaks), "127.0.0.1", 0
    )
    node.calls.invitation.port = stranger.sockets[0].getsockname()[1]
    async with stranger:
        assert await client.object("Counter", "c").increment(1) == 1
        assert node.over_grpc == 1


async def test_what_was_in_vain_is_not_tried_with_each_connection(
    node: Node, client: Client
) -> None:
    """A firewall would keep each of them waiting."""
    await node.calls.close()
    counter = client.object("Counter", "c")
    assert await counter.increment(1) == 1
    node.servicer.cut_after = 0
    with pytest.raises(ConnectionLostError):
        await counter.increment(1)

    assert await counter.increment(1) == 2
    assert node.over_grpc == 2
    assert node.servicer.asked == 1


async def test_who_wants_encryption_gets_it() -> None:
    """There is none without gRPC."""
    async with running(grpc.local_server_credentials()) as node:
        credentials: Any = grpc.local_channel_credentials()
        async with Client(node.address, credentials=credentials) as client:
            assert await client.object("Counter", "c").increment(1) == 1
        assert node.over_grpc == 1
        assert node.servicer.asked == 0


# -- failures --------------------------------------------------------------------------


async def test_connection_that_breaks_leaves_its_calls_in_doubt(
    node: Node, client: Client
) -> None:
    """The next one goes another way, at once."""
    node.objects.hold["slow"] = asyncio.Event()
    counter = client.object("Counter", "c")
    slow = asyncio.create_task(counter.slow())
    await node.objects.began.wait()
    await node.calls.close()
    with pytest.raises(ConnectionLostError):
        await slow

    assert await counter.increment(1) == 1
    assert node.over_grpc == 1
    node.objects.hold["slow"].set()


async def test_node_that_goes_while_it_is_asked_was_sent_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So there is no doubt, and another is asked."""

    async def goes(channel: grpc.aio.Channel, address: str) -> None:
        if address == node.address:
            assert node.server is not None
            await node.server.stop(0)
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)

    calls = object_dispatcher._CALLS._replace(dial=goes)
    monkeypatch.setattr(object_dispatcher, "_CALLS", calls)
    async with running() as other, Client(node.address, other.address) as client:
        assert await client.object("Counter", "c").increment(1) == 1
        assert not node.objects.calls
        assert len(other.objects.calls) == 1


async def test_more_calls_than_a_node_takes_wait_with_the_client(
    node: Node, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that is held back looks dead."""
    monkeypatch.setattr(connecting, "DIRECT_WINDOW", Window(10, 1 << 20))
    hold = node.objects.hold["slow"] = asyncio.Event()
    counter = client.object("Counter", "c")
    calls = [asyncio.create_task(counter.slow()) for _ in range(25)]
    await node.objects.began.wait()
    await asyncio.sleep(0.05)
    assert len(node.objects.calls) == 10
    hold.set()
    await asyncio.gather(*calls)
    assert len(node.objects.calls) == 25


async def test_node_that_ends_answers_what_it_was_asked(
    node: Node, client: Client
) -> None:
    """Nobody is in doubt for a stop in order."""
    hold = node.objects.hold["slow"] = asyncio.Event()
    counter = client.object("Counter", "c")
    slow = asyncio.create_task(counter.slow())
    await node.objects.began.wait()
    ending = asyncio.create_task(node.calls.end(5.0))
    await asyncio.sleep(0.01)
    assert await counter.increment(1) == 1  # elsewhere, and the first is under way
    assert node.over_grpc == 1
    hold.set()

    assert await slow == [[], {}]
    await asyncio.wait_for(ending, 5)


async def test_node_that_is_gone_for_others_answers_what_it_was_asked(
    node: Node, client: Client
) -> None:
    """A client that cannot reach it any more still waits for that."""
    hold = node.objects.hold["slow"] = asyncio.Event()
    counter = client.object("Counter", "c")
    slow = asyncio.create_task(counter.slow())
    await node.objects.began.wait()
    ending = asyncio.create_task(node.calls.end(5.0))
    assert node.server is not None
    await node.server.stop(0)
    with pytest.raises(UnavailableError):
        await counter.options(deadline=0.3).increment(1)
    hold.set()

    assert await slow == [[], {}]
    await asyncio.wait_for(ending, 5)


async def test_nobody_is_in_doubt_while_a_node_ends(node: Node) -> None:
    """However many call it at that moment."""
    async with running() as other, Client(node.address, other.address) as client:
        counter = client.object("Counter", "c")

        async def call() -> None:
            for _ in range(50):
                await counter.increment(1)

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(call())
            await node.objects.began.wait()
            await asyncio.wait_for(node.calls.end(5.0), 5)
    counts = node.objects.counts["c"], other.objects.counts["c"]
    assert sum(counts) == 20 * 50
    assert min(counts) > 0
    assert not node.over_grpc


async def test_client_that_is_closed_ends_what_the_node_has_not(node: Node) -> None:
    """Also a connection of before, whose calls were under way."""
    hold = node.objects.hold["slow"] = asyncio.Event()
    async with Client(node.address) as client:
        counter = client.object("Counter", "c")
        slow = asyncio.create_task(counter.slow())
        await node.objects.began.wait()
        await node.calls.end(0.01)
        assert await counter.increment(1) == 1
    with pytest.raises(ConnectionLostError, match="closed"):
        await slow
    await node.calls.end(5.0)
    assert not node.calls._streams
    hold.set()


async def test_closing_the_client_ends_the_stream(node: Node) -> None:
    """The node keeps nothing of it."""
    async with Client(node.address) as client:
        await client.object("Counter", "c").increment(1)
        assert len(node.calls._streams) == 1
    async with asyncio.timeout(5):
        while node.calls._streams:
            node.calls._changed.clear()
            await node.calls._changed.wait()
