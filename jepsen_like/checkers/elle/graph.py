"""
Dependency graphs: which transaction must come before which, and why.

    ww  the second overwrote what the first wrote
    wr  the second read what the first wrote
    rw  the second overwrote what the first read (an anti-dependency)
    process   one client did the first before the second
    realtime  the first had returned before the second was called

Nodes 0 .. n-1 are transactions; those above are junctions that stand for many
edges at once.  An edge into a junction says the kind, edges out of it go on: they
cost nothing and have no kind.  By junctions

- the real-time order of n transactions takes O(n) edges, though it relates up to
  n^2/2 pairs (a chain of barriers, one for each group of completions), and
- "all these readers before all those writers" takes r + w edges and not r * w.

Components are found by Tarjan's algorithm without recursion, in O(nodes + edges);
shortest cycles by breadth-first search with edges of weight 0 and 1.

References:
    Adya, 1999.  Weak Consistency.  Section 3.1: direct serialization graphs.
    Tarjan, 1972.  Depth-first search and linear graph algorithms.
    Kingsbury & Alvaro, 2020.  Elle.  Section 5.1: real-time orders.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jepsen_like.checkers.elle.transactions import Transaction

WW = 1
WR = 2
RW = 4
PROCESS = 8
REALTIME = 16
ONWARD = 32
"""Kinds of edges, one bit each; `ONWARD` leaves a junction."""

DATA = WW | WR | RW
ANY = DATA | PROCESS | REALTIME

KIND_BITS = 6
KIND_MASK = (1 << KIND_BITS) - 1
"""An edge is one integer, target << KIND_BITS | kind: millions of them must fit."""

_FINISHED = 2**62

_DIRECT_SIDE_MAX = 2
"""Up to so many nodes on a side, direct edges are as few as those by a junction."""


class Step(NamedTuple):
    """One edge of a path: by what kind one comes to which node."""

    kind: int
    node: int


class Graph:
    """
    A graph with edges of several kinds, several of them between two nodes if need be.

    Attributes:
        transaction_count: Nodes below this number are transactions.
        edges: Of each node, the edges out of it.
    """

    __slots__ = ("edges", "transaction_count")

    def __init__(self, transaction_count: int) -> None:
        self.transaction_count = transaction_count
        self.edges: list[list[int]] = [[] for _ in range(transaction_count)]

    def link(self, source: int, target: int, kind: int) -> None:
        """Add an edge; one from a transaction to itself says nothing and is dropped."""
        if source != target:
            self.edges[source].append(target << KIND_BITS | kind)

    def junction(self) -> int:
        """Add a node that is no transaction, and return it."""
        self.edges.append([])
        return len(self.edges) - 1

    def link_all(
        self, sources: Sequence[int], targets: Sequence[int], kind: int
    ) -> None:
        """
        Say that each of *sources* comes before each of *targets* but itself.

        O(sources + targets) edges.  Each list names a node once.
        """
        if min(len(sources), len(targets)) <= _DIRECT_SIDE_MAX:
            for source in sources:
                for target in targets:
                    self.link(source, target, kind)
            return
        positions = {target: position for position, target in enumerate(targets)}
        hub = self.junction()
        for target in targets:
            self.link(hub, target, ONWARD)
        both: list[int] = []
        for source in sources:
            if source in positions:
                both.append(source)
            else:
                self.link(source, hub, kind)
        if both:
            self._link_to_others([positions[each] for each in both], targets, kind)

    def _link_to_others(
        self, places: Iterable[int], targets: Sequence[int], kind: int
    ) -> None:
        """Link the targets at *places* to all targets but themselves."""
        earlier = self._prefixes(targets)
        later = self._prefixes(targets[::-1])
        for place in places:
            if place > 0:
                self.link(targets[place], earlier[place - 1], kind)
            if place < len(targets) - 1:
                self.link(targets[place], later[len(targets) - place - 2], kind)

    def _prefixes(self, targets: Sequence[int]) -> list[int]:
        """Return junctions, the i-th of which leads to targets 0 .. i."""
        chain: list[int] = []
        for target in targets:
            node = self.junction()
            self.link(node, target, ONWARD)
            if chain:
                self.link(node, chain[-1], ONWARD)
            chain.append(node)
        return chain

    def components(  # noqa: C901 - split, it would call a function for each edge
        self, mask: int, nodes: Iterable[int]
    ) -> list[list[int]]:
        """
        Return the strongly connected components that have more than one node.

        Args:
            mask: Kinds of the edges that count; junctions are always passed.
            nodes: Where to begin; what they lead to belongs to the search.

        Returns:
            Components in the order in which they were finished.
        """
        mask |= ONWARD
        edges = self.edges
        order = [0] * len(edges)
        low = [0] * len(edges)
        found: list[list[int]] = []
        count = 0
        for root in nodes:
            if order[root]:
                continue
            count += 1
            order[root] = low[root] = count
            pending, path, rest = [root], [root], [iter(edges[root])]
            while path:
                node = path[-1]
                for edge in rest[-1]:
                    if edge & mask:
                        target = edge >> KIND_BITS
                        seen = order[target]
                        if not seen:
                            count += 1
                            order[target] = low[target] = count
                            pending.append(target)
                            path.append(target)
                            rest.append(iter(edges[target]))
                            break
                        # A finished node has an order above all others.
                        if seen < low[node]:  # noqa: PLR1730 - min() costs a call
                            low[node] = seen
                else:
                    path.pop()
                    rest.pop()
                    if low[node] == order[node]:
                        component = _popped_until(pending, node, order)
                        if len(component) > 1:
                            found.append(component)
                    elif low[node] < low[path[-1]]:
                        low[path[-1]] = low[node]
        return found

    def within(self, components: Iterable[Iterable[int]]) -> "Graph":
        """Return a graph of the same nodes with only the edges inside components."""
        member = [-1] * len(self.edges)
        chosen = [list(component) for component in components]
        for number, component in enumerate(chosen):
            for node in component:
                member[node] = number
        graph = Graph(self.transaction_count)
        graph.edges = [
            [edge for edge in out if member[edge >> KIND_BITS] == member[node]]
            if member[node] >= 0
            else []
            for node, out in enumerate(self.edges)
        ]
        return graph

    def path(
        self, start: int, goal: int, mask: int, visits_max: int | None = None
    ) -> tuple[list[Step] | None, int]:
        """
        Return a shortest path and how many nodes were looked at for it.

        The path is None if there is none or it is too far to find.

        Edges out of junctions are free, so the length counts what relates
        transactions.

        Args:
            start: Where it begins; not part of the steps.
            goal: Where it ends.
            mask: Kinds of the edges that may be used.
            visits_max: How many nodes may be looked at; None for all.
        """
        mask |= ONWARD
        edges = self.edges
        origin = {start: start << KIND_BITS}
        level = [start]
        while level and (visits_max is None or len(origin) <= visits_max):
            further: dict[int, int] = {}
            for node in level:  # grows by what junctions lead to
                for edge in edges[node]:
                    target = edge >> KIND_BITS
                    if not edge & mask or target in origin:
                        continue
                    if edge & ONWARD:
                        origin[target] = node << KIND_BITS | ONWARD
                        level.append(target)
                    elif target not in further:
                        further[target] = node << KIND_BITS | (edge & KIND_MASK)
            level = [target for target in further if target not in origin]
            for target in level:
                origin[target] = further[target]
            if goal in origin:
                return _unwound(origin, start, goal), len(origin)
        return None, len(origin)


def _popped_until(pending: list[int], node: int, order: list[int]) -> list[int]:
    component: list[int] = []
    while True:
        member = pending.pop()
        order[member] = _FINISHED
        component.append(member)
        if member == node:
            return component


def _unwound(origin: dict[int, int], start: int, goal: int) -> list[Step]:
    steps: list[Step] = []
    node = goal
    while node != start:
        came = origin[node]
        steps.append(Step(came & KIND_MASK, node))
        node = came >> KIND_BITS
    return steps[::-1]


def link_processes(graph: Graph, transactions: Iterable[Transaction]) -> None:
    """Add the order of each client: what it did before what it did next."""
    latest: dict[int, Transaction] = {}
    for transaction in transactions:
        if transaction.committed:
            before = latest.get(transaction.operation.process)
            if before is not None:
                graph.link(before.number, transaction.number, PROCESS)
            latest[transaction.operation.process] = transaction


def link_realtime(graph: Graph, transactions: Iterable[Transaction]) -> None:
    """
    Add the real-time order: who had returned before whom was called.

    A crashed transaction may take effect at any time after its call, so nothing
    comes after it.  Returns and calls at one instant are concurrent.
    """
    committed = [each for each in transactions if each.committed]
    returns = sorted(
        (each for each in committed if each.ok),
        key=lambda each: each.operation.returned,
    )
    barrier = -1
    position = 0
    for transaction in sorted(committed, key=lambda each: each.operation.called):
        called = transaction.operation.called
        if position < len(returns) and returns[position].operation.returned < called:
            earlier, barrier = barrier, graph.junction()
            if earlier >= 0:
                graph.link(earlier, barrier, ONWARD)
        while position < len(returns) and returns[position].operation.returned < called:
            graph.link(returns[position].number, barrier, REALTIME)
            position += 1
        if barrier >= 0:
            graph.link(barrier, transaction.number, ONWARD)
