"""What is around simulated objects: disks that lose power, clocks, and messages."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from cluster.simulated.chance import Chance
from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.line import Trouble
from cluster.simulated.loop import VirtualLoop
from cluster.simulated.objects.disk import ObjectDisk
from cluster.simulated.objects.post import Post
from cluster.simulated.objects.steady_clock import RATE_ERROR_PPM_MAX, SteadyClock
from cluster.simulated.owner import Owner
from cluster.simulated.running import run as run_simulated
from kvnode.core.objects.events import Persist
from kvnode.core.objects.quorum_log import ORIGIN, LogEntry
from kvnode.errors import (
    ConnectionLostError,
    IndeterminateError,
    StoreFullError,
    UnavailableError,
)

TURN = {"s000": Persist(1, ORIGIN, 1, (LogEntry(1, b"x"),))}


class Somebody:
    """A process that takes messages, while it runs."""

    name = "b"

    def __init__(self, owner: Owner | None) -> None:
        self.owner = owner


Scenario = Callable[
    [Post, Somebody, VirtualLoop, SimulatedCluster], Coroutine[Any, Any, None]
]


def simulated(scenario: Scenario) -> None:
    """Run a scenario with a post, and somebody on host b who runs."""

    async def main(cluster: SimulatedCluster) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        somebody = Somebody(loop.owner("b"))
        await scenario(Post(loop, cluster.network), somebody, loop, cluster)

    run_simulated(main, nodes=())


def test_what_was_being_written_is_there_after_a_crash_or_is_not() -> None:
    """As a whole; both happen."""

    async def crashed(seed: int) -> bool:
        disk = ObjectDisk("n1", Chance(seed))
        writing = asyncio.ensure_future(disk.logs.persist(TURN))
        await asyncio.sleep(0)
        disk.crash()
        writing.cancel()
        stored = disk.logs.load_shard("s000")
        assert stored is None or stored.log.last.number == 1
        return stored is not None

    assert {asyncio.run(crashed(seed)) for seed in range(20)} == {True, False}


async def test_full_disk_takes_nothing_and_a_lost_one_has_nothing() -> None:
    """Whoever begins on a lost one is somebody else."""
    disk = ObjectDisk("n1", Chance(1))
    await disk.logs.persist(TURN)
    disk.fill()
    with pytest.raises(StoreFullError):
        await disk.logs.persist({"s001": TURN["s000"]})
    disk.free()
    before = disk.replica, disk.voter.memory.voter
    assert set(disk.logs.load()) == {"s000"}

    disk.wipe()

    assert disk.logs.load() == {}
    assert {disk.replica, disk.voter.memory.voter}.isdisjoint(before)


def test_steady_clock_goes_at_its_rate_and_never_back() -> None:
    """Bent as far as the bound allows, and from then on only."""
    now = [1000.0]
    clock = SteadyClock(lambda: now[0], 1000)
    assert clock() == 1_000_000
    now[0] += 1000
    assert clock() == 2_001_000
    clock.bend(-200_000)
    assert clock() == 2_001_000
    now[0] += 1000
    assert clock() == 3_001_000 - RATE_ERROR_PPM_MAX


def test_messages_come_in_order_unless_their_link_reorders_them() -> None:
    """However much each takes by itself."""

    async def scenario(
        post: Post, b: Somebody, _loop: VirtualLoop, cluster: SimulatedCluster
    ) -> None:
        came: list[int] = []
        for number in range(50):
            post.send("a", b, lambda number=number: came.append(number))  # type: ignore[misc]
        await asyncio.sleep(1)
        assert came == list(range(50))

        came.clear()
        trouble = Trouble(reordering=0.5, duplication=0.5, loss=0.2, raw=True)
        await cluster.disturb([("a", "b")], trouble)
        for number in range(50):
            post.send("a", b, lambda number=number: came.append(number))  # type: ignore[misc]
        await asyncio.sleep(5)
        assert came != sorted(came)
        assert len(set(came)) < min(50, len(came))

    simulated(scenario)


def test_question_says_what_became_of_it() -> None:
    """Answered; refused where nobody runs; lost with who was to answer; or open."""

    async def answer() -> int:
        await asyncio.sleep(1)
        return 7

    async def scenario(
        post: Post, b: Somebody, loop: VirtualLoop, cluster: SimulatedCluster
    ) -> None:
        assert await post.ask("a", b, answer, 5.0) == 7

        asking = asyncio.ensure_future(post.ask("a", b, answer, 5.0))
        await asyncio.sleep(0.5)
        owner, b.owner = b.owner, None
        assert owner is not None
        loop.kill(owner)
        post.ended(owner)
        with pytest.raises(ConnectionLostError):
            await asking

        with pytest.raises(UnavailableError):
            await post.ask("a", b, answer, 5.0)

        await cluster.cut([("a", "b")])
        with pytest.raises(IndeterminateError):
            await post.ask("a", b, answer, 5.0)

    simulated(scenario)


def test_question_over_a_connection_comes_once() -> None:
    """A call that came twice would happen twice."""

    async def scenario(
        post: Post, b: Somebody, _loop: VirtualLoop, cluster: SimulatedCluster
    ) -> None:
        heard: list[bool] = []

        async def answer() -> None:
            heard.append(True)

        await cluster.disturb([("a", "b")], Trouble(duplication=1.0, raw=True))
        await post.ask("a", b, answer, 5.0)
        await asyncio.sleep(1)
        assert len(heard) == 2

        heard.clear()
        await post.ask("a", b, answer, 5.0, is_connected=True)
        await asyncio.sleep(1)
        assert len(heard) == 1

    simulated(scenario)
