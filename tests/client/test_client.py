"""The data methods and the operators' methods, against a fake node."""

import asyncio
import time

import pytest

from kvnode._pb import kv_pb2
from kvnode.client import Client, Delete, Get, Kind, Put, WriteResult
from kvnode.errors import (
    InvalidArgumentError,
    NamespaceNotFoundError,
    ReplicasTimeoutError,
    UnavailableError,
)
from tests.client.fake_server import FakeNode


async def test_value_comes_back_as_it_was_put(client: Client) -> None:
    """With metadata and expiry, in Python's terms."""
    metadata = {"by": "é", "n": [1, None]}
    written = await client.put("k", "ü", metadata=metadata, expires_at=4e9)

    value = await client.get(b"k")

    assert written == WriteResult(True, "1", "", 1)  # noqa: FBT003 - as it prints
    assert value is not None
    assert value.value == "ü".encode()
    assert value.metadata == metadata
    assert value.expires_at == 4e9
    assert value.kind is Kind.REGISTER
    assert value.version == written.version
    assert not value.stale


async def test_absent_key_reads_as_none(client: Client) -> None:
    """Before a put and after a delete."""
    assert await client.get("k") is None
    await client.put("k", b"")
    assert await client.get("k") is not None
    await client.delete("k")
    assert await client.get("k") is None


async def test_condition_that_fails_is_a_result_not_an_error(client: Client) -> None:
    """The caller learns which version was in the way."""
    await client.put("k", b"1")

    again = await client.put("k", b"2", if_absent=True)

    assert not again.applied
    assert again.current_version == "1"


async def test_options_travel_with_the_operation(node: FakeNode) -> None:
    """Each argument reaches its field."""
    async with Client(node.address, namespace="other", deadline=2.0) as client:
        await client.get("k", stale_ok=True, max_staleness=1.5)
        await client.put("k", b"v", ttl=60, w=2, if_version="7", deadline=1.0)
        await client.delete("k", w_each_region=True)

    get, put, delete = node.operations
    assert 1700 <= get.get.options.deadline_ms <= 1800
    assert 800 <= put.put.options.deadline_ms <= 900
    get.get.options.deadline_ms = put.put.options.deadline_ms = 0
    assert get.get == kv_pb2.GetRequest(
        namespace="other",
        key=b"k",
        options=kv_pb2.Options(stale_ok=True, max_staleness_ms=1500),
    )
    assert put.put == kv_pb2.PutRequest(
        namespace="other",
        key=b"k",
        value=b"v",
        ttl_ms=60_000,
        if_version="7",
        options=kv_pb2.Options(w=2),
    )
    assert delete.delete.options.w_each_region


async def test_concurrent_calls_share_frames(node: FakeNode, client: Client) -> None:
    """64 callers, one message: what makes the library fast."""
    await client.get("warm up")

    await asyncio.gather(*[client.get(f"k{n}") for n in range(64)])

    assert len(node.frames) == 2
    assert [one.get.key for one in node.frames[1].operations] == [
        b"k%d" % n for n in range(64)
    ]


async def test_writes_keep_the_order_of_their_calls(
    node: FakeNode, client: Client
) -> None:
    """Over the frames that they are spread over, too."""
    await asyncio.gather(*[client.put("k", b"%d" % n) for n in range(300)])

    assert [one.put.value for one in node.operations] == [b"%d" % n for n in range(300)]
    assert (value := await client.get("k")) is not None
    assert value.value == b"299"


async def test_scan_goes_on_until_the_page_says_complete(
    node: FakeNode, client: Client
) -> None:
    """A short page is not the last one."""
    node.store.page_max = 3
    await client.batch([Put(f"a{n}", b"%d" % n) for n in range(8)] + [Put("b", b"")])

    page = await client.list("a", limit=5)
    items = [item async for item in client.scan("a", values=True)]

    assert (len(page), page.complete) == (3, False)
    assert [item.value for item in page] == [None] * 3
    assert [item.key for item in items] == [b"a%d" % n for n in range(8)]
    assert [item.value for item in items] == [b"%d" % n for n in range(8)]


