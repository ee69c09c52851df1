"""Cycle search: against an enumeration of all cycles of small graphs."""

from collections.abc import Iterator
from random import Random

import pytest

from jepsen_like.checkers.elle.cycles import CycleSearch, anomaly_of
from jepsen_like.checkers.elle.deadline import Deadline
from jepsen_like.checkers.elle.graph import (
    KIND_BITS,
    KIND_MASK,
    PROCESS,
    REALTIME,
    RW,
    WR,
    WW,
    Graph,
)
from tests.jepsen_like.checkers.elle.histories import EXAMPLES

LAYERS = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")


def _all_cycles(graph: Graph) -> Iterator[tuple[int, ...]]:
    """The kinds of every simple cycle, by the smallest node that it has."""

    def extend(
        start: int, node: int, seen: set[int], kinds: tuple[int, ...]
    ) -> Iterator[tuple[int, ...]]:
        for edge in graph.edges[node]:
            target, kind = edge >> KIND_BITS, edge & KIND_MASK
            if target == start:
                yield (*kinds, kind)
            elif target > start and target not in seen:
                yield from extend(start, target, seen | {target}, (*kinds, kind))

    for start in range(len(graph.edges)):
        yield from extend(start, start, {start}, ())


def _random_graph(rng: Random, kinds: tuple[int, ...]) -> Graph:
    size = rng.randint(2, 6)
    graph = Graph(size)
    for _ in range(rng.randint(size, 2 * size)):
        source, target = rng.randrange(size), rng.randrange(size)
        kind = rng.choice(kinds)
        # Orders of clients and of real time have no cycles of their own.
        if kind not in {PROCESS, REALTIME} or source < target:
            graph.link(source, target, kind)
    return graph


@pytest.mark.parametrize("extra", [0, PROCESS, REALTIME])
def test_worst_anomaly_found_is_the_worst_there_is(extra: int) -> None:
    """No layer is missed, nothing is found that is not there."""
    kinds = (WW, WR, RW, RW, extra or RW)
    suffix = {0: "", PROCESS: "-process", REALTIME: "-realtime"}[extra]
    for seed in range(1500 * EXAMPLES):
        graph = _random_graph(Random(seed), kinds)
        present = {anomaly_of(each) for each in _all_cycles(graph)}
        extras = (extra,) if extra else ()
        found = CycleSearch(graph, Deadline.after(None)).run(extras)
        assert set(found) <= present, seed
        for ending in {"", suffix}:
            ranked = [name + ending for name in LAYERS]
            worst = next((name for name in ranked if name in present), None)
            if worst is None:
                continue
            # Of cycles with real time, one without may stand in for the same layer.
            upto = LAYERS[: ranked.index(worst) + 1]
            assert any(name in found or name + ending in found for name in upto), (
                seed,
                worst,
                found,
            )


def test_found_cycles_are_simple_and_made_of_edges() -> None:
    """What is shown to people is in the graph, and visits nobody twice."""
    for seed in range(800 * EXAMPLES):
        graph = _random_graph(Random(seed), (WW, WR, RW, REALTIME))
        found = CycleSearch(graph, Deadline.after(None)).run((REALTIME,))
        for name, cycles in found.items():
            for cycle in cycles:
                assert anomaly_of(cycle.kinds) == name
                assert len(set(cycle.nodes)) == len(cycle.nodes)
                after = (*cycle.nodes[1:], cycle.nodes[0])
                for step in zip(cycle.nodes, cycle.kinds, after, strict=True):
                    assert step[2] << KIND_BITS | step[1] in graph.edges[step[0]]


@pytest.mark.parametrize(
    ("kinds", "name"),
    [
        ((WW, WW), "G0"),
        ((WW, WR), "G1c"),
        ((WW, RW, WR), "G-single"),
        ((RW, WR, RW, WW), "G-nonadjacent"),
        ((RW, WR, RW), "G2-item"),
        ((RW, RW), "G2-item"),
        ((WW, REALTIME), "G0-realtime"),
        ((RW, PROCESS), "G-single-process"),
        ((RW, PROCESS, RW, REALTIME), "G-nonadjacent-realtime"),
    ],
)
def test_cycle_is_named_by_its_edges(kinds: tuple[int, ...], name: str) -> None:
    """Adjacent means around the end too."""
    assert anomaly_of(kinds) == name
