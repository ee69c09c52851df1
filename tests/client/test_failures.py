"""Lost streams, deadlines and failover: what is repeated, and what never is."""

import asyncio
import socket

import grpc
import pytest

from kvnode._pb import kv_pb2
from kvnode.client import Client
from kvnode.errors import (
    ConnectionLostError,
    DeadlineError,
    InvalidArgumentError,
    Outcome,
    PeerProtocolError,
    StoreFullError,
    UnavailableError,
)
from tests.client.fake_operations import FakeStore
from tests.client.fake_server import FakeNode

REFUSED = "127.0.0.1:1"  # nobody listens on tcpmux


def _unavailable(_: kv_pb2.Operation) -> kv_pb2.Error:
    return kv_pb2.Error(code=kv_pb2.ERROR_CODE_UNAVAILABLE, message="not now")


async def test_write_on_a_lost_stream_is_in_doubt_and_not_repeated(
    node: FakeNode, client: Client
) -> None:
    """The node applied it and could not say so: once, not twice."""
    node.faults.cut_after_frames = 0

    with pytest.raises(ConnectionLostError, match="cut by the test") as caught:
        await client.counter("c").increment()

    assert caught.value.outcome is Outcome.INDETERMINATE
    assert await client.counter("c").value() == 1


async def test_read_on_a_lost_stream_is_repeated(
    node: FakeNode, client: Client
) -> None:
    """The caller notices nothing."""
    await client.put("k", b"v")
    node.faults.cut_after_frames = 1

    assert await client.get("k") is not None
    assert node.stream_count == 2


async def test_read_moves_on_to_the_next_endpoint() -> None:
    """And stays there."""
    store = FakeStore()
    async with (
        FakeNode(store) as first,
        FakeNode(store) as second,
        Client(first.address, second.address) as client,
    ):
        await client.put("k", b"v")
        await first.stop()
        assert await client.get("k") is not None
        await first.start()
        assert await client.get("k") is not None
    assert len(first.operations) == 1
    assert len(second.operations) == 2


async def test_write_that_was_never_sent_goes_elsewhere() -> None:
    """A refused connection leaves no doubt."""
    async with FakeNode() as node, Client(REFUSED, node.address) as client:
        assert (await client.put("k", b"v")).applied


async def test_write_refused_as_unavailable_goes_elsewhere() -> None:
    """The node said that it did not happen."""
    async with FakeNode() as first, FakeNode() as second:
        first.faults.error = _unavailable
        async with Client(first.address, second.address) as client:
            assert (await client.put("k", b"v")).applied
            assert (await client.put("k", b"v")).applied
    assert (len(first.operations), len(second.operations)) == (1, 2)


async def test_refusal_that_passes_is_waited_out(node: FakeNode) -> None:
    """With one endpoint the same one is asked again, while the deadline lasts."""
    refusals = iter([True, True])
    node.faults.error = lambda operation: (
        _unavailable(operation) if next(refusals, False) else None
    )
    async with Client(node.address) as client:
        assert (await client.put("k", b"v")).applied
    assert len(node.operations) == 3


async def test_refusal_that_lasts_is_raised_at_the_deadline(node: FakeNode) -> None:
    """With the node's own reason."""
    node.faults.error = _unavailable
    async with Client(node.address, deadline=0.2) as client:
        with pytest.raises(UnavailableError, match="not now"):
            await client.put("k", b"v")


async def test_full_store_is_tried_once_at_each_endpoint() -> None:
    """Room does not come back within a deadline; elsewhere there may be some."""
    async with FakeNode() as first, FakeNode() as second:
        for node in (first, second):
            node.faults.error = lambda _: kv_pb2.Error(
                code=kv_pb2.ERROR_CODE_RESOURCE_EXHAUSTED, message="full"
            )
        async with Client(first.address, second.address) as client:
            with pytest.raises(StoreFullError, match="full"):
                await client.put("k", b"v")
    assert (len(first.operations), len(second.operations)) == (1, 1)


