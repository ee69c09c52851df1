"""Each operation of the vocabulary does at a real node what it says."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from jepsen_like.adapters.kvnode_client import DataStore, KvnodeClient, Memory
from jepsen_like.history.operation import Value
from jepsen_like.system import (
    Answer,
    FailedError,
    IndeterminateError,
    ProcessEndedError,
)
from kvnode.client import Client
from kvnode.config import NodeConfig
from kvnode.errors import ConnectionLostError, SessionLostError, UnavailableError
from kvnode.runtime import app

Connect = Callable[[Memory], KvnodeClient]

LOST = SessionLostError("n1", lost=(), remaining=b"")


@pytest.fixture
async def raw(tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a node in this process."""
    config = NodeConfig(listen="127.0.0.1:0", data_directory=tmp_path / "data")
    node = await app.start(config)
    try:
        async with Client(f"127.0.0.1:{node.port}") as client:
            yield client
    finally:
        await app.stop(node)


async def _nothing_to_close() -> None:
    """Let the fixture close what all share."""


@pytest.fixture
def connect(raw: Client) -> Connect:
    """Make a client for a process with that memory."""

    def make(memory: Memory) -> KvnodeClient:
        return KvnodeClient(raw.session, raw.watch, memory, _nothing_to_close)

    return make


@pytest.fixture
def client(connect: Connect) -> KvnodeClient:
    """The client of process 3."""
    return connect(Memory(3))


@pytest.mark.parametrize("value", [7, "seven", (1, ("two", None)), True])
async def test_what_was_written_is_read_with_its_version(
    client: KvnodeClient, value: Value
) -> None:
    """The write names the version that the read finds."""
    wrote = await client.invoke("write", "k", value)
    read = await client.invoke("read", "k", None)

    assert read == Answer(value, wrote.version)
    assert wrote.version


async def test_later_writes_rank_above_earlier_ones(client: KvnodeClient) -> None:
    """As texts; a tenth write is not below the second."""
    versions = [(await client.invoke("write", "k", n)).version for n in range(12)]
    assert versions == sorted(set(versions))


async def test_read_within_a_bound_of_staleness(client: KvnodeClient) -> None:
    """A node alone is never behind."""
    await client.invoke("write", 5, 1)
    read = await client.invoke("read", 5, ("max_staleness_ms", 100))
    assert read.value == 1


async def test_deleted_key_is_read_as_none(client: KvnodeClient) -> None:
    """So is one that was never there; the deletion has a version."""
    assert await client.invoke("read", "k", None) == Answer()
    wrote = await client.invoke("write", "k", 1)
    deleted = await client.invoke("delete", "k", None)
    assert await client.invoke("read", "k", None) == Answer()
    assert deleted.version > wrote.version


async def test_cas_writes_only_on_what_is_expected(client: KvnodeClient) -> None:
    """None expects that there is nothing."""
    assert not (await client.invoke("cas", "k", (1, 2))).value
    first = await client.invoke("cas", "k", (None, 1))
    assert first.value is True
    refused = await client.invoke("cas", "k", (7, 8))
    assert refused == Answer(value=False, version=first.version)
    assert (await client.invoke("cas", "k", (1, 2))).version > first.version
    assert (await client.invoke("read", "k", None)).value == 2


async def test_expired_value_is_read_as_none(client: KvnodeClient) -> None:
    """A minute is not over yet, a millisecond soon."""
    await client.invoke("write-expiring", "long", ("v", 60_000))
    await client.invoke("write-expiring", "short", ("v", 1))
    while (await client.invoke("read", "short", None)).value is not None:
        pass
    assert (await client.invoke("read", "long", None)).value == "v"


async def test_counter_adds_up(client: KvnodeClient) -> None:
    """An untouched one is 0."""
    assert (await client.invoke("value", "c", None)).value == 0
    await client.invoke("add", "c", 5)
    await client.invoke("add", "c", -2)
    assert (await client.invoke("value", "c", None)).value == 3


async def test_set_holds_what_was_inserted_and_not_removed(
    client: KvnodeClient,
) -> None:
    """Numbers are not texts."""
    for member in (10, 9, "9", "x"):
        await client.invoke("insert", "s", member)
    await client.invoke("remove", "s", "9")
    assert (await client.invoke("members", "s", None)).value == (9, 10, "x")


async def test_text_grows_by_every_append(connect: Connect) -> None:
    """Also by those of another process, and of one that has connected anew."""
    memory = Memory(0)
    for memory_, text in ((memory, "one "), (Memory(1), "two "), (memory, "three")):
        await connect(memory_).invoke("append", "d", text)
    found = await connect(Memory(2)).invoke("text", "d", None)
    assert found.value == "one two three"
    assert memory.edits == 2


