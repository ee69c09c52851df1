"""
The commit order: session order, wr, and what a level infers from them.

A history satisfies a level if all transactions can be put in one order that extends
session order and wr and in which, for every read, those transactions that write the
key and that the level says the reader had seen come before the one that it read.
These demands are edges; such an order exists if and only if they form no cycle.

A cycle is what contradicts the level, and people want a short one.  Session order is
transitive, so following it any number of steps counts as one: the search is
breadth-first over (transaction, came along its session), where the second step along
a session is free.  Whoever infers an edge that comes before the initial transaction
need not search: nothing does.

References:
    Biswas & Enea, 2019.  On the complexity of checking transactional consistency.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple, TypeAlias

from jepsen_like.checkers.isolation.components import strong_components
from jepsen_like.checkers.isolation.transactions import (
    INITIAL,
    Read,
    Transactions,
)

SEARCH_STEPS_MAX = 1_000_000
"""Transactions visited in search of a shorter cycle; about a second."""

CYCLES_MAX = 6
"""Cycles of the shortest length that are returned, for the plainest to be chosen."""

_State: TypeAlias = tuple[int, bool]
"""A transaction, and whether the way to it ended along its session."""


class Relation(Enum):
    """Why a transaction commits before another."""

    SESSION = "session order"
    READ = "read from"
    INFERRED = "inferred"


class Step(NamedTuple):
    """
    One reason for an order of two transactions.

    Attributes:
        before: Which commits first.
        after: Which commits later; may be INITIAL.
        relation: Why.
    """

    before: int
    after: int
    relation: Relation


class CommitOrder:
    """
    Demands on the order in which transactions commit.

    Attributes:
        transactions: Which.
        readers: Who infers what: a pair (before, after), as one number made by
            `pair`, to the transaction that read from *after* although it had seen
            *before*.
    """

    def __init__(self, transactions: Transactions) -> None:
        self.transactions = transactions
        self.readers: dict[int, int] = {}
        self._width = len(transactions) + 1
        self._happened: _Graph | None = None

    def pair(self, before: int, after: int) -> int:
        """Return the number that stands for an inferred edge."""
        return (before + 1) * self._width + after + 1

    def unpair(self, pair: int) -> tuple[int, int]:
        """Return the edge that the number *pair* stands for."""
        before, after = divmod(pair, self._width)
        return before - 1, after - 1

    def reader(self, step: Step) -> int:
        """Return from whose read an inferred *step* follows."""
        return self.readers[self.pair(step.before, step.after)]

    def decisive_read(self, step: Step) -> Read:
        """Return the read from which an inferred *step* follows."""
        written = self.transactions.writes[step.before]
        return next(
            read
            for read in self.transactions.reads[self.reader(step)]
            if read.source == step.after and read.key in written
        )

    def before_initial(self) -> Iterator[Step]:
        """Yield the demands to commit before the initial transaction."""
        for pair in self.readers:
            before, after = self.unpair(pair)
            if after == INITIAL:
                yield Step(before, INITIAL, Relation.INFERRED)

    def cycles(self) -> list[list[Step]]:
        """Return cycles of the shortest length that was found, if there are any."""
        graph = _Graph(self)
        search = _CycleSearch(graph)
        for component in sorted(graph.components(), key=len):
            search.look_in(component)
        return search.found

    def path(self, start: int, goal: int) -> list[Step]:
        """
        Return a shortest chain of session order and reads from *start* to *goal*.

        Empty if there is none.
        """
        if self._happened is None:
            self._happened = _Graph(self, inferred=False)
        return _CycleSearch(self._happened).path(start, goal, len(self._happened))


class _Graph:
    """Edges by their start: `links` for wr and inferred, sessions by themselves."""

    def __init__(self, order: CommitOrder, *, inferred: bool = True) -> None:
        transactions = order.transactions
        self.followers = transactions.followers
        self.links: list[list[tuple[int, Relation]]] = [[] for _ in self.followers]
        for number in range(len(transactions)):
            for source in transactions.sources(number):
                self.links[source].append((number, Relation.READ))
        if inferred:
            for pair in order.readers:
                before, after = order.unpair(pair)
                if after != INITIAL:
                    self.links[before].append((after, Relation.INFERRED))

    def __len__(self) -> int:
        return len(self.links)

    def _left_over(self) -> list[int]:
        """Return what is on a cycle or behind one; Kahn's algorithm leaves it."""
        degree = [0] * len(self)
        for followers in self.followers:
            for after in followers:
                degree[after] += 1
        for links in self.links:
            for after, _ in links:
                degree[after] += 1
        ready = [number for number, count in enumerate(degree) if not count]
        while ready:
            number = ready.pop()
            for after in self.followers[number]:
                degree[after] -= 1
                if not degree[after]:
                    ready.append(after)
            for after, _ in self.links[number]:
                degree[after] -= 1
                if not degree[after]:
                    ready.append(after)
        return [number for number, count in enumerate(degree) if count]

    def components(self) -> list[list[int]]:
        """Return the strongly connected components that hold cycles."""
        return strong_components(self._left_over(), self._after)

    def _after(self, number: int) -> Iterator[int]:
        yield from self.followers[number]
        for after, _ in self.links[number]:
            yield after


