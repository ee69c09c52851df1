"""
The costs section: measure what one node pays, for `cluster.scale` to work with.

What was measured and what was fitted to it have different subjects in the report;
what follows for clusters that were never run is not among its figures.
"""

from collections.abc import Sequence
from pathlib import Path

from cluster.scale import Costs, fit
from cluster.scale.arithmetic import compared_with
from tests.benchmarks.costs.clocks import ClockCosts, measure_clocks
from tests.benchmarks.costs.resting import Rest, measure_burdened, measure_clusters
from tests.benchmarks.costs.writing import (
    Pushing,
    WriteCosts,
    measure_pushing,
    measure_writes,
)
from tests.benchmarks.fact import Fact, Facts
from tests.benchmarks.measurement import Section
from tests.benchmarks.systems.local_nodes import Load


async def measure_costs(directory: Path, *, load: Load) -> tuple[list[Fact], Costs]:
    """
    Return what was measured, and the costs that follow from it.

    Raises:
        NotConvergedError: The nodes of the writing part differ in the end.
    """
    clocks = measure_clocks()
    writes = await measure_writes(directory / "writes", load)
    pushing = await measure_pushing(directory / "pushing", load)
    resting = await measure_burdened(directory / "resting", seconds=load.seconds)
    clusters = await measure_clusters(directory / "clusters", seconds=load.seconds)
    costs = costs_of(writes, pushing, resting, clocks)
    facts = [
        *_writing(writes, pushing),
        *_resting("one node, idle peers", resting),
        *_resting("clusters of real nodes", clusters),
        *_derived(costs),
    ]
    return facts, costs


def costs_of(
    writes: WriteCosts,
    pushing: Sequence[Pushing],
    resting: Sequence[Rest],
    clocks: ClockCosts,
) -> Costs:
    """
    Return the costs that the arithmetic needs.

    What a link, a comparison and a probe cost is told apart by least squares over
    the numbers of peers.  Clocks in memory are taken off before the rest is fitted.
    Bytes that nobody counted are 0.
    """
    rows = [
        (1, rest.peers, compared_with(rest.peers), min(1, rest.peers))
        for rest in resting
    ]
    idle, link, digest, probe = fit(rows, [rest.micros for rest in resting])
    node_bytes, peer_bytes = fit(
        [row[:2] for row in rows],
        [
            rest.memory_bytes - clocks.memory_bytes * rest.peers * (rest.peers + 1)
            for rest in resting
        ],
    )
    link_bytes, digest_bytes, probe_bytes = fit(
        [row[1:] for row in rows], [rest.received_bytes or 0.0 for rest in resting]
    )
    write, push = fit([(1, one.peers) for one in pushing], [o.micros for o in pushing])
    return Costs(
        write_micros=write,
        push_micros=push,
        receive_micros=writes.receiver_micros,
        idle_micros=idle,
        link_micros=link,
        digest_micros=digest,
        probe_micros=probe,
        entry_micros=clocks.micros,
        push_bytes=writes.received_bytes or 0.0,
        link_bytes=link_bytes,
        digest_bytes=digest_bytes,
        probe_bytes=probe_bytes,
        node_bytes=node_bytes,
        peer_bytes=peer_bytes,
        clock_entry_bytes=clocks.memory_bytes,
        clock_entry_wire_bytes=clocks.wire_bytes,
    )


def _writing(writes: WriteCosts, pushing: Sequence[Pushing]) -> list[Fact]:
    facts = Facts(Section.COSTS, "3 nodes, one is written to")
    facts.add("writes answered", round(writes.per_second), "/s")
    facts.add("CPU of a write at its origin", round(writes.origin_micros, 1), "us")
    facts.add("CPU of a write at a receiver", round(writes.receiver_micros, 1), "us")
    facts.add("CPU at rest", round(writes.idle_micros), "us/s")
    if writes.received_bytes is not None and writes.idle_bytes is not None:
        facts.add("received by a peer, of a write", round(writes.received_bytes), "B")
        facts.add("received at rest", round(writes.idle_bytes), "B/s")
    more = Facts(Section.COSTS, "one node that pushes")
    for one in pushing:
        more.add(f"writes answered, {one.peers} peers", round(one.per_second), "/s")
        more.add(f"CPU of a write, {one.peers} peers", round(one.micros, 1), "us")
    return facts.found + more.found


def _resting(where: str, rests: Sequence[Rest]) -> list[Fact]:
    facts = Facts(Section.COSTS, where)
    for rest in rests:
        peers = f"with {rest.peers} peers"
        facts.add(f"CPU at rest {peers}", round(rest.micros), "us/s")
        facts.add(f"memory {peers}", round(rest.memory_bytes / 2**20, 1), "MiB")
        if rest.received_bytes is not None:
            facts.add(f"received {peers}", round(rest.received_bytes), "B/s")
    return facts.found


def _derived(costs: Costs) -> list[Fact]:
    facts = Facts(Section.COSTS, "fitted to the above")
    facts.add("CPU of a write, no peers", round(costs.write_micros, 1), "us")
    facts.add("CPU of a write, each peer", round(costs.push_micros, 2), "us")
    facts.add("CPU, no peers", round(costs.idle_micros), "us/s")
    facts.add("CPU, each link", round(costs.link_micros, 1), "us/s")
    facts.add("CPU, each peer compared with", round(costs.digest_micros, 1), "us/s")
    facts.add("CPU, probes", round(costs.probe_micros, 1), "us/s")
    facts.add("CPU, each clock entry of a report", round(costs.entry_micros, 2), "us")
    facts.add("memory, no peers", round(costs.node_bytes / 2**20, 1), "MiB")
    facts.add("memory, each peer", round(costs.peer_bytes / 2**10, 1), "KiB")
    facts.add("memory, each clock entry", round(costs.clock_entry_bytes), "B")
    facts.add("wire, each clock entry", round(costs.clock_entry_wire_bytes, 1), "B")
    facts.add("wire, each link", round(costs.link_bytes, 1), "B/s")
    facts.add("wire, each peer compared with", round(costs.digest_bytes, 1), "B/s")
    facts.add("wire, probes", round(costs.probe_bytes, 1), "B/s")
    return facts.found
