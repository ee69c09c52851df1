"""
A node that was down for a while: how soon it is level, and who feels it.

Three nodes.  One is written to at an even rate all the time, in small batches, one is
read from, and the third is killed and started again.  Every write has a key of its
own, which is the worst case: of a key that was written often, the node gets the last
version only, since the live entries are the log.

On few processors the node that catches up takes what the others need; with `--apart` it
has one of its own, and what is felt is what the others do for it.

The clients of the other two are asked how they fared before, during the outage
and while the third caught up.  In the end all three hold the same.
"""

import asyncio
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter_ns

from cluster.processes import ProcessCluster
from kvnode.client import Put
from tests.benchmarks.dataset import draw
from tests.benchmarks.fact import Fact, Facts
from tests.benchmarks.measurement import NANOS_PER_SECOND, Section
from tests.benchmarks.replication import steady
from tests.benchmarks.replication.progress import Progress, follow
from tests.benchmarks.replication.steady import Spell, add_spells
from tests.benchmarks.systems.local_nodes import (
    Load,
    converge,
    kept_apart,
    load_client,
    pid_of,
    processor_seconds,
    running_nodes,
)


async def measure_catch_up(
    directory: Path, load: Load, *, down_seconds: float
) -> list[Fact]:
    """
    Kill a node for *down_seconds* under *load*; return the figures.

    Raises:
        WrongAnswerError: A read returned something else than was put.
        ServerError: The node was not level within an hour.
        NotConvergedError: The nodes differ in the end.
    """
    facts = Facts(Section.CATCH_UP, f"3 nodes, {load.place}, fsync")
    cluster = ProcessCluster.create(directory / "cluster", load.three_sites)
    written, read, down = cluster.topology.names
    apart = kept_apart(cluster, down) if load.is_apart else nullcontext()
    with apart:
        async with (
            running_nodes(cluster),
            load_client(cluster, written) as writer,
            load_client(cluster, read) as reader,
        ):
            dataset = draw("steady/read", steady.READ_KEYS)
            await writer.batch([Put(*pair) for pair in dataset.pairs()])
            await converge(cluster, cluster.topology.names)
            writes = steady.batches(writer, dataset, writes_per_second=load.per_second)
            reads = steady.reads(reader, dataset)
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(writes.run())
                reading = group.create_task(reads.run())
                await asyncio.sleep(steady.WARM_UP_SECONDS)
                began = perf_counter_ns()
                await asyncio.sleep(load.seconds)
                killed = perf_counter_ns()
                await cluster.kill(down)
                await asyncio.sleep(down_seconds)
                used = processor_seconds(pid_of(cluster, written))
                progress = await follow(
                    cluster, down, written, per_second=load.per_second
                )
                used = processor_seconds(pid_of(cluster, written)) - used
                own = processor_seconds(pid_of(cluster, down))
                writes.stop()
                reads.stop()
            seconds = await converge(cluster, cluster.topology.names)
    facts.add("down for", down_seconds, "s")
    written_per_second = writing.result().per_second * steady.BATCH_WRITES
    facts.add("writes answered", round(written_per_second), "/s")
    add_progress(facts, progress)
    facts.add(f"CPU of {written} meanwhile", round(used / progress.seconds, 2), "cores")
    facts.add(f"CPU of {down} from its start", round(own, 1), "s")
    facts.add("equal after the last write", round(seconds, 1), "s")
    spells = [
        Spell("before", began, killed),
        Spell("while it was down", killed, progress.began),
        Spell("while it caught up", progress.began, progress.level),
    ]
    add_spells(
        facts, f"{steady.BATCH_WRITES} puts at {written}", writing.result(), spells
    )
    add_spells(facts, f"get at {read}", reading.result(), spells)
    return facts.found


def add_progress(facts: Facts, progress: Progress) -> None:
    """Take down how soon a node was level, and what came in."""
    serving = (progress.serving - progress.began) / NANOS_PER_SECOND
    covered = (progress.covered - progress.serving) / NANOS_PER_SECOND
    level = (progress.level - progress.serving) / NANOS_PER_SECOND
    facts.add("start of the process until it serves", round(serving, 2), "s")
    facts.add("from then until it covers what was missing", round(covered, 2), "s")
    facts.add("from then until it is level", round(level, 2), "s")
    facts.add("writes taken in until level", progress.writes, "")
    facts.add("writes taken in", round(progress.writes / level), "/s")
    if progress.bytes_received is not None:
        mib = progress.bytes_received / 2**20
        facts.add("received from other nodes", round(mib, 1), "MiB")
        facts.add("received from other nodes", round(mib / level, 2), "MiB/s")
        each = progress.bytes_received / max(progress.writes, 1)
        facts.add("received for each write", round(each), "bytes")
