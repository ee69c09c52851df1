"""Objects as the client sees them: handles, retries, failover, shared frames."""

import asyncio
import copy
import gc
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from weakref import ref

import grpc
import pytest

from kvnode.api.objects_service import add_objects
from kvnode.client import (
    Client,
    ObjectHandle,
    ObjectsStatus,
    Request,
    Response,
    ShardStatus,
    StoredValue,
    SyncClient,
)
from kvnode.client.loop_thread import LoopThread
from kvnode.client.objects import METHODS_MAX
from kvnode.errors import (
    ConnectionLostError,
    DeadlineError,
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    NotLeaderError,
    ObjectEndedError,
    ObjectRaisedError,
    OverloadedError,
    PeerProtocolError,
    RejectedError,
    UnavailableError,
)
from kvnode.object_limits import CALL_BYTES_MAX
from kvnode.object_values import Value
from kvnode.objects.object_id import ObjectId
from tests.api.objects_server import (
    FakeObjects,
    ServedObjects,
    listening,
    served_objects,
)
from tests.client.fake_server import FakeNode

REFUSED = "127.0.0.1:1"  # nobody listens on tcpmux
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)


@pytest.fixture
async def served() -> AsyncIterator[ServedObjects]:
    """Fake objects behind a real server."""
    async with served_objects() as served:
        yield served


@pytest.fixture
async def client(served: ServedObjects) -> AsyncIterator[Client]:
    """A client of them."""
    async with Client(served.address) as client:
        yield client


# -- calls ----------------------------------------------------------------------------


async def test_method_that_is_called_often_is_found_at_once(
    client: Client, served: ServedObjects
) -> None:
    """And not kept by a handle that is used once: nothing refers to that then."""
    handle = client.object("Counter", "c")
    gone = ref(handle)
    await handle.increment(1)
    gc.disable()
    try:
        del handle
        assert gone() is None
    finally:
        gc.enable()
    handle = client.object("Counter", "c")
    first = handle.increment
    await first(1)
    second = handle.increment

    assert (first is second, second is handle.increment) == (False, True)
    await handle.increment(1)
    assert [call.method for call in served.objects.calls] == ["increment"] * 3


async def test_handle_keeps_few_methods_ready(client: Client) -> None:
    """Names are anybody's."""
    handle = client.object("Counter", "c")
    for number in range(3 * METHODS_MAX):
        for _ in range(2):
            with suppress(KvError):
                await handle.call(f"m{number}")
            getattr(handle, f"m{number}")

    assert len(vars(handle)) <= METHODS_MAX
    assert len(handle._begun) <= METHODS_MAX


async def test_attribute_of_a_handle_is_a_method(
    served: ServedObjects, client: Client
) -> None:
    """And `call` says the same in another way."""
    cart = client.object("Counter", "cart-42")

    assert await cart.increment(3) == 3
    assert await cart.call("increment", 4) == 7
    assert [call.target for call in served.objects.calls] == [
        ObjectId.from_name("Counter", "cart-42")
    ] * 2


async def test_fetch_is_a_call_with_a_request_in_it(
    served: ServedObjects, client: Client
) -> None:
    """And its result is a response; nodes in between need not know."""
    response = Response(201, (("a", "b"),), b"\xff")
    served.objects.answer = lambda _: response.as_value()
    request = Request("PUT", "http://it/", (("c", "d"),), b"body")

    assert await client.object("Page", "p").fetch(request) == response

    (call,) = served.objects.calls
    assert (call.method, [*call.arguments]) == ("fetch", [request.as_value()])


@pytest.mark.parametrize("key", ["", "k"])
async def test_call_that_ended_its_object_is_not_sent_again(
    served: ServedObjects, client: Client, key: str
) -> None:
    """The library would run it as long as its caller has patience."""
    served.objects.failures.append(ObjectEndedError("the Counter has ended itself"))

    with pytest.raises(ObjectEndedError, match="has ended itself"):
        await client.object("Counter", "c").options(idempotency_key=key).increment()

    assert len(served.objects.calls) == 1


async def test_answer_that_is_no_response_is_the_nodes_fault(
    served: ServedObjects, client: Client
) -> None:
    """Not the caller's."""
    served.objects.answer = lambda _: "text"

    with pytest.raises(PeerProtocolError, match="no response"):
        await client.object("Page", "p").fetch(Request("GET", "/"))