async def test_transaction_fills_in_its_reads(client: KvnodeClient) -> None:
    """With what was there before, or what it wrote itself."""
    await client.invoke("write", "a", 1)
    asked = (("r", "a", None), ("w", "a", 2), ("r", "a", None), ("r", 7, None))
    done = await client.invoke("txn", None, asked)

    assert done.value == (("r", "a", 1), ("w", "a", 2), ("r", "a", 2), ("r", 7, None))
    assert (await client.invoke("read", "a", None)).value == 2


async def test_watch_goes_on_where_the_process_stopped(connect: Connect) -> None:
    """At its first time it shows all that is there; nothing comes in between."""
    memory = Memory(0)
    client = connect(memory)
    first = await client.invoke("write", "w/1", 1)
    seen = await client.invoke("watch", None, ("w/", 200))
    assert seen.value == (("w/1", 1, first.version),)

    second = await client.invoke("write", "w/2", 2)
    await client.invoke("delete", "w/1", None)
    await client.invoke("write", "elsewhere", 3)
    later = await connect(memory).invoke("watch", None, ("w/", 200))
    assert isinstance(later.value, tuple)
    assert set(later.value) == {("w/2", 2, second.version), ("w/1", None, "")}


async def test_watch_begins_anew_after_a_node_has_refused_its_place(
    connect: Connect,
) -> None:
    """It would be refused for ever, and a watcher with it."""
    client = connect(Memory(3, watches={"k": b"no token"}))
    wrote = await client.invoke("write", "k", 1)

    with pytest.raises(FailedError, match="resume_token"):
        await client.invoke("watch", None, ("k", 100))
    shown = await client.invoke("watch", None, ("k", 100))

    assert shown.value == (("k", 1, wrote.version),)


async def test_process_takes_its_session_along(connect: Connect) -> None:
    """The token grows with what it wrote."""
    memory = Memory(0)
    await connect(memory).invoke("write", "k", 1)
    assert memory.token
    before = memory.token
    await connect(memory).invoke("write", "k", 2)
    assert memory.token != before


async def test_conflicts_of_a_key_without_any_are_none(client: KvnodeClient) -> None:
    """What there are, concurrent writes at two nodes must make."""
    await client.invoke("write", "k", 1)
    assert await client.invoke("conflicts", "k", None) == Answer(())


async def test_wrong_type_did_not_happen(client: KvnodeClient) -> None:
    """The store refused; the error says which rule."""
    await client.invoke("write", "k", 1)
    with pytest.raises(FailedError, match="WrongTypeError"):
        await client.invoke("add", "k", 1)


@pytest.mark.parametrize(
    ("f", "argument"),
    [
        ("fly", None),
        ("cas", 1),
        ("read", 1),
        ("add", "1"),
        ("append", 1),
        ("watch", "w/"),
        ("txn", None),
        ("write-expiring", 1),
    ],
)
async def test_what_is_no_operation_is_refused(
    client: KvnodeClient, f: str, argument: Value
) -> None:
    """A workload with a mistake must not look like one that found none."""
    with pytest.raises(ValueError, match=f):
        await client.invoke(f, "k", argument)


class Broken:
    """A session whose every road is gone."""

    token = b""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def get(self, *_: object, **__: object) -> None:
        """Fail."""
        raise self.error

    put = get


@pytest.mark.parametrize(
    ("f", "argument", "error", "expected"),
    [
        ("read", None, ConnectionLostError("cut"), FailedError),
        ("write", 1, ConnectionLostError("cut"), IndeterminateError),
        ("write", 1, UnavailableError("fenced"), FailedError),
        ("cas", (1, 2), ConnectionLostError("cut"), FailedError),
        ("read", None, LOST, ProcessEndedError),
        ("write", 1, LOST, ProcessEndedError),
        ("cas", (1, 2), LOST, ProcessEndedError),
    ],
)
async def test_only_what_may_have_changed_something_is_in_doubt(
    raw: Client,
    f: str,
    argument: Value,
    error: Exception,
    expected: type[Exception],
) -> None:
    """A lost reply of a read is no doubt: nothing can come of it."""
    store = Broken(error)
    client = KvnodeClient(lambda _: store, raw.watch, Memory(0), _nothing_to_close)  # type: ignore[arg-type, return-value] # all that these operations use
    with pytest.raises(expected, match=str(error)):
        await client.invoke(f, "k", argument)


async def test_operations_see_what_their_process_saw_at_other_nodes(
    raw: Client,
) -> None:
    """A connection that was not used meanwhile carries on the process's session."""
    memory, tokens = Memory(0), []

    def session(token: bytes) -> DataStore:
        tokens.append(token)
        return raw.session(token)

    here = KvnodeClient(session, raw.watch, memory, _nothing_to_close)
    there = KvnodeClient(session, raw.watch, memory, _nothing_to_close)
    await there.invoke("write", "k", 1)
    seen = memory.token
    await here.invoke("read", "k", None)

    assert tokens[-1] == seen != b""
