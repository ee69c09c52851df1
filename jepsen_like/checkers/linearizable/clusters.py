"""
Clusters: the write of a value, and all who saw that value.

See `zones` for what they are good for.  A compare-and-set that happened is the
writer of its new value's cluster, which then follows that of the expected one.

The operations are gone through once, and a cluster is made when its value is first
spoken of, be it by who wrote it or by who saw it.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from jepsen_like.checkers.linearizable.contradiction import (
    ContradictionError,
    described,
)
from jepsen_like.history.operation import FOREVER, Operation, Outcome
from jepsen_like.models.model import Action, exact

BEFORE_ALL: Final = -(2**63)
"""When the initial value was written: earlier than anything."""

NOBODY: Final = -1
"""In place of a position: who wrote the initial value; who saw an unseen one."""

_UNWRITTEN: Final = -2
"""In place of a position: who wrote a value that was only seen so far."""

ActionOf: TypeAlias = Callable[[Operation], Action | None]
"""What an operation does, as `Model.action` says."""


class NotUniqueError(Exception):
    """Zones do not apply: a value that somebody observed was written twice."""


class NoRegisterError(Exception):
    """Zones do not apply: not only reads, writes and compare-and-sets."""


class Cluster:
    """
    One value, where it came from and who saw it.

    Attributes:
        writer: Position of the write or compare-and-set; NOBODY for the initial.
        written_from: When that was called.
        written_by: When it returned; FOREVER if it never did.
        seen_by: The earliest return of a read, FOREVER if there is none.
        seen_from: The latest call of a read, BEFORE_ALL if there is none.
        seer: Position of one that saw the value, NOBODY if nobody did.
        written_twice: Whether another cluster is of the same value.
        successor: The cluster that a compare-and-set made of this one.
        follows: Whether it is such a successor itself.
    """

    __slots__ = (
        "follows",
        "seen_by",
        "seen_from",
        "seer",
        "successor",
        "writer",
        "written_by",
        "written_from",
        "written_twice",
    )

    def __init__(self, writer: int, written_from: int, written_by: int) -> None:
        self.writer = writer
        self.written_from = written_from
        self.written_by = written_by
        self.seen_by = FOREVER
        self.seen_from = BEFORE_ALL
        self.seer = NOBODY
        self.written_twice = False
        self.successor: Cluster | None = None
        self.follows = False


class Clusters(NamedTuple):
    """
    All clusters of one part.

    Attributes:
        all: Without those of writers that never returned and that nobody saw.
        of_value: By value; not to be asked for values that were written twice.
        differs: Positions of the comparisons that failed, and what was not there.
    """

    all: list[Cluster]
    of_value: dict[Hashable, Cluster]
    differs: list[tuple[int, Hashable]]

    def with_seers(self, positions: Iterable[int]) -> list[int]:
        """Return *positions* and, if one never returned, who saw what it wrote."""
        unanswered = {
            cluster.writer: cluster.seer
            for cluster in self.all
            if cluster.written_by == FOREVER
        }
        return _with_seers(positions, unanswered)


def _with_seers(positions: Iterable[int], unanswered: Mapping[int, int]) -> list[int]:
    found: list[int] = []
    for start in positions:
        position: int | None = start
        while position is not None and position not in found:
            found.append(position)
            position = unanswered.get(position)
    return found


class _Change(NamedTuple):
    """A compare-and-set, and the cluster that it is the writer of."""

    expected: Hashable
    cluster: Cluster


class _Builder:
    """What is gathered while the operations are gone through."""

    def __init__(self, operations: Sequence[Operation], initial: Hashable) -> None:
        self._operations = operations
        first = Cluster(NOBODY, BEFORE_ALL, BEFORE_ALL)
        self.of_value: dict[Hashable, Cluster] = {initial: first}
        self.differs: list[tuple[int, Hashable]] = []
        # Clusters of values that an earlier cluster is of already.
        self._others: list[Cluster] = []
        self._changes: list[_Change] = []

    def add(self, action_of: ActionOf) -> None:
        """Go through the operations; plain reads and writes need no `action_of`."""
        of_value = self.of_value
        ok = Outcome.OK
        for position, operation in enumerate(self._operations):
            _, f, _, argument, result, called, returned, outcome, _, _, _ = operation
            if f == "write":
                value = argument if argument.__class__ is not bool else exact(argument)
                if value in of_value or outcome is not ok:
                    self._write(value, position)
                else:
                    of_value[value] = Cluster(position, called, returned)
            elif f == "read":
                if outcome is not ok:
                    continue
                value = result if result.__class__ is not bool else exact(result)
                cluster = of_value.get(value)
                if cluster is None:
                    cluster = self._see(value, position)
                cluster.seer = position
                if returned < cluster.seen_by:  # noqa: PLR1730 - twice as fast so
                    cluster.seen_by = returned
                if called > cluster.seen_from:  # noqa: PLR1730 - twice as fast so
                    cluster.seen_from = called
            else:
                self._add_other(position, action_of(operation))

    def _add_other(self, position: int, action: Action | None) -> None:
        if action is None:
            return
        operation = self._operations[position]
        f, argument, result = action
        if f == "put":
            self._write(argument, position)
        elif f == "get" or (f == "cas" and argument == result):
            if operation.outcome is not Outcome.INFO:  # cas (x, x) is a read of x
                value = result if f == "get" else argument
                cluster = self._see(value, position)
                cluster.seen_by = min(cluster.seen_by, operation.returned)
                cluster.seen_from = max(cluster.seen_from, operation.called)
        elif f == "cas":
            change = _Change(argument, self._write(result, position))
            self._changes.append(change)
            if operation.outcome is not Outcome.INFO:
                self._see(argument, position)
        elif f == "differs":
            self.differs.append((position, argument))
        else:
            raise NoRegisterError

    def _write(self, value: Hashable, position: int) -> Cluster:
        """Return a cluster of *value* whose writer is the one at *position*."""
        operation = self._operations[position]
        pending = operation.outcome is Outcome.INFO
        returned = FOREVER if pending else operation.returned
        cluster = self.of_value.get(value)
        if cluster is None:
            cluster = self.of_value[value] = Cluster(
                position, operation.called, returned
            )
        elif cluster.writer == _UNWRITTEN:
            cluster.writer = position
            cluster.written_from = operation.called
            cluster.written_by = returned
        else:
            cluster.written_twice = True
            cluster = Cluster(position, operation.called, returned)
            self._others.append(cluster)
        return cluster

    def _see(self, value: Hashable, position: int) -> Cluster:
        """Return the cluster of *value*, which the one at *position* saw."""
        cluster = self.of_value.get(value)
        if cluster is None:
            cluster = self.of_value[value] = Cluster(_UNWRITTEN, BEFORE_ALL, FOREVER)
        cluster.seer = position
        return cluster

    def happened(self) -> None:
        """
        See what compare-and-sets expected that never returned but happened.

        Raises:
            NotUniqueError: It is not sure which of several writers happened.
        """
        expected_by = {
            change.cluster.writer: change.expected for change in self._changes
        }
        unanswered = [
            change.cluster
            for change in self._changes
            if change.cluster.written_by == FOREVER and change.cluster.seer != NOBODY
        ]
        while unanswered:
            cluster = unanswered.pop()
            if cluster.written_twice:
                raise NotUniqueError
            known = self.of_value.get(expected_by[cluster.writer])
            if known is not None and known.seer != NOBODY:
                continue
            before = self._see(expected_by[cluster.writer], cluster.writer)
            if before.written_by == FOREVER and before.writer in expected_by:
                unanswered.append(before)

    def finished(self) -> Clusters:
        """
        Return the clusters, not joined yet.

        Raises:
            ContradictionError: Somebody saw what nobody wrote.
            NotUniqueError: Or what more than one wrote.
        """
        clusters: list[Cluster] = []
        clusters.extend(self.of_value.values())
        clusters.extend(self._others)
        kept = [
            cluster
            for cluster in clusters
            if cluster.written_by != FOREVER or cluster.seer != NOBODY
        ]
        for cluster in kept:
            if cluster.writer == _UNWRITTEN:
                raise self._unwritten(cluster, clusters)
        for cluster in kept:
            if cluster.written_twice and cluster.seer != NOBODY:
                raise NotUniqueError
        for _, value in self.differs:
            other = self.of_value.get(value)
            if other is not None and other.written_twice:
                raise NotUniqueError
        return Clusters(kept, self.of_value, self.differs)

    def _unwritten(
        self, cluster: Cluster, clusters: Sequence[Cluster]
    ) -> ContradictionError:
        unanswered = {
            other.writer: other.seer
            for other in clusters
            if other.written_by == FOREVER and other.seer != NOBODY
        }
        positions = _with_seers([cluster.seer], unanswered)
        verb = "must have seen" if len(positions) > 1 else "saw"
        return ContradictionError(
            positions,
            f"{described(self._operations[cluster.seer])} {verb} a value that was not "
            "there in the beginning and that nobody wrote.",
        )

    def join(self, clusters: Clusters) -> None:
        """
        Let each compare-and-set that happened join two clusters.

        Raises:
            ContradictionError: Two of them replaced one value.
        """
        for expected, cluster in self._changes:
            if cluster.written_by == FOREVER and cluster.seer == NOBODY:
                continue
            before = self.of_value[expected]
            if before.successor is not None:
                raise self._replaced_twice(clusters, before, cluster)
            before.successor = cluster
            cluster.follows = True

    def _replaced_twice(
        self, clusters: Clusters, before: Cluster, cluster: Cluster
    ) -> ContradictionError:
        assert before.successor is not None, "the first that replaced it"
        first, second = before.successor.writer, cluster.writer
        writers = [] if before.writer == NOBODY else [before.writer]
        return ContradictionError(
            clusters.with_seers([*writers, first, second]),
            f"{described(self._operations[first])} and "
            f"{described(self._operations[second])} both replaced the same value, "
            "which was there only once.",
        )


def clusters_of(
    operations: Sequence[Operation], action_of: ActionOf, initial: Hashable
) -> Clusters:
    """
    Return the clusters of the operations of one register.

    Args:
        operations: In order of their calls; none failed.
        action_of: What each of them does.
        initial: What the register holds in the beginning.

    Raises:
        ContradictionError: They cannot be, already without regard to time.
        NotUniqueError: A value that somebody observed was written twice.
        NoRegisterError: There are other operations than those of a register.
    """
    builder = _Builder(operations, initial)
    builder.add(action_of)
    builder.happened()
    clusters = builder.finished()
    builder.join(clusters)
    return clusters
