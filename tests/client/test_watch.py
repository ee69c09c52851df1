"""A watch goes on across failures, where it was."""

import asyncio
from contextlib import aclosing

import pytest

from kvnode.client import Client
from kvnode.errors import InvalidArgumentError, UnavailableError
from tests.client.fake_server import FakeNode


async def _keys(client: Client, count: int, token: bytes = b"") -> list[bytes]:
    keys: list[bytes] = []
    async with aclosing(client.watch("p", resume_token=token)) as steps:
        async for step in steps:
            keys += [change.key for change in step.changes]
            if len(keys) >= count:
                break
    return keys


async def test_watch_yields_changes_in_order(node: FakeNode, client: Client) -> None:
    """With values and a token; the request says what was asked for."""
    async with aclosing(client.watch("p", from_start=True, conflicts=True)) as steps:
        step = await anext(steps)

    assert [change.key for change in step.changes] == [b"1"]
    assert step.changes[0].value is not None
    assert step.changes[0].value.value == b"1"
    assert step.resume_token == b"1"
    (request,) = node.watches
    assert (request.prefix, request.from_start, request.conflicts) == (b"p", True, True)


async def test_watch_begins_after_the_token_it_was_given(client: Client) -> None:
    """A consumer that restarts misses nothing."""
    assert await _keys(client, 2, token=b"41") == [b"42", b"43"]


async def test_cut_watch_resumes_where_it_was(node: FakeNode, client: Client) -> None:
    """Nothing is missed, nothing is seen twice."""
    node.faults.cut_watch_after = 3

    assert await _keys(client, 6) == [b"%d" % n for n in range(1, 7)]
    assert [request.resume_token for request in node.watches] == [b"", b"3"]


async def test_watch_fails_over_to_another_node() -> None:
    """The token is good at every node."""
    async with (
        FakeNode() as first,
        FakeNode() as second,
        Client(first.address, second.address) as client,
    ):
        first.faults.cut_watch_after = 2
        assert await _keys(client, 4) == [b"1", b"2", b"3", b"4"]
    assert [request.resume_token for request in second.watches] == [b"2"]


async def test_watch_that_cannot_be_raises(client: Client) -> None:
    """Asking again would not help."""
    with pytest.raises(InvalidArgumentError, match="not this one"):
        await anext(client.watch("forbidden"))


async def test_closing_the_client_ends_its_watches(
    node: FakeNode,
) -> None:
    """With an error, not with a cancellation that nobody asked for."""
    client = Client(node.address)
    node.faults.hold_watch = asyncio.Event()
    steps = client.watch("p")
    waiting = asyncio.ensure_future(anext(steps))
    await node.watch_arrived.wait()

    await client.close()

    with pytest.raises(UnavailableError, match="closed"):
        await waiting
    node.faults.hold_watch.set()
