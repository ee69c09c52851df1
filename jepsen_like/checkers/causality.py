"""
What certainly came before what, as far as one can tell from outside.

An edge a -> b means: b was done by someone, or at a place, that knew a.  So if
both wrote the same key, last-writer-wins must prefer b, whatever the clocks say
(rule R1).  There are three kinds of edges.

    session    b follows a, which was acknowledged, in one process
    reads from b has read what a wrote
    place      b was asked of the node that had acknowledged a before, both of
               the same key, and the node has not lost its store in between

An edge of place carries knowledge of its key alone: a node that has seen two
writes does not make one depend on the other.  So the order is asked for by key.
What has no path is taken as concurrent.  A
store without sessions has no edges of the first kind, one that forgets or goes
by clocks alone none of the last.

References:
    Lamport, 1978.  Time, clocks, and the ordering of events.
    Ahamad, Neiger, Burns, Kohli & Hutto, 1995.  Causal memory: definitions,
        implementation, and programming.
"""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

from jepsen_like.checkers.access import (
    Access,
    is_final,
    reads_of,
    writes_of,
)
from jepsen_like.checkers.losses import Losses
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome, Value


class Causality:
    """
    The order of the operations of a history that are not final questions.

    Operations are named by their positions in `operations`.  Building it costs
    O(n log n), asking what came after one as much as there is.
    """

    def __init__(
        self, history: History, *, sessions: bool = True, places: bool = True
    ) -> None:
        self.operations: tuple[Operation, ...] = tuple(
            operation for operation in history.operations if not is_final(operation)
        )
        self._losses = Losses(history)
        self._by_version: dict[tuple[Key, str], int] = {}
        self._by_value: dict[tuple[Key, Value], list[int]] = {}
        self._successors: list[list[int]] = [[] for _ in self.operations]
        self._places: dict[Key, dict[int, list[int]]] = {}
        self._vertices = len(self.operations)
        self._note_writes()
        self._link_reads()
        if sessions:
            self._link_sessions()
        if places:
            self._link_places()

    def source(self, access: Access) -> int | None:
        """Return which operation wrote what was read; None if that is not certain."""
        if access.version:
            by_version = self._by_version.get((access.key, access.version))
            if by_version is not None:
                return by_version
        writers = self.writers(access)
        return writers[0] if len(writers) == 1 else None

    def writers(self, access: Access) -> list[int]:
        """Return which operations wrote, or may have written, that value there."""
        return self._by_value.get((access.key, access.value), [])

    def after(
        self, start: int, key: Key
    ) -> Iterator[tuple[int, Callable[[], tuple[Operation, ...]]]]:
        """
        Yield each operation that knew what *start* did to *key*, nearest first.

        Each comes with a function that returns the operations which lead to it,
        both ends included.
        """
        places = self._places.get(key, {})
        parents = {start: start}
        waiting = deque([start])
        count = len(self.operations)
        while waiting:
            vertex = waiting.popleft()
            known = self._successors[vertex] if vertex < count else ()
            for successor in (*known, *places.get(vertex, ())):
                if successor in parents:
                    continue
                parents[successor] = vertex
                waiting.append(successor)
                if successor < count:
                    yield successor, partial(self._path, parents, successor)

    def may_be_lost(self, index: int) -> bool:
        """
        Tell whether a node that lost its store may have taken that write along.

        It may unless somebody found it at a node that has lost nothing since.
        """
        if not self._losses.may_have_taken(self.operations[index]):
            return False
        return all(
            self._losses.may_have_taken(self.operations[reader])
            for reader in self._successors[index]
            if self._reads_from(reader, index)
        )

    def _reads_from(self, reader: int, writer: int) -> bool:
        return any(
            self.source(access) == writer
            for access in reads_of(self.operations[reader])
        )

    def _path(self, parents: dict[int, int], goal: int) -> tuple[Operation, ...]:
        path = [goal]
        while parents[path[-1]] != path[-1]:
            path.append(parents[path[-1]])
        count = len(self.operations)
        return tuple(self.operations[v] for v in reversed(path) if v < count)

    def _note_writes(self) -> None:
        for index, operation in enumerate(self.operations):
            if operation.outcome is Outcome.FAIL:
                continue
            for access in writes_of(operation):
                self._by_value.setdefault(access[:2], []).append(index)
                if access.version:
                    self._by_version[access.key, access.version] = index

    def _link_reads(self) -> None:
        for index, operation in enumerate(self.operations):
            for access in reads_of(operation):
                if access.value is None and not access.version:
                    continue  # nothing was there: not yet, or not any more
                writer = self.source(access)
                if writer is not None and writer != index:
                    self._successors[writer].append(index)

    def _link_sessions(self) -> None:
        last: dict[int, int] = {}
        for index, operation in enumerate(self.operations):
            if operation.outcome is Outcome.FAIL:
                continue
            previous = last.get(operation.process)
            if previous is not None:
                self._successors[previous].append(index)
            if operation.outcome is Outcome.OK:
                last[operation.process] = index

    def _link_places(self) -> None:
        groups: dict[tuple[str, Key, int], list[int]] = {}
        for index, operation in enumerate(self.operations):
            epoch = self._losses.epoch(operation)
            failed = operation.outcome is Outcome.FAIL
            if failed or epoch is None or not operation.node:
                continue
            keys = {access.key: None for access in writes_of(operation)}
            keys.update({access.key: None for access in reads_of(operation)})
            for key in keys:
                groups.setdefault((operation.node, key, epoch), []).append(index)
        for (_, key, _), group in groups.items():
            self._link_place(self._places.setdefault(key, {}), group)

    def _link_place(self, edges: dict[int, list[int]], group: list[int]) -> None:
        """
        Link all that had returned to all that was called later, by a chain.

        The chain has one more vertex after each return, so there are O(n) edges
        instead of one for each pair.
        """
        events = [(self.operations[index].called, 0, index) for index in group]
        events += [
            (self.operations[index].returned, 1, index)
            for index in group
            if self.operations[index].outcome is Outcome.OK
        ]
        chain: int | None = None
        for _, is_return, index in sorted(events):
            if not is_return:
                if chain is not None:
                    edges.setdefault(chain, []).append(index)
                continue
            edges.setdefault(index, []).append(self._vertices)
            if chain is not None:
                edges.setdefault(chain, []).append(self._vertices)
            chain = self._vertices
            self._vertices += 1
