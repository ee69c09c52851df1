"""
How long a write takes to be visible at the other nodes, under a steady load.

One node is written to at an even rate.  Every tenth write is a probe, with a key
of its own, that the other nodes' watches report: their clients are in this very
process, so that both times are of one monotonic clock.  A probe's span begins
when it was due to be sent, or when its writer was told that it is durable; since
a node pushes in the same turn in which it answers, the second may be negative:
the others had it before the writer knew.

What a watch needs to report is in the figure, and the watches' work is in the
nodes' CPU time; section `costs` has that without watches.  If the clients, which
are one Python process, need a core or nearly so, the spans are theirs.
"""

import asyncio
import os
from collections.abc import Sequence
from time import perf_counter_ns

from tests.benchmarks.dataset import KEY_COUNT, Dataset, draw
from tests.benchmarks.fact import Fact, Facts
from tests.benchmarks.measurement import NANOS_PER_SECOND, Section, WrongAnswerError
from tests.benchmarks.pacing import OpenLoop, Paced
from tests.benchmarks.systems.local_nodes import Load, processor_seconds
from tests.benchmarks.systems.replicated import ReplicatedStore

COMPARED = ("put", "visible everywhere")
"""What the report compares with other stores; the rest is of their own."""

PROBE_EVERY = 10
PROBE_PREFIX = b"probe/"
WARM_UP_SECONDS = 2.0
STANDING_SECONDS_MAX = 30.0
ARRIVAL_SECONDS_MAX = 60.0


class Probes:
    """When each probe was durable where it was written, and visible elsewhere."""

    def __init__(self, followers: Sequence[str]) -> None:
        self.acknowledged: dict[bytes, int] = {}
        self.seen: dict[str, dict[bytes, int]] = {name: {} for name in followers}

    @staticmethod
    def is_probe(number: int) -> bool:
        """Tell whether the write of that number is one."""
        return number % PROBE_EVERY == 0

    @staticmethod
    def key(run: str, number: int) -> bytes:
        """Return the key of the probe of that number in *run*."""
        return PROBE_PREFIX + f"{run}/{number:09}".encode()

    def lacking(self, follower: str) -> int:
        """Return how many acknowledged probes are not visible there yet."""
        return len(self.acknowledged.keys() - self.seen[follower].keys())

    def spans(self, follower: str, paced: Paced, run: str) -> tuple[list[int], ...]:
        """Return the spans in ns until visible: from due, and from acknowledged."""
        numbers = range(0, len(paced.took), PROBE_EVERY)
        seen = self.seen[follower]
        keys = [self.key(run, number) for number in numbers]
        return (
            [
                seen[key] - paced.pace.due(number)
                for key, number in zip(keys, numbers, strict=True)
            ],
            [seen[key] - self.acknowledged[key] for key in keys],
        )


async def measure_propagation(
    name: str, store: ReplicatedStore, load: Load
) -> list[Fact]:
    """
    Write at the pace of *load* and time the probes; return the figures.

    Raises:
        WrongAnswerError: An acknowledged probe did not become visible.
    """
    probes = Probes(store.followers)
    dataset = draw("propagation", KEY_COUNT)
    async with asyncio.TaskGroup() as group:
        standing = [asyncio.Event() for _ in store.followers]
        watching = [
            group.create_task(_watch(store, follower, probes, event))
            for follower, event in zip(store.followers, standing, strict=True)
        ]
        async with asyncio.timeout(STANDING_SECONDS_MAX):
            await asyncio.gather(*(event.wait() for event in standing))
        await _write("warm-up", store, probes, dataset, load, WARM_UP_SECONDS)
        pids = {"the clients": os.getpid(), **store.pids}
        before = {one: processor_seconds(pid) for one, pid in pids.items()}
        paced = await _write("run", store, probes, dataset, load, load.seconds)
        used = {one: processor_seconds(pid) - before[one] for one, pid in pids.items()}
        await _all_seen(probes)
        for task in watching:
            task.cancel()
    await store.converge()
    facts = Facts(Section.PROPAGATION, name)
    facts.add("writes asked for", load.per_second, "/s")
    facts.add("writes answered", round(paced.per_second), "/s")
    facts.add_quantiles("sent late", paced.late)
    facts.add_quantiles("put, from its due time", paced.took)
    for follower in store.followers:
        from_due, from_acknowledged = probes.spans(follower, paced, "run")
        facts.add_quantiles(f"visible at {follower}, from its due time", from_due)
        facts.add_quantiles(
            f"visible at {follower}, from the answer", from_acknowledged
        )
    both = [probes.spans(follower, paced, "run") for follower in store.followers]
    for what, index in (("from its due time", 0), ("from the answer", 1)):
        last = list(map(max, *(spans[index] for spans in both)))
        facts.add_quantiles(f"visible everywhere, {what}", last)
    elapsed = (paced.ended - paced.pace.began) / NANOS_PER_SECOND
    for one, seconds in used.items():
        facts.add(f"CPU of {one}", round(seconds / elapsed, 3), "cores")
    return facts.found


async def _watch(
    store: ReplicatedStore, follower: str, probes: Probes, standing: asyncio.Event
) -> None:
    seen = probes.seen[follower]
    async for keys in store.arrivals(follower, PROBE_PREFIX):
        now = perf_counter_ns()
        standing.set()
        for key in keys:
            seen.setdefault(key, now)


async def _write(  # noqa: PLR0917 -- all of it is needed to say what is written
    run: str,
    store: ReplicatedStore,
    probes: Probes,
    dataset: Dataset,
    load: Load,
    seconds: float,
) -> Paced:
    async def put(number: int) -> None:
        value = dataset.values[number % KEY_COUNT]
        if not probes.is_probe(number):
            await store.put(dataset.keys[number % KEY_COUNT], value)
            return
        key = probes.key(run, number)
        await store.put(key, value)
        probes.acknowledged[key] = perf_counter_ns()

    return await OpenLoop(put, per_second=load.per_second).run_for(seconds)


async def _all_seen(probes: Probes) -> None:
    deadline = perf_counter_ns() + int(ARRIVAL_SECONDS_MAX * 1e9)
    while lacking := {
        name: count for name in probes.seen if (count := probes.lacking(name))
    }:
        if perf_counter_ns() > deadline:
            msg = f"acknowledged writes that did not become visible: {lacking}"
            raise WrongAnswerError(msg)
        await asyncio.sleep(0.01)
