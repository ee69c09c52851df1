"""
Which guarantees cannot hold, and the shortest proof.

A set of guarantees is satisfiable if one order of the writes of each key meets all
that they demand, which is so if no two writes must each precede the other.  What
contradicts alone is broken.  Where the order of writes is not known, guarantees may
be contradictory only together: a session read x=2 and then x=1, which another wrote
in the opposite order.  Either reads went back or writes were put in a wrong order, and
nothing tells which.  So a guarantee is said to be broken if it belongs to a smallest
set of guarantees that is not satisfiable.

A guess at the order of writes leaves little to look at.  A cycle has demands that go
back in it, and what it goes through lies where those go back over; all other demands
are left out.  Of the rest, strongly connected parts with two writes are contradictory.
In each part the shortest cycle is searched breadth-first, in the number of writes that
it goes through.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import combinations

from jepsen_like.checkers.isolation.components import strong_components
from jepsen_like.checkers.sessions.demands import Demands
from jepsen_like.checkers.sessions.guarantees import BY_RANK, Demand, Guarantee

SEARCH_STEPS_MAX = 300_000
"""Nodes visited in search of a shorter cycle; well below a second."""


def contradictions(demands: Demands) -> dict[Guarantee, list[Demand]]:
    """
    Return the broken guarantees, each with a cycle of demands.

    A cycle of a single demand ends at the initial state.
    """
    found: dict[Guarantee, list[Demand]] = {}
    for demand in demands.impossible:
        found.setdefault(Guarantee(demand.kind), [demand])
    suspicious = _suspicious(demands)
    if not suspicious:
        return found
    broken = [frozenset((guarantee,)) for guarantee in found]
    for size in range(1, len(Guarantee) + 1):
        for chosen in combinations(Guarantee, size):
            if any(smaller <= frozenset(chosen) for smaller in broken):
                continue
            graph = _Graph(demands, suspicious, chosen)
            cycle = graph.shortest_cycle()
            if cycle:
                broken.append(frozenset(chosen))
                for guarantee in chosen:
                    found.setdefault(guarantee, cycle)
    return found


def _suspicious(demands: Demands) -> list[int]:
    """Return the edges within parts in which two writes precede each other."""
    graph = _Graph(demands, _in_stretches(demands), tuple(Guarantee))
    part: dict[int, int] = {}
    for index, component in enumerate(graph.components()):
        part.update(dict.fromkeys(component, index))
    if not part:
        return []
    befores, afters = demands.befores, demands.afters
    return [
        edge
        for edge in graph.edges
        if befores[edge] in part and part[befores[edge]] == part.get(afters[edge])
    ]


def _in_stretches(demands: Demands) -> Sequence[int]:
    """Return the edges within stretches of the guess over which some edge goes back."""
    places = demands.node_places()
    back = sorted(
        (places[after], places[before])
        for before, after in zip(demands.befores, demands.afters, strict=True)
        if places[before] > places[after]
    )
    stretch_of = [-1] * demands.write_count
    reached = -1
    for stretch, (first, last) in enumerate(back):
        index = stretch_of[first] if first <= reached else stretch
        for place in range(max(first, reached + 1), last + 1):
            stretch_of[place] = index
        reached = max(reached, last)
    return [
        edge
        for edge, (before, after) in enumerate(
            zip(demands.befores, demands.afters, strict=True)
        )
        if stretch_of[places[before]] == stretch_of[places[after]] != -1
    ]


class _Graph:
    """Those of some *edges* that *chosen* guarantees, or ranks, demand."""

    def __init__(
        self, demands: Demands, edges: Sequence[int], chosen: Sequence[Guarantee]
    ) -> None:
        self.edges = edges
        self._demands = demands
        self._out: dict[int, list[int]] = {}
        wanted = {BY_RANK, *map(int, chosen)}
        befores, kinds = demands.befores, demands.kinds
        for edge in edges:
            if kinds[edge] in wanted:
                self._out.setdefault(befores[edge], []).append(edge)

    def _after(self, node: int) -> Iterator[int]:
        afters = self._demands.afters
        for edge in self._out.get(node, ()):
            yield afters[edge]

    def components(self) -> list[list[int]]:
        """Return strongly connected parts with two writes or more, small ones first."""
        writes = self._demands.write_count
        parts = strong_components(self._out, self._after)
        # Nodes are sorted, writes have the lower numbers.
        return sorted((part for part in parts if part[1] < writes), key=len)

    def shortest_cycle(self) -> list[Demand]:
        """Return a cycle through two or more writes; empty if there is none."""
        best: list[int] = []
        left = SEARCH_STEPS_MAX
        for part in self.components():
            inside = set(part)
            for start in part:
                if best and left <= 0:
                    break
                if start < self._demands.write_count:
                    cycle, steps = self._cycle(start, inside)
                    left -= steps
                    if not best or len(self._joined(cycle)) < len(self._joined(best)):
                        best = cycle
        return self._joined(best)

    def _cycle(self, start: int, inside: set[int]) -> tuple[list[int], int]:
        """
        Return a cycle's edges from *start* through another write, and the cost.

        Breadth-first over (node, another write was met), where only writes count.
        """
        demands = self._demands
        origin, goal = (start, False), (start, True)
        came: dict[tuple[int, bool], tuple[tuple[int, bool], int]] = {}
        reached = {origin: 0}
        queue = deque([origin])
        while queue:
            state = queue.popleft()
            if state == goal:
                break
            node, met = state
            for edge in self._out.get(node, ()):
                after = demands.afters[edge]
                if after not in inside:
                    continue
                counts = after < demands.write_count
                following = (after, met or (counts and after != start))
                cost = reached[state] + counts
                if following in reached and reached[following] <= cost:
                    continue
                reached[following] = cost
                came[following] = (state, edge)
                if counts:
                    queue.append(following)
                else:
                    queue.appendleft(following)
        edges: list[int] = []
        state = goal
        while state != origin:
            state, edge = came[state]
            edges.append(edge)
        return edges[::-1], len(came)

    def _joined(self, cycle: Sequence[int]) -> list[Demand]:
        """Return *cycle* from write to write, leaving out the nodes between."""
        demands = self._demands
        joined: list[Demand] = []
        start = -1
        for edge in cycle:
            before, after = demands.befores[edge], demands.afters[edge]
            if before < demands.write_count:
                start = before
            if after < demands.write_count and after != start:
                kind, cause = demands.kinds[edge], demands.causes[edge]
                joined.append(Demand(start, after, kind, cause))
        return joined
