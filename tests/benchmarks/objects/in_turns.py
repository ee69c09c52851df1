"""
Increments of one object beside etcd's puts of one key, in turns.

The speed of a machine that others share changes by half within minutes: what is
measured one after the other says more about that than about the systems.  So both are
there, and each turn asks one and then the other, which begins in every other turn.  The
ratio is one of the same turn, and the median counts.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from tests.benchmarks.fact import Fact, Facts
from tests.benchmarks.measurement import (
    NANOS_PER_SECOND,
    Operation,
    Section,
    Spans,
    closed_loop,
)
from tests.benchmarks.objects.calls import ETCD, SUBJECT, increment
from tests.benchmarks.objects.three_nodes import client_of, leader_of, three_nodes
from tests.benchmarks.systems.etcd_cluster import etcd_subjects

CALLERS: Final = (1, 64)
TURNS: Final = 16
COUNTER: Final = "c0"


async def measure_in_turns(directory: Path, *, seconds: float) -> list[Fact]:
    """Return how they compare; each is asked for half of *seconds* a turn."""
    facts = Facts(Section.OBJECTS, f"{SUBJECT} / {ETCD}")
    (three,) = (subject for subject in etcd_subjects() if subject.nodes > 1)
    ours, theirs = directory / "kvnode", directory / "etcd"
    ours.mkdir()
    theirs.mkdir()
    async with three_nodes(ours) as cluster, three.open(theirs) as store:
        names = cluster.topology.names
        leader = await leader_of(cluster, names[0], COUNTER)
        others = [name for name in names if name != leader]
        async with client_of(cluster, leader, *others) as client:
            for callers in CALLERS:
                both = (
                    [increment(client, [COUNTER]) for _ in range(callers)],
                    [partial(store.put, b"counter", b"1")] * callers,
                )
                await _turn(both, seconds / 2, turn=0)  # which warms up
                turns = [
                    await _turn(both, seconds / 2, turn=turn) for turn in range(TURNS)
                ]
                _add(facts, callers, turns)
    return facts.found


async def _turn(
    both: tuple[Sequence[Operation], Sequence[Operation]], seconds: float, *, turn: int
) -> tuple[Spans, Spans]:
    first, second = both if turn % 2 else both[::-1]
    spans = (
        await closed_loop(first, seconds=seconds),
        await closed_loop(second, seconds=seconds),
    )
    return spans if turn % 2 else spans[::-1]


def _add(facts: Facts, callers: int, turns: Sequence[tuple[Spans, Spans]]) -> None:
    ratios = [_rate(ours) / _rate(theirs) for ours, theirs in turns]
    low, middle, high = quantiles(ratios, n=4)
    of = f"{callers} callers" if callers > 1 else "1 caller"
    facts.add(
        f"increments / puts, {of}, median of {TURNS} turns", round(middle, 2), "x"
    )
    facts.add(f"increments / puts, {of}, lower quartile", round(low, 2), "x")
    facts.add(f"increments / puts, {of}, upper quartile", round(high, 2), "x")
    for what, rates in (
        ("increments", [_rate(ours) for ours, _ in turns]),
        ("puts", [_rate(theirs) for _, theirs in turns]),
    ):
        facts.add(f"{what}, {of}, in turns", round(median(rates)), "/s")


def _rate(spans: Spans) -> float:
    return len(spans.calls) * NANOS_PER_SECOND / spans.elapsed
