"""The event loop: virtual time, owners that pause and die, and whose turn it is."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

import pytest

from cluster.simulated.chance import Chance
from cluster.simulated.loop import DeadlockError, SimulationError, VirtualLoop

T = TypeVar("T")


def virtual(seed: int = 0, **named: float) -> VirtualLoop:
    """Return a loop."""
    return VirtualLoop(Chance(seed), **named)  # type: ignore[abstract]  # the rest it refuses


def run(
    main: Callable[[VirtualLoop], Coroutine[Any, Any, T]],
    seed: int = 0,
    **named: float,
) -> T:
    """Run *main* on a loop of its own."""
    loop = virtual(seed, **named)
    return loop.run_until_complete(main(loop))


def test_time_jumps_over_hours_and_stands_still_in_between() -> None:
    """A working day and its night take no time."""

    async def main(loop: VirtualLoop) -> list[float]:
        times = [loop.time()]
        await asyncio.sleep(0)
        times.append(loop.time())
        await asyncio.sleep(20 * 3600)
        return [*times, loop.time()]

    assert run(main) == [0, 0, 20 * 3600]


def test_asyncio_works_as_always() -> None:
    """Timeouts, queues, groups, cancellation and generators."""

    async def numbers() -> AsyncGenerator[int, None]:
        for n in range(100):
            await asyncio.sleep(1)
            yield n

    async def main(loop: VirtualLoop) -> tuple[object, ...]:
        queue: asyncio.Queue[int] = asyncio.Queue()

        async def collect() -> None:
            async with asyncio.timeout(3.5), aclosing(numbers()) as stream:
                async for n in stream:
                    queue.put_nowait(n)

        with pytest.raises(TimeoutError):
            await collect()
        sleeper = asyncio.create_task(asyncio.sleep(1000))
        await asyncio.sleep(0)
        sleeper.cancel()
        results = await asyncio.gather(sleeper, queue.get(), return_exceptions=True)
        return type(results[0]), results[1], queue.qsize(), loop.time()

    assert run(main) == (asyncio.CancelledError, 0, 2, 3.5)


async def _interleaved(loop: VirtualLoop) -> str:
    said: list[str] = []

    async def say(letter: str) -> None:
        for _ in range(10):
            said.append(letter)
            await asyncio.sleep(0)

    for letter in "xy":
        loop.spawn(loop.owner(letter), say(letter), letter)
    await asyncio.sleep(1)
    return "".join(said)


def test_interleaving_is_drawn_from_the_seed() -> None:
    """Equal for equal seeds, and not the same for all."""
    runs = [run(_interleaved, seed) for seed in range(8)]

    assert runs == [run(_interleaved, seed) for seed in range(8)]
    assert len(set(runs)) > 4


def test_callbacks_of_one_owner_keep_their_order() -> None:
    """As on asyncio's own loop."""

    async def main(loop: VirtualLoop) -> list[int]:
        said: list[int] = []
        for n in range(50):
            loop.call_soon(said.append, n)
        await asyncio.sleep(0)
        return said

    assert run(main) == list(range(50))


def test_paused_owner_waits_with_everything_and_goes_on() -> None:
    """Timers that fall due meanwhile run when it is resumed, in their order."""

    async def main(loop: VirtualLoop) -> list[tuple[str, float]]:
        said: list[tuple[str, float]] = []
        node = loop.owner("node")

        async def tick() -> None:
            for n in range(3):
                await asyncio.sleep(1)
                said.append((f"tick {n}", loop.time()))

        loop.spawn(node, tick(), "ticks")
        await asyncio.sleep(0.5)
        loop.pause(node)
        await asyncio.sleep(5)
        said.append(("resumed", loop.time()))
        loop.resume(node)
        await asyncio.sleep(5)
        return said

    assert run(main) == [
        ("resumed", 5.5),
        ("tick 0", 5.5),
        ("tick 1", 6.5),
        ("tick 2", 7.5),
    ]