async def test_values_come_back_as_they_were_sent(client: Client) -> None:
    """By place and by name, of every type that an object can store."""
    values: list[Value] = [
        *(None, True, -(2**70), 2.5, "ü", b"\xff", [1, [2]], {"a": {1: 2}}, {"s"}),
        NOON,
    ]

    result = await client.object("Echo", "e").anything(*values, by=b"x", at=NOON)

    assert result == [values, {"by": b"x", "at": NOON}]


async def test_methods_named_like_those_of_the_handle_are_called_by_name(
    client: Client, served: ServedObjects
) -> None:
    """Any argument's name is free, too."""
    await client.object("Room", "r").call("options", deadline=1, method=2)

    call = served.objects.calls[0]
    assert (call.method, call.named) == ("options", {"deadline": 1, "method": 2})


async def test_object_is_found_by_its_id(client: Client, served: ServedObjects) -> None:
    """A wrong one is refused by the node."""
    id_ = ObjectId.from_name("Counter", "c")

    await client.object("Counter", id=str(id_)).echo()

    assert served.objects.calls[0].target.raw == id_.raw
    with pytest.raises(InvalidArgumentError, match="64 hexadecimal"):
        await client.object("Counter", id="abc").echo()


@pytest.mark.parametrize("which", [{}, {"name": "a", "id": "b"}])
async def test_handle_needs_a_name_or_an_id(
    client: Client, which: dict[str, str]
) -> None:
    """Which of two would be meant is not for us to guess."""
    with pytest.raises(InvalidArgumentError, match="give one of them"):
        client.object("Counter", **which)


async def test_options_go_along_with_calls(
    client: Client, served: ServedObjects
) -> None:
    """The handle that they were made from keeps its own."""
    plain = client.object("Counter", "c")
    keyed = plain.options(idempotency_key="k1").options(deadline=1.0)

    await keyed.increment(1)
    await plain.increment(1)

    assert [call.idempotency_key for call in served.objects.calls] == ["k1", ""]
    first, second = (
        call.call.deadline_ms
        for frame in served.servicer.frames
        for call in frame.calls
    )
    assert 800 <= first <= 900
    assert 4400 <= second <= 4500


async def test_handle_is_known_by_what_it_names(client: Client) -> None:
    """In a debugger; and what Python asks for by itself is no method."""
    handle = client.object("Counter", "c")

    assert repr(handle) == "<object Counter 'c'>"
    assert "id='ab'" in repr(client.object("Counter", id="ab"))
    assert isinstance(copy.copy(handle), ObjectHandle)
    with pytest.raises(AttributeError):
        _ = handle._private


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (object(), "argument 1 of add holds a object"),
        (bytes(CALL_BYTES_MAX), f"at most {CALL_BYTES_MAX}"),
        ("x" * CALL_BYTES_MAX, f"at most {CALL_BYTES_MAX}"),
        ("\udcff", "holds text that"),
    ],
)
async def test_argument_that_cannot_be_sent_is_refused_here(
    client: Client, served: ServedObjects, argument: object, message: str
) -> None:
    """Nothing is sent."""
    with pytest.raises(InvalidArgumentError, match=message):
        await client.object("Cart", "c").add(argument)

    assert served.servicer.stream_count == 0


async def test_name_without_a_utf8_form_is_refused_here(client: Client) -> None:
    """As an argument, and not as a mistake in some library."""
    with pytest.raises(InvalidArgumentError, match="UTF-8"):
        client.object("Cart", "\udcff")


async def test_concurrent_calls_share_frames(
    client: Client, served: ServedObjects
) -> None:
    """All that is called in one turn of the loop travels together."""
    counter = client.object("Counter", "c")
    await counter.increment(1)

    await asyncio.gather(*(counter.increment(1) for _ in range(100)))

    assert served.objects.counts["c"] == 101
    assert [len(frame.calls) for frame in served.servicer.frames] == [1, 100]
    assert served.servicer.stream_count == 1


async def test_slow_method_holds_up_no_other(
    client: Client, served: ServedObjects
) -> None:
    """Answers come as they are ready."""
    served.objects.hold["slow"] = asyncio.Event()
    slow = asyncio.create_task(client.object("Counter", "c").slow())
    await served.objects.began.wait()

    assert await client.object("Counter", "c").increment(1) == 1

    served.objects.hold["slow"].set()
    assert await slow == [[], {}]