class _CycleSearch:
    """
    Breadth-first searches for ever shorter cycles.

    Attributes:
        found: Cycles, all of the shortest length so far.
    """

    def __init__(self, graph: _Graph) -> None:
        self.found: list[list[Step]] = []
        self._graph = graph
        self._left = SEARCH_STEPS_MAX

    def look_in(self, component: Sequence[int]) -> None:
        """
        Look for cycles within *component* that are no longer than those found.

        Every cycle has an edge that is not of session order, so those are where
        searches start.  At least one is made to its end, however long it takes.
        """
        inside = set(component)
        for before in component:
            for after, relation in self._graph.links[before]:
                if after not in inside:
                    continue
                if self.found and (self._left <= 0 or self._enough()):
                    return
                limit = len(self.found[0]) - 1 if self.found else len(self._graph)
                if back := self.path(after, before, limit, inside):
                    self._add([Step(before, after, relation), *back])

    def _enough(self) -> bool:
        # No cycle has fewer transactions than two.
        return len(self.found) >= CYCLES_MAX and len(self.found[0]) <= 2  # noqa: PLR2004 - said above

    def _add(self, cycle: list[Step]) -> None:
        if self.found and len(cycle) < len(self.found[0]):
            self.found.clear()
        if len(self.found) < CYCLES_MAX:
            self.found.append(cycle)

    def path(
        self, start: int, goal: int, limit: int, inside: set[int] | None = None
    ) -> list[Step]:
        """Return a shortest path of *limit* steps at most; empty if there is none."""
        origin = (start, False)
        came: dict[_State, tuple[_State, Relation]] = {}
        reached = {origin: 0}
        queue = deque([origin])
        while queue:
            state = queue.popleft()
            if state[0] == goal:
                return self._steps(came, origin, state)
            self._left -= 1
            spent = reached[state]
            for following, cost, relation in self._onward(state):
                total = spent + cost
                if inside is not None and following[0] not in inside:
                    continue
                if total >= reached.get(following, limit + 1):
                    continue
                reached[following] = total
                came[following] = (state, relation)
                if cost:
                    queue.append(following)
                else:
                    queue.appendleft(following)
        return []

    def _onward(self, state: _State) -> Iterator[tuple[_State, int, Relation]]:
        """Yield where one step leads, and what it costs."""
        number, along = state
        for after in self._graph.followers[number]:
            yield (after, True), 0 if along else 1, Relation.SESSION
        for after, relation in self._graph.links[number]:
            yield (after, False), 1, relation

    @staticmethod
    def _steps(
        came: dict[_State, tuple[_State, Relation]], origin: _State, state: _State
    ) -> list[Step]:
        """Return the way to *state*, with runs along a session as one step."""
        steps: list[Step] = []
        while state != origin:
            previous, relation = came[state]
            if steps and relation is steps[-1].relation is Relation.SESSION:
                steps[-1] = steps[-1]._replace(before=previous[0])
            else:
                steps.append(Step(previous[0], state[0], relation))
            state = previous
        return steps[::-1]
