"""
An empty node that takes everything from one other: how soon, and who feels it.

Two nodes, of which the one that has all keys is the only donor there can be.  Its
clients put and get at an even rate before the empty node is started and until it
is level; what they put is a small part of the load, so that the donor's work is
mostly the bootstrap's.  In the end both hold the same.
"""

import asyncio
from pathlib import Path
from time import perf_counter_ns

from cluster.topology import Link, Site, Topology
from kvnode.client import Client, Put
from kvnode.types import Millis
from tests.benchmarks.dataset import draw
from tests.benchmarks.fact import Fact, Facts
from tests.benchmarks.measurement import Operation, Section, all_at_most
from tests.benchmarks.replication import steady
from tests.benchmarks.replication.catch_up import add_progress
from tests.benchmarks.replication.progress import follow
from tests.benchmarks.replication.steady import Spell, add_spells
from tests.benchmarks.scale import pair
from tests.benchmarks.systems.local_nodes import (
    Load,
    converge,
    load_client,
    local_nodes,
    pid_of,
    processor_seconds,
)

DONOR, EMPTY = "donor", "empty"
DISTANCE = Millis(75)
"""Tokyo to Virginia, the middle one of the three cities' distances."""

LOAD_BATCH_SIZE = 1000
LOAD_IN_FLIGHT = 4
PUTS_PER_SECOND = 500


async def measure_bootstrap(
    directory: Path, load: Load, *, key_count: int
) -> list[Fact]:
    """
    Give one node *key_count* keys and start an empty one; return the figures.

    Raises:
        WrongAnswerError: A read returned something else than was put.
        ServerError: The empty node was not level within an hour.
        NotConvergedError: The nodes differ in the end.
    """
    place = f"{key_count:,} keys, {load.place}, fsync"
    facts = Facts(Section.BOOTSTRAP, place)
    delay = DISTANCE if load.has_distances else Millis(0)
    topology = Topology(
        (Site(DONOR, "here"), Site(EMPTY, "there")), (Link(DONOR, EMPTY, delay),)
    )
    async with (
        local_nodes(directory, topology, DONOR) as cluster,
        load_client(cluster, DONOR) as writer,
        load_client(cluster, DONOR) as reader,
    ):
        await _load(writer, key_count)
        dataset = draw("steady/read", steady.READ_KEYS)
        await writer.batch([Put(*one) for one in dataset.pairs()])
        writes = steady.puts(writer, dataset, per_second=PUTS_PER_SECOND)
        reads = steady.reads(reader, dataset)
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(writes.run())
            reading = group.create_task(reads.run())
            await asyncio.sleep(steady.WARM_UP_SECONDS)
            began = perf_counter_ns()
            await asyncio.sleep(load.seconds)
            used = processor_seconds(pid_of(cluster, DONOR))
            progress = await follow(cluster, EMPTY, DONOR, per_second=PUTS_PER_SECOND)
            used = processor_seconds(pid_of(cluster, DONOR)) - used
            own = processor_seconds(pid_of(cluster, EMPTY))
            writes.stop()
            reads.stop()
        seconds = await converge(cluster, [DONOR, EMPTY])
    facts.add("keys of 24 + 100 bytes", key_count, "")
    add_progress(facts, progress)
    facts.add("CPU of the donor meanwhile", round(used / progress.seconds, 2), "cores")
    facts.add("CPU of the empty node", round(own, 1), "s")
    facts.add("equal after the last write", round(seconds, 1), "s")
    spells = [
        Spell("before", began, progress.began),
        Spell("during the bootstrap", progress.began, progress.level),
    ]
    add_spells(facts, "put at the donor", writing.result(), spells)
    add_spells(facts, "get at the donor", reading.result(), spells)
    return facts.found


async def _load(client: Client, key_count: int) -> None:
    def loader(first: int) -> Operation:
        async def load() -> None:
            last = min(first + LOAD_BATCH_SIZE, key_count)
            await client.batch([Put(*pair(number)) for number in range(first, last)])

        return load

    loads = [loader(first) for first in range(0, key_count, LOAD_BATCH_SIZE)]
    await all_at_most(loads, in_flight=LOAD_IN_FLIGHT)
