"""Removing members, and leaving: what is durable when, and what goes on if it fails."""

import asyncio

import pytest

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.commands import Put
from kvnode.core.node.events import PeerUp
from kvnode.core.replication.messages import Report
from kvnode.core.versions.roster import Member, Standing
from kvnode.errors import RejectedError, UnavailableError
from kvnode.runtime import departure
from kvnode.runtime.departure import Departures
from tests.runtime.nodes import (
    NOW,
    OWN,
    PEER,
    PEER_ADDRESS,
    RunningNode,
    at,
    running_node,
    until,
)

MEMBER = Member(PEER, "tokyo", "", "asia")


async def _met(node: RunningNode) -> None:
    """Let PEER connect and be a member."""
    await node.driver.deliver(
        PeerUp(PEER_ADDRESS, VersionVector(), (), (MEMBER,), protocol=2)
    )
    await node.settled()


def _standing(node: RunningNode) -> Standing | None:
    record = node.driver.roster().get(OWN)
    return record.standing if record else None


async def test_removal_is_durable_when_it_returns() -> None:
    """G3: whoever asked may switch the machine off."""
    async with running_node() as node:
        await _met(node)
        node.store.hold()

        removing = asyncio.create_task(Departures(node.driver).remove([PEER]))
        await node.settled()
        assert not removing.done()
        node.store.gate.set()
        await removing

        assert node.store.state().roster.gone(PEER)


async def test_node_that_knows_nobody_does_not_leave() -> None:
    """What it holds would be nowhere."""
    async with running_node() as node:
        with pytest.raises(RejectedError, match="knows no other member"):
            await Departures(node.driver).leave(1.0)
        await node.put(b"k")


async def test_node_hands_over_before_it_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes no writes meanwhile, and returns when those connected have heard."""
    monkeypatch.setattr(departure, "ASK_SECONDS", 0.001)
    monkeypatch.setattr(departure, "LOOK_SECONDS", 0.001)
    async with running_node() as node:
        await _met(node)
        await node.put(b"k")
        leaving = asyncio.create_task(Departures(node.driver).leave(5.0))
        await node.settled()
        with pytest.raises(UnavailableError, match="leaving the cluster"):
            await node.queue(Put(at(b"k"), b"late"))
        assert "leaving" in node.driver.refusal()
        node.driver.check_serving()  # it still answers reads

        await node.receive(Report(VersionVector.of({OWN: 1}), NOW))
        await until(lambda: _standing(node) is Standing.LEFT)
        assert not leaving.done()
        await node.peer_down()  # that is how a peer says that it has heard

        assert await leaving == (1, 1)
        with pytest.raises(UnavailableError, match="has left the cluster"):
            node.driver.check_serving()


async def test_node_that_cannot_hand_over_goes_on() -> None:
    """It says how much nobody else has, and takes writes again."""
    async with running_node() as node:
        await _met(node)
        await node.put(b"k")

        with pytest.raises(UnavailableError, match="1 writes are here"):
            await Departures(node.driver).leave(0.01)

        assert _standing(node) is Standing.MEMBER
        assert node.driver.refusal() == ""
        await node.put(b"l")


async def test_members_that_are_away_are_named_when_it_cannot_leave() -> None:
    """The operator must know whom to bring back."""
    async with running_node() as node:
        await _met(node)
        await node.put(b"k")
        await node.peer_down()

        with pytest.raises(UnavailableError, match="not connected: tokyo"):
            await Departures(node.driver).leave(0.01)


async def test_caller_that_gives_up_leaves_the_node_as_it_was() -> None:
    """A lost connection must not end in a node that refuses for ever."""
    async with running_node() as node:
        await _met(node)
        await node.put(b"k")
        leaving = asyncio.create_task(Departures(node.driver).leave(5.0))
        await node.settled()

        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)

        await node.put(b"l")
