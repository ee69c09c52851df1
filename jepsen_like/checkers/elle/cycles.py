"""
Cycles: contradictions in a dependency graph, each named by the edges it needs.

Four layers, each with more edges than the one before, decide for themselves, in
linear time and without giving up, which isolation levels a graph contradicts:

    ww                              G0
    ww, wr                          G1c
    ww, wr, and rw never twice      G-single (one rw), G-nonadjacent (several)
      in a row
    ww, wr, rw                      G2-item

The third is a graph of two nodes a transaction, "came by rw" and "came otherwise";
a component of it is a cycle that snapshot isolation forbids (Cerone & Gotsman).
Each layer is asked again with process edges or real-time edges added, which gives
the names that end in -process and -realtime.  In every component found, short
cycles are looked for through a few of its telling edges; which of several types in
one component are reported besides the worst is a matter of effort, the verdict is
not.

References:
    Adya, 1999.  Weak Consistency.  Chapter 3.
    Cerone & Gotsman, 2016.  Analysing Snapshot Isolation.  Theorem 4.
    Kingsbury & Alvaro, 2020.  Elle.  Section 6: finding witnesses.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jepsen_like.checkers.elle.deadline import Deadline
from jepsen_like.checkers.elle.graph import (
    ANY,
    DATA,
    KIND_BITS,
    KIND_MASK,
    ONWARD,
    PROCESS,
    REALTIME,
    RW,
    WR,
    WW,
    Graph,
    Step,
)

COMPONENTS_MAX = 200
"""In so many components of a layer, the smallest, cycles are looked for."""

TRIES_MAX = 16
"""Through so many edges of a component shortest cycles are looked for."""

SINGLE_TRIES_MAX = 32
"""The same for cycles with exactly one rw edge, which are the hardest to find."""

VISITS_MAX = 4_000
"""Nodes looked at in one try; the first of a component has no limit."""

VISITS_ALL_MAX = 500_000
"""Nodes looked at in all tries that have a limit, about a second."""


class Cycle(NamedTuple):
    """
    Transactions each of which comes before the next, the last before the first.

    Attributes:
        nodes: The transactions; the smallest number is the first.
        kinds: `kinds[i]` leads from `nodes[i]` to the next.
    """

    nodes: tuple[int, ...]
    kinds: tuple[int, ...]


def anomaly_of(kinds: Sequence[int]) -> str:
    """Return what a cycle is called that has edges of *kinds*, in this order."""
    anti = kinds.count(RW)
    if anti == 0:
        name = "G1c" if WR in kinds else "G0"
    elif anti == 1:
        name = "G-single"
    elif any(kinds[i - 1] == RW == kind for i, kind in enumerate(kinds)):
        name = "G2-item"
    else:
        name = "G-nonadjacent"
    if REALTIME in kinds:
        return f"{name}-realtime"
    return f"{name}-process" if PROCESS in kinds else name


class CycleSearch:
    """One search of a graph; `run` returns what it found."""

    def __init__(self, graph: Graph, deadline: Deadline) -> None:
        self._deadline = deadline
        self._count = graph.transaction_count
        self._visits_left = VISITS_ALL_MAX
        self._found: dict[str, dict[Cycle, None]] = {}
        self._whole = graph

    def run(self, extras: Sequence[int]) -> dict[str, list[Cycle]]:
        """
        Return cycles by the anomalies they are, the shortest first.

        Every layer that has a cycle contributes at least one anomaly of that layer
        or of one before it.

        Args:
            extras: Kinds other than data that the graph has, each added by itself.

        Raises:
            OutOfTimeError: The deadline passed.
        """
        components = self._whole.components(ANY, range(len(self._whole.edges)))
        graph = self._whole.within(components) if components else self._whole
        for extra in (0, *extras):
            if extra or extras:
                nodes = [node for component in components for node in component]
                self._layers(graph, graph.components(DATA | extra, nodes), extra)
            else:
                self._layers(graph, components, extra)
        return {
            name: sorted(cycles, key=lambda cycle: (len(cycle.nodes), cycle))
            for name, cycles in self._found.items()
        }

    def _layers(self, graph: Graph, components: list[list[int]], extra: int) -> None:
        """
        Look into all layers, those with the most edges first.

        A component of one layer is inside one of the layer with more edges, so each
        search goes on only where the one before it has found something.
        """
        if not components:
            return
        self._plain_layer(graph, components, DATA | extra, extra or RW)
        graph, nodes = _narrowed(graph, components)
        self._deadline.check()
        doubled = _doubled(graph, nodes, WW | WR | extra)
        pairs = doubled.components(ANY, [2 * node for node in nodes])
        if not pairs:
            return
        self._nonadjacent_layer(graph, doubled, pairs, extra)
        graph, nodes = _narrowed(
            graph, [sorted({node >> 1 for node in pair}) for pair in pairs]
        )
        for mask, telling in ((WW | WR | extra, WR), (WW | extra, WW)):
            self._deadline.check()
            components = graph.components(mask, nodes)
            if not components:
                return
            self._plain_layer(graph, components, mask, extra or telling)
            graph, nodes = _narrowed(graph, components)

    def _plain_layer(
        self, graph: Graph, components: list[list[int]], mask: int, telling: int
    ) -> None:
        for component in _smallest(components):
            best: dict[str, Cycle] = {}
            for tail, kind, head in _edges(graph, component, telling, TRIES_MAX):
                path = self._path(graph, head, tail, mask, first=not best)
                if path is not None:
                    self._keep(best, self._closed(tail, kind, head, path))
            self._store(best)

    def _nonadjacent_layer(
        self, graph: Graph, doubled: Graph, components: list[list[int]], extra: int
    ) -> None:
        for component in _smallest(components):
            best: dict[str, Cycle] = {}
            members = sorted({node >> 1 for node in component})
            self._singles(graph, best, members, WW | WR | extra)
            for tail, kind, head in _edges(doubled, component, extra or RW, TRIES_MAX):
                path = self._path(doubled, head, tail, ANY, first=not best)
                if path is not None:
                    steps = [Step(step.kind, step.node >> 1) for step in path]
                    cycle = self._closed(tail >> 1, kind, head >> 1, steps)
                    self._keep(best, cycle)
            self._store(best)

    def _singles(
        self, graph: Graph, best: dict[str, Cycle], members: list[int], mask: int
    ) -> None:
        """Look for cycles with one rw edge: the return takes none."""
        for tail, kind, head in _edges(graph, members, RW, SINGLE_TRIES_MAX):
            path = self._path(graph, head, tail, mask, first=False)
            if path is not None:
                self._keep(best, self._closed(tail, kind, head, path))

    def _path(
        self, graph: Graph, head: int, tail: int, mask: int, *, first: bool
    ) -> list[Step] | None:
        """Return the way back from *head*; the *first* of a component at any cost."""
        self._deadline.check()
        visits_max = None if first else min(VISITS_MAX, self._visits_left)
        path, visits = graph.path(head, tail, mask, visits_max)
        if not first:
            self._visits_left -= visits
        return path

    def _closed(self, tail: int, kind: int, head: int, path: list[Step]) -> Cycle:
        """Return the cycle of an edge and the path back, without the junctions."""
        nodes, kinds = [tail], []
        for step in (Step(kind, head), *path):
            if step.kind != ONWARD:
                kinds.append(step.kind)
            if step.node < self._count:
                nodes.append(step.node)
        end = nodes.pop()
        assert end == tail, "a cycle ends where it began"
        assert len(nodes) == len(kinds), "a junction is between two transactions"
        return _rotated(*_simple(nodes, kinds))

    @staticmethod
    def _keep(best: dict[str, Cycle], cycle: Cycle) -> None:
        name = anomaly_of(cycle.kinds)
        if name not in best or len(cycle.nodes) < len(best[name].nodes):
            best[name] = cycle

    def _store(self, best: dict[str, Cycle]) -> None:
        for name, cycle in best.items():
            self._found.setdefault(name, {})[cycle] = None


def _smallest(components: list[list[int]]) -> list[list[int]]:
    return sorted(components, key=lambda each: (len(each), min(each)))[:COMPONENTS_MAX]


def _narrowed(graph: Graph, components: list[list[int]]) -> tuple[Graph, list[int]]:
    """Return the graph inside *components*, and its nodes."""
    return graph.within(components), [node for each in components for node in each]


def _edges(
    graph: Graph, component: Iterable[int], kinds: int, count_max: int
) -> list[tuple[int, int, int]]:
    """Return some edges (tail, kind, head) of *kinds* inside *component*."""
    members = set(component)
    chosen: list[tuple[int, int, int]] = []
    for tail in sorted(members):
        for edge in graph.edges[tail]:
            if edge & kinds and edge >> KIND_BITS in members:
                chosen.append((tail, edge & KIND_MASK, edge >> KIND_BITS))
                if len(chosen) == count_max:
                    return chosen
    return chosen


def _doubled(graph: Graph, nodes: Iterable[int], mask: int) -> Graph:
    """Return the graph in which an rw edge may not follow another."""
    doubled = Graph(2 * len(graph.edges))
    for node in nodes:
        otherwise, by_rw = doubled.edges[2 * node], doubled.edges[2 * node + 1]
        for edge in graph.edges[node]:
            target, kind = edge >> KIND_BITS, edge & KIND_MASK
            if kind == RW:
                otherwise.append((2 * target + 1) << KIND_BITS | kind)
            elif kind == ONWARD:
                # A junction is come by as the transaction before it was left.
                otherwise.append((2 * target) << KIND_BITS | kind)
                by_rw.append((2 * target + 1) << KIND_BITS | kind)
            elif kind & mask:
                otherwise.append((2 * target) << KIND_BITS | kind)
                by_rw.append((2 * target) << KIND_BITS | kind)
    return doubled


def _simple(nodes: list[int], kinds: list[int]) -> tuple[list[int], list[int]]:
    """
    Return a part of a closed walk that visits nobody twice.

    A walk in the doubled graph may come to a transaction twice, once by rw and
    once otherwise.  The part that begins where it came by rw and ends where it
    came otherwise has at its seam no rw at all, so it is as lawful as the whole.
    """
    while True:
        first: dict[int, int] = {}
        for position, node in enumerate(nodes):
            if node in first:
                i, j = first[node], position
                break
            first[node] = position
        else:
            return nodes, kinds
        if kinds[j - 1] == RW:
            i, j = j, i
        # The walk from i on, around the end if need be, up to j.
        length = (j - i) % len(nodes)
        turn = [(i + offset) % len(nodes) for offset in range(length)]
        nodes, kinds = [nodes[at] for at in turn], [kinds[at] for at in turn]


def _rotated(nodes: list[int], kinds: list[int]) -> Cycle:
    start = nodes.index(min(nodes))
    return Cycle(
        tuple(nodes[start:] + nodes[:start]), tuple(kinds[start:] + kinds[:start])
    )