async def test_unreachable_endpoints_fail_a_write_without_doubt() -> None:
    """At the deadline, saying which could not be reached."""
    async with Client(REFUSED, deadline=0.2) as client:
        with pytest.raises(UnavailableError, match=REFUSED) as caught:
            await client.put("k", b"v")
    assert caught.value.outcome is Outcome.FAILED


async def test_node_that_starts_late_is_found(node: FakeNode) -> None:
    """Callers wait for it, all together."""
    await node.stop()
    async with Client(node.address) as client:
        calls = [asyncio.create_task(client.put(f"k{n}", b"")) for n in range(20)]
        await asyncio.sleep(0.05)
        await node.start()
        assert all(result.applied for result in await asyncio.gather(*calls))


async def test_restarted_node_is_found_again(node: FakeNode, client: Client) -> None:
    """The same client goes on."""
    await client.put("k", b"v")
    await node.stop()
    await node.start()

    assert await client.get("k") is not None


async def test_late_reply_fails_the_call_at_its_deadline(
    node: FakeNode, client: Client
) -> None:
    """In doubt; and the client goes on when the node does."""
    await client.get("warm up")
    node.faults.hold = asyncio.Event()

    with pytest.raises(DeadlineError) as caught:
        await client.put("k", b"v", deadline=0.05)

    assert caught.value.outcome is Outcome.INDETERMINATE
    node.faults.hold.set()
    assert await client.get("k") is not None


async def test_silent_endpoint_is_left() -> None:
    """A node that no longer answers must not hold up the calls to come."""
    store = FakeStore()
    async with (
        FakeNode(store) as first,
        FakeNode(store) as second,
        Client(first.address, second.address) as client,
    ):
        await client.get("warm up")
        first.faults.hold = asyncio.Event()
        with pytest.raises(DeadlineError):
            await client.get("k", deadline=0.05)
        await client.get("k", deadline=2.0)
        first.faults.hold.set()
    assert len(second.operations) == 1


async def test_closing_fails_calls_under_way(node: FakeNode) -> None:
    """The write may have happened; nobody waits for ever."""
    node.faults.hold = asyncio.Event()
    client = Client(node.address)
    call = asyncio.create_task(client.put("k", b"v"))
    await node.frame_arrived.wait()

    await client.close()

    with pytest.raises(ConnectionLostError, match="closed"):
        await call
    node.faults.hold.set()


async def test_closing_fails_callers_who_wait_for_a_connection() -> None:
    """Nothing was sent, and nobody waits for the deadline."""
    client = Client(REFUSED, deadline=60)
    call = asyncio.create_task(client.put("k", b"v"))
    await asyncio.sleep(0.01)

    await client.close()

    with pytest.raises(UnavailableError, match="closed"):
        await call


async def test_endpoint_that_is_no_node_is_left() -> None:
    """It has no such method, so nothing happened there."""
    other = grpc.aio.server()
    port = other.add_insecure_port("127.0.0.1:0")
    await other.start()
    async with FakeNode() as node, Client(f"127.0.0.1:{port}", node.address) as client:
        assert (await client.put("k", b"v")).applied
    await other.stop(None)


async def test_endpoint_that_accepts_and_says_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hung process still has its backlog; nothing was sent to it."""
    monkeypatch.setattr("kvnode.client.connection.CONNECT_SECONDS_MAX", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as hung:
        address = f"127.0.0.1:{hung.getsockname()[1]}"
        async with FakeNode() as node, Client(address, node.address) as client:
            assert (await client.put("k", b"v")).applied


async def test_request_beyond_any_frame_is_refused_here(
    monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    """Sending it would cost everybody else the stream."""
    monkeypatch.setattr("kvnode.client.dispatcher._PAYLOAD_BYTES_MAX", 1000)

    with pytest.raises(InvalidArgumentError, match="1000 is the most"):
        await client.put("k", bytes(1001))


async def test_answer_of_another_kind_is_an_error(
    node: FakeNode, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty field must not pass for an absent key."""
    monkeypatch.setattr(
        node.store, "run", lambda operation: kv_pb2.OperationResult(id=operation.id)
    )

    with pytest.raises(PeerProtocolError, match="not get"):
        await client.get("k")
