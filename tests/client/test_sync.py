"""The synchronous client, from several threads."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest
from pycrdt import Doc, Text

from kvnode.client import (
    Client,
    ObjectHandle,
    Session,
    StorageHandle,
    SyncClient,
    SyncObjectHandle,
    SyncSession,
    SyncStorageHandle,
)
from kvnode.client.loop_thread import LoopThread
from kvnode.client.session_token import parse
from kvnode.client.store import Store
from kvnode.client.sync import SyncStore
from kvnode.errors import SessionLostError, UnavailableError
from kvnode.types import LostWrites, ReplicaId
from tests.client.fake_operations import REPLICA
from tests.client.fake_server import FakeNode


@pytest.fixture
def node() -> Iterator[FakeNode]:
    """One node, in a thread of its own."""
    thread = LoopThread()

    async def start() -> FakeNode:
        node = FakeNode()
        await node.start()
        return node

    node = thread.run(start())
    yield node
    thread.close(node.stop())


@pytest.fixture
def client(node: FakeNode) -> Iterator[SyncClient]:
    """A client of the one node."""
    with SyncClient(node.address) as client:
        yield client


def test_data_methods_return_what_the_asynchronous_ones_do(client: SyncClient) -> None:
    """Values, pages, iterators and handles."""
    assert client.put("k", b"v", metadata={"a": 1}).applied
    assert (value := client.get("k")) is not None
    assert value.metadata == {"a": 1}
    assert [item.key for item in client.scan()] == [b"k"]
    assert client.counter("c").increment(2) == 2
    assert client.set("s").add("a") == 1
    assert client.status().name == "fake"
    assert b"".join(client.backup()) == b"first second"


def test_document_stays_in_the_calling_thread(client: SyncClient) -> None:
    """Pycrdt refuses to be touched from another."""
    document = client.document("page")
    ours: Doc[Text] = document.load()
    ours.get("t", type=Text).insert(0, "hello")

    document.save(ours)
    document.sync(ours)

    assert str(client.document("page").load().get("t", type=Text)) == "hello"


def test_session_reads_its_own_writes(node: FakeNode, client: SyncClient) -> None:
    """The token goes along."""
    session = client.session()
    session.put("k", b"v")

    client.session(session.token).get("k")

    assert node.operations[-1].get.options.session == session.token


def test_loss_is_accepted_as_by_an_asynchronous_session(client: SyncClient) -> None:
    """In the loop's thread, where replies change the token."""
    session = client.session()
    session.put("k", b"v")
    lost = (LostWrites(ReplicaId(REPLICA), "a", 1, 1),)

    session.accept_loss(SessionLostError("why", lost=lost, remaining=b""))

    assert list(parse(session.token).entries) == []


def test_watch_can_be_left(client: SyncClient) -> None:
    """Leaving closes the stream; the client goes on."""
    steps = client.watch("p")

    assert [step.resume_token for step in islice(steps, 3)] == [b"1", b"2", b"3"]
    del steps
    assert client.get("k") is None


def test_threads_share_a_client(client: SyncClient) -> None:
    """Eight threads, one counter, no increment lost."""
    counter = client.counter("c")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: counter.increment(), range(200)))

    assert counter.value() == 200


def test_closing_ends_the_thread_and_later_calls(node: FakeNode) -> None:
    """Nothing is left; twice is fine."""
    before = threading.active_count()
    client = SyncClient(node.address)
    steps = client.watch("p")
    next(steps)
    assert threading.active_count() == before + 1

    client.close()
    client.close()

    assert threading.active_count() == before
    with pytest.raises(UnavailableError, match="closed"):
        client.get("k")
    with pytest.raises(UnavailableError, match="closed"):
        next(steps)


def test_closing_fails_a_call_of_another_thread() -> None:
    """It is told, rather than left waiting."""
    client = SyncClient("127.0.0.1:1", deadline=60)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.get, "k")
        while not _is_waiting(client):
            pass
        client.close()
        with pytest.raises(UnavailableError, match="closed"):
            call.result()


def _is_waiting(client: SyncClient) -> bool:
    async def waiting() -> bool:
        return any("connecting" in task.get_name() for task in asyncio.all_tasks())

    return client._thread.run(waiting())


@pytest.mark.parametrize(
    ("synchronous", "asynchronous"),
    [
        (SyncStore, Store),
        (SyncClient, Client),
        (SyncSession, Session),
        (SyncObjectHandle, ObjectHandle),
        (SyncStorageHandle, StorageHandle),
    ],
)
def test_both_clients_have_the_same_methods(
    synchronous: type, asynchronous: type
) -> None:
    """Except those that only an event loop needs."""

    def public(of: type) -> set[str]:
        return {name for name in dir(of) if not name.startswith("_")}

    assert public(asynchronous) - public(synchronous) <= {"open", "run_operation"}


def test_iterator_abandoned_in_the_loops_own_thread_blocks_nothing() -> None:
    """The collector runs wherever it likes."""
    thread = LoopThread()

    async def numbers() -> AsyncGenerator[int, None]:
        while True:
            yield 1

    steps = thread.iterate(numbers())
    next(steps)

    async def collect() -> None:
        steps.close()

    thread.run(collect())
    thread.close(asyncio.sleep(0))