async def test_batch_answers_each_step(client: Client) -> None:
    """In order; gets read what was there before."""
    await client.put("x", b"old")

    results = await client.batch([Put("x", b"new"), Get("x"), Delete("y"), Get("z")])

    put, get, delete, absent = results
    assert isinstance(put, WriteResult)
    assert put.applied
    assert get is not None
    assert not isinstance(get, WriteResult)
    assert get.value == b"old"
    assert isinstance(delete, WriteResult)
    assert absent is None


async def test_conflicts_are_listed(client: Client) -> None:
    """R4: what lost can be read."""
    page = await client.conflicts("k")

    assert [(one.value, one.replica) for one in page] == [(b"lost", 7)]
    assert (page.total_ever, page.complete) == (9, True)


async def test_counter_adds(client: Client) -> None:
    """Up, down, and read."""
    counter = client.counter("visits")

    assert await counter.increment(3) == 3
    assert await counter.increment(-1) == 2
    assert await counter.value() == 2


async def test_set_adds_and_removes(client: Client) -> None:
    """Members are bytes."""
    tags = client.set("tags")

    assert await tags.add("a", b"b") == 2
    assert await tags.remove("a") == 1
    assert await tags.members() == {b"b"}
    assert await tags.size() == 1
    with pytest.raises(InvalidArgumentError, match="at least one"):
        await tags.add()


async def test_error_of_the_node_reaches_its_caller_alone(
    node: FakeNode, client: Client
) -> None:
    """Its neighbours in the frame succeed."""

    def refuse(operation: kv_pb2.Operation) -> kv_pb2.Error | None:
        if operation.put.options.w < 3:
            return None
        return kv_pb2.Error(
            code=kv_pb2.ERROR_CODE_INDETERMINATE,
            message="1 of 3",
            may_have_happened=True,
            acknowledged=1,
            needed=3,
        )

    node.faults.error = refuse

    good, bad = await asyncio.gather(
        client.put("k", b""), client.put("k", b"", w=3), return_exceptions=True
    )

    assert isinstance(good, WriteResult)
    assert isinstance(bad, ReplicasTimeoutError)
    assert (bad.acknowledged, bad.needed) == (1, 3)


async def test_unknown_namespace_is_named(node: FakeNode) -> None:
    """The message says which and what to do."""
    node.faults.error = lambda _: kv_pb2.Error(code=kv_pb2.ERROR_CODE_NOT_FOUND)
    async with Client(node.address, namespace="lost") as client:
        with pytest.raises(NamespaceNotFoundError, match="lost"):
            await client.get("k")


async def test_large_value_goes_through(client: Client) -> None:
    """25 MiB, the limit; far above gRPC's own default."""
    value = bytes(25 * 1024 * 1024)

    await client.put("k", value)

    assert (found := await client.get("k")) is not None
    assert found.value == value


async def test_client_that_was_closed_says_so(node: FakeNode) -> None:
    """At once, not after the deadline."""
    client = Client(node.address)
    await client.get("k")
    await client.close()
    await client.close()

    with pytest.raises(UnavailableError, match="closed"):
        await client.get("k")


async def test_client_leaves_no_task_behind(node: FakeNode) -> None:
    """What it started, it ends."""
    before = asyncio.all_tasks()
    async with Client(node.address) as client:
        await client.put("k", b"v")
        own = asyncio.all_tasks() - before
        assert any("kvnode client" in task.get_name() for task in own)
    names = {task.get_name() for task in asyncio.all_tasks() - before}

    assert not any("kvnode client" in name for name in names)


async def test_cancelled_caller_leaves_the_client_in_order(
    node: FakeNode, client: Client
) -> None:
    """A reply that nobody waits for is dropped."""
    await client.get("warm up")
    node.faults.hold = asyncio.Event()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.put("k", b"v")
    node.faults.hold.set()

    assert await client.get("k") is not None
    assert time.monotonic() - started < 5