async def test_result_that_is_no_cbor_is_the_nodes_fault(
    client: Client, served: ServedObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not pass for a value."""
    del served
    monkeypatch.setattr("tests.told_later.encode_value", lambda *_, **__: b"")

    with pytest.raises(PeerProtocolError, match="result of echo"):
        await client.object("Counter", "c").echo()


# -- failures -------------------------------------------------------------------------


async def test_what_a_method_raised_is_raised_once(
    client: Client, served: ServedObjects
) -> None:
    """With its type; it is not tried again even with a key, for it has run."""
    with pytest.raises(ObjectRaisedError, match="no more apples") as caught:
        await client.object("Cart", "c").options(idempotency_key="k").refuse()

    assert caught.value.type_name == "ValueError"
    assert caught.value.__cause__ is None
    assert len(served.objects.calls) == 1


@pytest.mark.parametrize(
    "failure",
    [
        NotLeaderError("not here", leader="paris"),
        UnavailableError("nobody leads"),
        OverloadedError("too many calls"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_what_was_not_done_is_tried_at_the_next_endpoint(
    failure: KvError,
) -> None:
    """And later calls go there at once."""
    async with served_objects() as first, served_objects() as second:
        first.objects.failures.append(failure)
        async with Client(first.address, second.address) as client:
            counter = client.object("Counter", "c")
            assert await counter.increment(1) == 1
            assert await counter.increment(1) == 2
    assert (len(first.objects.calls), len(second.objects.calls)) == (1, 2)


async def test_takeover_is_waited_for(client: Client, served: ServedObjects) -> None:
    """With one endpoint the same one is asked again, while the deadline lasts."""
    served.objects.failures.extend([UnavailableError("nobody leads")] * 2)

    assert await client.object("Counter", "c").increment(1) == 1

    assert len(served.objects.calls) == 3


async def test_leader_that_stays_unknown_is_told_at_the_deadline(
    served: ServedObjects,
) -> None:
    """With the node's own reason."""
    served.objects.failures.extend([NotLeaderError("not here", leader="paris")] * 99)
    async with Client(served.address, deadline=0.2) as client:
        with pytest.raises(NotLeaderError, match="not here") as caught:
            await client.object("Counter", "c").increment(1)

    assert caught.value.leader == "paris"


async def test_what_may_have_happened_is_not_repeated(
    client: Client, served: ServedObjects
) -> None:
    """It might happen twice."""
    served.objects.failures.append(IndeterminateError("the lead was lost"))

    with pytest.raises(IndeterminateError, match="lead was lost"):
        await client.object("Counter", "c").increment(1)

    assert len(served.objects.calls) == 1


async def test_what_may_have_happened_is_repeated_with_its_key() -> None:
    """The node makes one of two."""
    async with served_objects() as first, served_objects() as second:
        first.objects.failures.append(IndeterminateError("the lead was lost"))
        async with Client(first.address, second.address) as client:
            counter = client.object("Counter", "c").options(idempotency_key="k")
            assert await counter.increment(1) == 1
    calls = [*first.objects.calls, *second.objects.calls]
    assert [call.idempotency_key for call in calls] == ["k", "k"]


async def test_call_on_a_lost_stream_is_repeated_only_with_a_key(
    client: Client, served: ServedObjects
) -> None:
    """Without one it is in doubt."""
    counter = client.object("Counter", "c")
    served.servicer.cut_after = 0
    with pytest.raises(ConnectionLostError, match="cut by the test"):
        await counter.increment(1)

    served.servicer.cut_after = 0
    assert await counter.options(idempotency_key="k").increment(1) == 1


async def test_doubt_is_not_forgotten_when_later_attempts_are_refused(
    served: ServedObjects,
) -> None:
    """The last refusal says nothing of the attempt that may have happened."""
    lost = IndeterminateError("the lead was lost")
    served.objects.failures.extend([lost, *[UnavailableError("nobody leads")] * 99])
    async with Client(served.address, deadline=0.2) as client:
        counter = client.object("Counter", "c").options(idempotency_key="k")
        with pytest.raises(IndeterminateError, match="lead was lost") as caught:
            await counter.increment(1)

    assert isinstance(caught.value.__cause__, UnavailableError)
    assert len(served.objects.calls) > 1


async def test_late_result_is_told_by_the_node(
    client: Client, served: ServedObjects
) -> None:
    """A little before our own deadline, and naming the method."""
    served.objects.hold["slow"] = asyncio.Event()
    slow = client.object("Counter", "c").options(deadline=2.0, idempotency_key="k")

    with pytest.raises(DeadlineError, match=r"Counter\.slow has not ended"):
        await slow.slow()

    assert len(served.objects.calls) == 1
    served.objects.hold["slow"].set()


async def test_call_that_was_never_sent_goes_elsewhere(served: ServedObjects) -> None:
    """A refused connection leaves no doubt."""
    async with Client(REFUSED, served.address) as client:
        assert await client.object("Counter", "c").increment(1) == 1


@pytest.mark.parametrize("speaks_of_them", [True, False], ids=["off", "too old"])
async def test_node_without_objects_is_told_as_such(*, speaks_of_them: bool) -> None:
    """Nothing was done, and trying again does not help."""
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(
            listening(lambda server: speaks_of_them and add_objects(server, None))
        )
        client = await stack.enter_async_context(Client(address))
        for ask in (
            client.object("Counter", "c").increment(1),
            client.object("Counter", "c").options(idempotency_key="k").increment(1),
            client.storage("s").get("k"),
            client.objects_status(),
        ):
            with pytest.raises(RejectedError, match=f"{address} serves no objects"):
                await ask


async def test_trouble_with_objects_leaves_keys_where_they_are() -> None:
    """A session of keys would have to wait for replication elsewhere."""
    keys, objects = [FakeNode(), FakeNode()], [FakeObjects(), FakeObjects()]
    objects[0].failures.append(UnavailableError("nobody leads"))
    async with AsyncExitStack() as stack:
        addresses = [
            await stack.enter_async_context(listening(partial(_add_both, *node)))
            for node in zip(keys, objects, strict=True)
        ]
        client = await stack.enter_async_context(Client(*addresses))
        await client.put("k", b"v")
        await client.object("Counter", "c").increment(1)
        await client.put("k", b"v")

    assert [len(node.operations) for node in keys] == [2, 0]
    assert [len(node.calls) for node in objects] == [1, 1]


def _add_both(keys: FakeNode, objects: FakeObjects, server: grpc.aio.Server) -> None:
    server.add_generic_rpc_handlers((keys._kv(),))
    add_objects(server, objects)


async def test_closing_fails_calls_under_way_and_later_ones(
    served: ServedObjects,
) -> None:
    """Nobody waits for ever."""
    served.objects.hold["slow"] = asyncio.Event()
    client = Client(served.address)
    handle = client.object("Counter", "c")
    slow = asyncio.create_task(handle.slow())
    await served.objects.began.wait()

    await client.close()

    with pytest.raises(ConnectionLostError, match="closed"):
        await slow
    with pytest.raises(UnavailableError, match="closed"):
        await handle.increment(1)
    served.objects.hold["slow"].set()


# -- status, and threads --------------------------------------------------------------


async def test_status_tells_classes_and_shards(client: Client) -> None:
    """As plain values."""
    assert await client.objects_status(deadline=2.0) == ObjectsStatus(
        ("Counter", "Storage"),
        (
            ShardStatus("s000", 7, True, 40, 39, 2, "tokyo", ""),  # noqa: FBT003 -- as it prints
            ShardStatus("s001", 0, False, 0, 0, 0, "", "gone"),  # noqa: FBT003
        ),
    )


def test_synchronous_handles_do_what_the_asynchronous_ones_do() -> None:
    """Methods, options, the map, and the status."""
    thread = LoopThread()
    objects = FakeObjects(answer=lambda _: {"value": "v", "version": 7})
    serving = listening(lambda server: add_objects(server, objects))
    with SyncClient(thread.run(_entered(serving))) as client:
        counter = client.object("Counter", "c")
        assert counter.increment(2) == 2
        assert counter.options(idempotency_key="k").call("increment", 1) == 3
        assert repr(counter) == "<object Counter 'c'>"
        with pytest.raises(AttributeError):
            _ = counter._private
        found = client.storage("s").options(deadline=1.0).get("k")
        assert found == StoredValue("v", 7)
        assert client.objects_status().classes == ("Counter", "Storage")
    thread.close(_left(serving))
    assert objects.calls[1].idempotency_key == "k"


async def _entered(serving: AbstractAsyncContextManager[str]) -> str:
    return await serving.__aenter__()


async def _left(serving: AbstractAsyncContextManager[str]) -> None:
    await serving.__aexit__(None, None, None)
