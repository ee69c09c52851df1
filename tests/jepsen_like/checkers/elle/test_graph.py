"""Dependency graphs: against the naive definitions of what they compress."""

from itertools import pairwise, product
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from jepsen_like.checkers.elle.graph import (
    KIND_BITS,
    ONWARD,
    RW,
    WW,
    Graph,
    link_realtime,
)
from jepsen_like.checkers.elle.transactions import Transaction
from jepsen_like.history.operation import FOREVER, Operation, Outcome
from tests.jepsen_like.checkers.elle.histories import EXAMPLES


def _reached(graph: Graph, start: int) -> set[int]:
    """All that *start* leads to."""
    seen: set[int] = set()
    todo = [start]
    while todo:
        for edge in graph.edges[todo.pop()]:
            target = edge >> KIND_BITS
            if target not in seen:
                seen.add(target)
                todo.append(target)
    return seen


def _random_graph(rng: Random) -> Graph:
    size = rng.randint(1, 9)
    graph = Graph(size)
    for _ in range(rng.randint(0, 2 * size)):
        graph.link(rng.randrange(size), rng.randrange(size), WW)
    return graph


def test_components_are_the_nodes_that_reach_each_other() -> None:
    """Tarjan's algorithm agrees with reachability."""
    for seed in range(1000 * EXAMPLES):
        graph = _random_graph(Random(seed))
        reached = [_reached(graph, node) for node in range(len(graph.edges))]
        expected = {
            frozenset(
                b for b in range(len(reached)) if a in reached[b] and b in reached[a]
            )
            for a in range(len(reached))
            if a in reached[a]
        }
        found = graph.components(WW, range(len(graph.edges)))
        assert {frozenset(component) for component in found} == expected, seed


def test_components_of_other_kinds_are_not_seen() -> None:
    """A mask takes edges away."""
    graph = Graph(2)
    graph.link(0, 1, WW)
    graph.link(1, 0, RW)

    assert graph.components(WW, range(2)) == []
    assert [sorted(each) for each in graph.components(WW | RW, range(2))] == [[0, 1]]


def test_path_is_as_short_as_any() -> None:
    """Breadth-first search agrees with relaxing all edges until nothing changes."""
    for seed in range(600 * EXAMPLES):
        rng = Random(seed)
        graph = _random_graph(rng)
        size = len(graph.edges)
        start, goal = rng.randrange(size), rng.randrange(size)
        distance = {start: 0}
        for _ in range(size):
            for node, out in enumerate(graph.edges):
                for edge in out:
                    target = edge >> KIND_BITS
                    if node in distance:
                        through = distance[node] + 1
                        distance[target] = min(distance.get(target, through), through)
        path, _ = graph.path(start, goal, WW)
        assert (None if path is None else len(path)) == distance.get(goal), seed


@given(
    sources=st.lists(st.integers(0, 11), unique=True),
    targets=st.lists(st.integers(0, 11), unique=True),
)
def test_link_all_relates_each_source_to_each_target_but_itself(
    sources: list[int], targets: list[int]
) -> None:
    """Junctions stand for exactly the pairs, and for no detour through others."""
    graph = Graph(12)

    graph.link_all(sources, targets, RW)

    for source, target in product(range(12), repeat=2):
        related = source in sources and target in targets and source != target
        path = _direct(graph, source)
        assert (target in path) == related


def _direct(graph: Graph, source: int) -> set[int]:
    """Transactions that *source* leads to by one edge, junctions being passed."""
    found: set[int] = set()
    todo = [edge >> KIND_BITS for edge in graph.edges[source]]
    while todo:
        node = todo.pop()
        if node < graph.transaction_count:
            found.add(node)
            continue
        for edge in graph.edges[node]:
            assert edge & ONWARD
            todo.append(edge >> KIND_BITS)
    return found


def test_link_all_takes_edges_in_proportion_to_the_nodes() -> None:
    """A thousand readers before a thousand writers are not a million edges."""
    graph = Graph(2000)

    graph.link_all(list(range(1500)), list(range(500, 2000)), RW)

    assert sum(map(len, graph.edges)) < 20_000


@given(
    spans=st.lists(
        st.tuples(st.integers(0, 12), st.integers(1, 6), st.booleans()), max_size=9
    )
)
def test_realtime_edges_relate_what_returned_before_what_was_called(
    spans: list[tuple[int, int, bool]],
) -> None:
    """The chain of barriers stands for the whole interval order and no more."""
    transactions = [
        Transaction(
            number,
            Operation(
                process=number,
                f="txn",
                key=None,
                argument=(),
                result=None,
                called=called,
                returned=called + length if answered else FOREVER,
                outcome=Outcome.OK if answered else Outcome.INFO,
            ),
            (),
            committed=True,
        )
        for number, (called, length, answered) in enumerate(spans)
    ]
    graph = Graph(len(spans))

    link_realtime(graph, transactions)

    for before, after in product(transactions, repeat=2):
        earlier = before.operation.returned < after.operation.called
        assert (after.number in _direct(graph, before.number)) == earlier


def test_chain_of_a_hundred_thousand_does_not_recurse() -> None:
    """Depth is bounded by memory, not by the interpreter's stack."""
    graph = Graph(100_000)
    for node, after in pairwise(range(100_000)):
        graph.link(node, after, WW)
    graph.link(99_999, 0, WW)

    components = graph.components(WW, range(100_000))

    assert [len(component) for component in components] == [100_000]
