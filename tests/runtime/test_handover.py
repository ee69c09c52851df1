"""Handing over: a node that stops leaves what it has told its clients with others."""

import asyncio

import pytest

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.commands import Put
from kvnode.core.node.events import PeerUp, Received
from kvnode.core.replication.messages import PushAcknowledgement
from kvnode.errors import UnavailableError
from kvnode.runtime.handover import hand_over
from tests.runtime.nodes import OWN, PEER, PEER_ADDRESS, RunningNode, at, running_node


async def _met(node: RunningNode) -> None:
    """Let PEER connect."""
    await node.driver.deliver(PeerUp(PEER_ADDRESS, VersionVector(), (), protocol=2))
    await node.settled()


async def test_node_waits_until_its_writes_are_durable_elsewhere() -> None:
    """D5: an acknowledgement says so; meanwhile no more are taken."""
    async with running_node() as node:
        await _met(node)
        await node.put(b"k")
        handing = asyncio.create_task(hand_over(node.driver, 30.0))
        await node.settled()

        with pytest.raises(UnavailableError, match="is stopping"):
            await node.queue(Put(at(b"k"), b"late"))
        assert not handing.done()
        acknowledged = PushAcknowledgement(OWN, 1, 1)
        await node.driver.deliver(Received(PEER, acknowledged))

        assert await handing


async def test_node_waits_for_writes_that_are_not_answered() -> None:
    """They were taken, and may be told any moment."""
    async with running_node() as node:
        node.store.hold()
        writing = asyncio.create_task(node.put(b"k"))
        await node.settled()
        handing = asyncio.create_task(hand_over(node.driver, 30.0))
        await node.settled()
        assert not handing.done()

        node.store.gate.set()
        await writing

        assert await handing


async def test_silent_peer_keeps_no_node_from_stopping() -> None:
    """It finds what it lacks when it is heard again."""
    async with running_node() as node:
        await _met(node)
        await node.put(b"k")

        assert not await hand_over(node.driver, 0.05)


async def test_node_without_peers_stops_at_once() -> None:
    """There is nobody to wait for."""
    async with running_node() as node:
        await node.put(b"k")

        assert await hand_over(node.driver, 30.0)