def test_killed_owner_does_nothing_any_more_not_even_clean_up() -> None:
    """No `finally` of it has any effect, at its death or at the end."""
    effects: list[str] = []

    async def main(loop: VirtualLoop) -> None:
        node, told = loop.owner("node"), asyncio.Event()

        async def generate() -> AsyncGenerator[int, None]:
            try:
                while True:
                    await asyncio.sleep(1)
                    yield 1
            finally:
                told.set()
                await asyncio.sleep(1)
                effects.append("slept after death")

        async def work() -> None:
            try:
                async for _ in generate():
                    pass
            finally:
                loop.call_soon(effects.append, "called after death")
                await asyncio.sleep(0)
                effects.append("went on after death")

        loop.spawn(node, work(), "work")
        await asyncio.sleep(2.5)
        loop.kill(node)
        await asyncio.sleep(10)
        assert not told.is_set()

    run(main)

    assert effects == []


def test_children_belong_to_the_owner_of_their_parent() -> None:
    """Tasks, callbacks and timers alike."""

    async def main(loop: VirtualLoop) -> list[str]:
        said: list[str] = []
        node = loop.owner("node")

        async def child() -> None:
            await asyncio.sleep(2)
            said.append("child")

        async def parent() -> None:
            loop.call_later(2, said.append, "timer")
            await asyncio.create_task(child())

        loop.spawn(node, parent(), "parent")
        await asyncio.sleep(1)
        loop.kill(node)
        await asyncio.sleep(5)
        return said

    assert run(main) == []


def test_waiting_for_what_cannot_come_is_an_error_that_says_where() -> None:
    """Nothing is ready, no timer is set."""

    async def main(_loop: VirtualLoop) -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError, match=r"nothing can happen.*main, line \d+"):
        run(main)


def test_waiting_beside_others_that_go_on_for_ever_ends_too() -> None:
    """A node ticks whether anybody waits in vain or not."""

    async def main(loop: VirtualLoop) -> None:
        async def tick() -> None:
            while True:  # noqa: ASYNC110 -- what a node does
                await asyncio.sleep(1)

        loop.spawn(loop.owner("node"), tick(), "ticks")
        await asyncio.Event().wait()

    with pytest.raises(SimulationError, match="main still waits"):
        run(main, seconds_max=100)


def test_program_that_never_lets_time_pass_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the name of whoever ran last."""
    monkeypatch.setattr("cluster.simulated.loop.CALLBACKS_PER_INSTANT_MAX", 1000)

    async def main(_loop: VirtualLoop) -> None:
        while True:  # noqa: ASYNC110 -- what is to be stopped
            await asyncio.sleep(0)

    with pytest.raises(SimulationError, match="without time passing, the last of main"):
        run(main)


def test_real_world_is_refused_by_name() -> None:
    """Threads, sockets and processes."""

    async def main(loop: VirtualLoop) -> None:
        with pytest.raises(SimulationError, match="run_in_executor"):
            await asyncio.to_thread(print)
        with pytest.raises(SimulationError, match="create_connection"):
            await loop.create_connection(asyncio.Protocol, "localhost", 1)
        with pytest.raises(SimulationError, match="subprocess_exec"):
            await asyncio.create_subprocess_exec("true")

    run(main)


def test_error_that_nobody_takes_is_kept() -> None:
    """A callback that raises is a fault of the program."""

    async def main(loop: VirtualLoop) -> list[str]:
        def fail() -> None:
            msg = "broken"
            raise ValueError(msg)

        node = loop.owner("node")
        loop.call_soon(fail, context=node.context)
        await asyncio.sleep(1)
        return loop.complaints

    assert run(main) == ["node: ValueError('broken')"]


async def test_simulation_runs_within_a_running_loop() -> None:
    """Which is there again afterwards."""

    async def main(loop: VirtualLoop) -> bool:
        await asyncio.sleep(5)
        return asyncio.get_running_loop() is loop

    outer = asyncio.get_running_loop()

    assert run(main)
    assert asyncio.get_running_loop() is outer
