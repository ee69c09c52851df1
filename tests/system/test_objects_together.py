"""Objects that three real nodes keep together, whatever happens to one of them."""

import asyncio
from shutil import rmtree
from time import monotonic

import pytest

from kvnode.errors import IndeterminateError, UnavailableError
from tests.system.counting import GONE_ON_SECONDS, adding, all_led, gone_on, leaders
from tests.system.nodes import Fleet, ServedNode, cut_off

pytestmark = pytest.mark.system

NAMES = ("a", "b", "c")
COUNTERS = 24
"""More than there are shards: each node leads some of them."""

STOP_SECONDS_MAX = 2.5
"""Far less than with a grace of 3 s that streams use up; 1 s is usual."""

PAUSE_SECONDS = 0.05
"""Between increments: calls are always under way, and takeovers find a processor."""


async def _three(fleet: Fleet) -> list[ServedNode]:
    nodes = fleet.add_peers(
        *NAMES, objects=["tests.system.shop:Counter"], objects_voters=list(NAMES)
    )
    await fleet.start(nodes)
    await all_led(await fleet.client(nodes[0]))
    return nodes


async def test_each_node_leads_some_and_any_node_takes_calls(fleet: Fleet) -> None:
    """Whichever a client asks, it is the same counter."""
    nodes = await _three(fleet)
    clients = [await fleet.client(node) for node in nodes]

    for number in range(COUNTERS):
        for expected, client in enumerate(clients, start=1):
            assert await client.object("Counter", f"n{number}").increment() == expected

    assert set((await leaders(clients[0])).values()) == set(NAMES)


async def test_killed_leader_is_followed_and_nothing_answered_is_lost(
    fleet: Fleet,
) -> None:
    """One node comes back, and the next one goes."""
    nodes = await _three(fleet)
    clients = [await fleet.client(node, deadline=5.0) for node in nodes]
    async with adding(clients, COUNTERS, pause_seconds=PAUSE_SECONDS) as adders:
        await gone_on(adders)
        for place, victim in enumerate(nodes[:2]):
            await victim.kill()
            others = [a for n, a in enumerate(adders) if n % len(nodes) != place]
            await gone_on(others)
            await victim.start()
            await gone_on(adders)


async def test_leader_that_is_stopped_hands_over_and_nobody_is_in_doubt(
    fleet: Fleet,
) -> None:
    """Its leads are with others before it ends, sooner than any could be missed."""
    nodes = await _three(fleet)
    victim, *others = nodes
    clients = [await fleet.client(node, deadline=5.0) for node in others]
    async with adding(clients, COUNTERS, pause_seconds=PAUSE_SECONDS) as adders:
        await gone_on(adders)
        began = monotonic()
        assert await victim.stop() == 0
        took = monotonic() - began
        led = await leaders(clients[0])
        assert set(led.values()) == {"b", "c"}
        await gone_on(adders)
        assert sum(adder.in_doubt for adder in adders) == 0
    assert took < STOP_SECONDS_MAX
    assert "leads shard" in victim.log


async def test_paused_leader_answers_nothing_stale(fleet: Fleet) -> None:
    """It finds out by itself that others lead, before anybody hears from it."""
    nodes = await _three(fleet)
    victim, *others = nodes
    clients = [await fleet.client(node, deadline=5.0) for node in others]
    old = await fleet.client(victim, deadline=5.0)
    async with adding(clients, COUNTERS, pause_seconds=PAUSE_SECONDS) as adders:
        await gone_on(adders)
        victim.pause()
        await gone_on(adders)
        floors = [adder.highest for adder in adders]
        # What waits in its sockets is read when it goes on.
        asking = [
            asyncio.create_task(old.object("Counter", f"c{number}").value())
            for number in range(COUNTERS)
        ]
        await asyncio.sleep(0.5)
        victim.resume()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        for floor, answer in zip(floors, answers, strict=True):
            if isinstance(answer, BaseException):
                assert isinstance(answer, UnavailableError | IndeterminateError)
            else:
                assert answer >= floor, "it has answered from the past"
        await gone_on(adders)


async def test_leader_that_is_cut_off_is_followed_and_heals(fleet: Fleet) -> None:
    """Its own clients are told that nobody leads; all others go on."""
    nodes = await _three(fleet)
    victim, *others = nodes
    clients = [await fleet.client(node, deadline=5.0) for node in others]
    lonely = await fleet.client(victim, deadline=1.0)
    async with adding(clients, COUNTERS, pause_seconds=PAUSE_SECONDS) as adders:
        await gone_on(adders)
        await cut_off(victim, others)
        await gone_on(adders)
        with pytest.raises((UnavailableError, IndeterminateError)):
            await lonely.object("Counter", "c0").increment()
        await cut_off(victim, others, blocked=False)
        await gone_on(adders)
        async with asyncio.timeout(GONE_ON_SECONDS):
            while True:
                try:
                    await lonely.object("Counter", "lonely").increment()
                    break
                except (UnavailableError, IndeterminateError):
                    await asyncio.sleep(0.1)


async def test_keys_go_on_while_objects_have_no_majority(fleet: Fleet) -> None:
    """They share a process and nothing else."""
    nodes = await _three(fleet)
    survivor, *others = nodes
    client = await fleet.client(survivor, deadline=2.0)
    for node in others:
        await node.kill()

    with pytest.raises((UnavailableError, IndeterminateError)):
        await client.object("Counter", "x").increment()
    await client.put("key", b"value")

    found = await client.get("key")
    assert found is not None
    assert found.value == b"value"


async def test_node_that_lost_its_disk_keeps_objects_again(fleet: Fleet) -> None:
    """Its voter is replaced, and the shards move to its new identity."""
    nodes = await _three(fleet)
    clients = [await fleet.client(node, deadline=5.0) for node in nodes]
    async with adding(clients, COUNTERS, pause_seconds=PAUSE_SECONDS) as adders:
        await gone_on(adders)
        victim = nodes[2]
        await victim.kill()
        rmtree(victim.data_directory)
        await victim.start()
        await gone_on(adders)
        assert "c" in await clients[0].replace_voter("c", "c", deadline=30.0)
        shards = (await clients[0].objects_status()).shards
        await asyncio.gather(
            *(clients[0].move_shard(s.shard, NAMES, deadline=30.0) for s in shards)
        )
        await nodes[1].kill()  # now the newcomer makes the majority
        others = [a for n, a in enumerate(adders) if n % len(nodes) != 1]
        await gone_on(others)
        await nodes[1].start()


async def test_shard_moves_to_nodes_of_which_none_kept_it(fleet: Fleet) -> None:
    """By way of the leader and some of them; nothing is lost on the way."""
    names = (*NAMES, "d", "e")
    nodes = fleet.add_peers(
        *names, objects=["tests.system.shop:Counter"], objects_voters=list(NAMES)
    )
    await fleet.start(nodes)
    await all_led(await fleet.client(nodes[0]))
    clients = [await fleet.client(node, deadline=5.0) for node in nodes[:2]]
    async with adding(clients, COUNTERS, pause_seconds=PAUSE_SECONDS) as adders:
        await gone_on(adders)
        await asyncio.gather(
            *(
                clients[0].move_shard(f"s00{number}", ["d", "e"], deadline=30.0)
                for number in range(3)
            )
        )
        led = [
            (shard.shard, sorted(each.node for each in shard.replicas))
            for node in nodes[3:]
            for shard in (await (await fleet.client(node)).shards()).led
        ]
        assert sorted(led) == [(f"s00{number}", ["d", "e"]) for number in range(3)]
        await gone_on(adders)
