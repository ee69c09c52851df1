"""
Relaxed durability (W1): replies come before the sync, and kill -9 loses nothing.

The page cache outlives the process.  Power loss would not spare the last 100 ms,
so after an unclean stop the node goes on under a new identity: numbers of writes
that others may have are not given again.
"""

import asyncio
import random
from time import monotonic

import pytest

from kvnode.types import ReplicaId
from tests.system.history import Ended, History, ending
from tests.system.nodes import Fleet, ServedNode, connected, converged, everything

pytestmark = pytest.mark.system

WRITERS = 8


@pytest.fixture
async def relaxed(fleet: Fleet) -> list[ServedNode]:
    """Two connected nodes in relaxed mode."""
    nodes = fleet.add_peers("a", "b", durability="relaxed")
    await fleet.start(nodes)
    await connected(*nodes)
    return nodes


async def _put_many(node: ServedNode, value: bytes) -> tuple[ReplicaId, list[str]]:
    """Put ten keys; return who gave them their versions, and those."""
    async with node.client() as client:
        versions = [(await client.put(f"k/{n}", value)).version for n in range(10)]
        status = await client.status()
    assert status.durability == "relaxed"
    (own,) = [entry for entry in status.clock if entry.replica == status.replica]
    assert own.newest == int(versions[-1].partition("@")[0])
    return status.replica, versions


async def test_kill_loses_nothing_that_was_acknowledged(
    fleet: Fleet, relaxed: list[ServedNode], chance: random.Random
) -> None:
    """Three kills amid writes; what was told is there, at both nodes."""
    victim, other = relaxed
    client = await fleet.client(victim, deadline=5.0)
    histories = [History() for _ in range(WRITERS)]
    stopped = asyncio.Event()

    async def write(number: int) -> None:
        value = 0
        while not stopped.is_set():
            value += 1
            state = b"%d" % value
            ended = await ending(client.put(f"key/{number}", state))
            histories[number].note(state, ended)

    writers = [asyncio.create_task(write(number)) for number in range(WRITERS)]
    for _ in range(3):
        await asyncio.sleep(chance.uniform(0.1, 0.5))
        await victim.kill()
        await victim.start()
    stopped.set()
    await asyncio.gather(*writers)

    acknowledged = sum(history.count(Ended.ACKNOWLEDGED) for history in histories)
    assert acknowledged > 100
    await connected(*relaxed)
    await converged(*relaxed)
    held = await everything(other)
    assert held == await everything(victim)
    for number, history in enumerate(histories):
        assert held[b"key/%d" % number].value in history.allowed()


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_no_version_is_given_twice(relaxed: list[ServedNode], way: str) -> None:
    """After an unclean stop the node is another replica, so numbers may start over."""
    node, other = relaxed
    given: list[str] = []
    replicas: list[ReplicaId] = []
    for value in (b"1", b"2", b"3"):
        replica, versions = await _put_many(node, value)
        given += versions
        replicas.append(replica)
        await (node.stop() if way == "stop" else node.kill())
        await node.start()

    assert len(set(given)) == len(given)
    assert len(set(replicas)) == (1 if way == "stop" else 3)
    await connected(*relaxed)
    await converged(*relaxed)
    held = await everything(other)
    assert {held[b"k/%d" % n].value for n in range(10)} == {b"3"}


async def test_session_goes_on_across_a_kill(
    fleet: Fleet, relaxed: list[ServedNode]
) -> None:
    """What the node wrote before, and what it writes since, is covered elsewhere."""
    victim, other = relaxed
    here, there = await fleet.client(victim), await fleet.client(other)
    token = b""
    for number in range(20):
        if number % 7 == 3:
            await victim.kill()
            await victim.start()
            await connected(*relaxed)
        session = here.session(token)
        await session.put("k", b"%d" % number)
        following = there.session(session.token)

        found = await following.get("k", deadline=5.0)

        token = following.token

        assert found is not None
        assert found.value == b"%d" % number


async def test_new_identity_replaces_the_old_one_in_everyones_view(
    fleet: Fleet,
) -> None:
    """Hearsay of others, who may not know yet, does not bring the old one back."""
    nodes = fleet.add_peers("a", "b", "c", durability="relaxed")
    await fleet.start(nodes)
    await connected(*nodes)
    for _ in range(3):
        await nodes[0].kill()
        await nodes[0].start()
        await connected(*nodes)
        mine = (await (await fleet.client(nodes[0])).status()).replica
        until = monotonic() + 2.0  # two rounds of reports, each with hearsay
        while monotonic() < until:
            for other in nodes[1:]:
                status = await (await fleet.client(other)).status()
                (seen,) = [peer for peer in status.peers if peer.name == "a"]
                assert (seen.replica, seen.connected) == (mine, True)
            await asyncio.sleep(0.02)
