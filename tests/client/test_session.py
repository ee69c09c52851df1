"""Sessions carry tokens: read-your-writes wherever the next call goes (S1)."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kvnode.client import Client, Get, Session
from kvnode.client.session_token import parse
from kvnode.errors import SessionLostError
from kvnode.types import LostWrites, ReplicaId
from tests.client.fake_operations import REPLICA
from tests.client.fake_server import FakeNode


async def test_session_carries_the_token_of_its_last_reply(
    node: FakeNode, client: Client
) -> None:
    """Each request asks for what the reply before it stood for."""
    session = client.session()

    await session.put("k", b"v")
    token = session.token
    await session.get("k")

    put, get = node.operations
    assert put.put.options.session == b""
    assert put.put.options.want_session
    assert get.get.options.session == token != b""


async def test_token_can_be_handed_on(node: FakeNode, client: Client) -> None:
    """Another session begins where this one is."""
    session = client.session()
    await session.put("k", b"v")

    await client.session(session.token).get("k")

    assert node.operations[-1].get.options.session == session.token


async def test_call_outside_a_session_asks_for_no_token(
    node: FakeNode, client: Client
) -> None:
    """No cost for those who do not use sessions."""
    await client.get("k")

    assert not node.operations[0].get.options.want_session


async def test_concurrent_calls_of_a_session_join_their_tokens(
    node: FakeNode, client: Client
) -> None:
    """The session has seen all of them, whichever reply came last."""
    session = client.session()

    await asyncio.gather(*[session.put(f"k{n}", b"") for n in range(50)])

    token = parse(session.token)
    assert [(one.replica, one.seq) for one in token.entries] == [(REPLICA, 50)]
    assert token.hlc == node.store.seq


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.get("k"),
        lambda session: session.put("k", b"w"),
        lambda session: session.delete("k"),
        lambda session: session.list(),
        lambda session: session.batch([Get("k")]),
        lambda session: session.counter("c").increment(),
        lambda session: session.set("s").add("a"),
        lambda session: session.document("d").load(),
    ],
)
async def test_every_kind_of_operation_moves_the_token(
    client: Client, call: Callable[[Session], Awaitable[object]]
) -> None:
    """Reads too: what was read must not be unread elsewhere."""
    session = client.session()

    await call(session)

    assert session.token != b""


async def test_session_stays_as_it_is_until_its_loss_is_accepted(
    client: Client,
) -> None:
    """No promise is dropped in silence; then all else that was seen is kept."""
    session = client.session()
    await session.put("k", b"v")
    seen = session.token
    lost = (LostWrites(ReplicaId(REPLICA), "a", 1, 1),)
    error = SessionLostError("why", lost=lost, remaining=b"")
    assert session.token == seen

    session.accept_loss(error)

    assert list(parse(session.token).entries) == []
    assert parse(session.token).hlc == parse(seen).hlc
