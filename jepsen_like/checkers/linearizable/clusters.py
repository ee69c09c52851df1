"""
Clusters: the write of a value, and all who saw that value.

See `zones` for what they are good for.  A compare-and-set that happened is the
writer of its new value's cluster, which then follows that of the expected one.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from jepsen_like.checkers.linearizable.contradiction import (
    ContradictionError,
    described,
)
from jepsen_like.history.operation import FOREVER, Operation, Outcome
from jepsen_like.models.model import Action

BEFORE_ALL: Final = -(2**63)
"""When the initial value was written: earlier than anything."""

NOBODY: Final = -1
"""In place of a position: the writer of the initial value."""

_WRITES: Final = frozenset({"write", "put"})
_READS: Final = frozenset({"read", "get"})


class NotUniqueError(Exception):
    """Zones do not apply: a value that somebody observed was written twice."""


class Cluster:
    """
    One value, where it came from and who saw it.

    Attributes:
        writer: Position of the write or compare-and-set; NOBODY for the initial.
        written_from: When that was called.
        written_by: When it returned; FOREVER if it never did.
        seen_by: The earliest return of a read, FOREVER if there is none.
        seen_from: The latest call of a read, BEFORE_ALL if there is none.
        successor: The cluster that a compare-and-set made of this one.
        follows: Whether it is such a successor itself.
    """

    __slots__ = (
        "follows",
        "seen_by",
        "seen_from",
        "successor",
        "writer",
        "written_by",
        "written_from",
    )

    def __init__(self, writer: int, written_from: int, written_by: int) -> None:
        self.writer = writer
        self.written_from = written_from
        self.written_by = written_by
        self.seen_by = FOREVER
        self.seen_from = BEFORE_ALL
        self.successor: Cluster | None = None
        self.follows = False


class Clusters(NamedTuple):
    """
    All clusters of one part.

    Attributes:
        all: In order of the calls of their writers, the initial one first; those
            of writers that never returned come last, and only if somebody saw them.
        of_value: By value; not to be asked for values that were written twice.
        differs: Positions of the comparisons that failed.
        seen_by: For the position of each writer that never returned but must have
            happened: of one that saw what it wrote.
    """

    all: list[Cluster]
    of_value: dict[Hashable, Cluster]
    differs: list[int]
    seen_by: dict[int, int]


class _Builder:
    """What is gathered while the operations are gone through."""

    def __init__(
        self, operations: Sequence[Operation], actions: Sequence[Action]
    ) -> None:
        self._operations = operations
        self._actions = actions
        self.all: list[Cluster] = []
        self.of_value: dict[Hashable, Cluster] = {}
        self.differs: list[int] = []
        # Values written twice, and clusters of writers that may have happened.
        self._twice: set[Hashable] = set()
        self._maybe: dict[Hashable, Cluster] = {}
        self._changed: list[Cluster] = []
        self.seen_by: dict[int, int] = {}

    def add_writes(self, initial: Hashable) -> None:
        """Make a cluster for each write; those never answered wait for a reader."""
        of_value, maybe = self.of_value, self._maybe
        of_value[initial] = Cluster(NOBODY, BEFORE_ALL, BEFORE_ALL)
        self.all.append(of_value[initial])
        for position, (f, argument, result) in enumerate(self._actions):
            if f in _WRITES:
                value = argument
            elif f == "cas" and argument != result:
                value = result
            else:
                continue
            operation = self._operations[position]
            if value in of_value or value in maybe:
                self._twice.add(value)
            if operation.outcome is Outcome.INFO:
                maybe[value] = Cluster(position, operation.called, FOREVER)
                continue
            cluster = Cluster(position, operation.called, operation.returned)
            of_value[value] = cluster
            self.all.append(cluster)
            if f == "cas":
                self._changed.append(cluster)

    def add_reads(self) -> None:
        """
        Let each cluster know who saw it.

        Raises:
            ContradictionError: Somebody saw what nobody wrote.
            NotUniqueError: Or what more than one wrote.
        """
        of_value, twice = self.of_value, self._twice
        for position, (f, argument, result) in enumerate(self._actions):
            operation = self._operations[position]
            if f in _READS:
                value = result
            elif f == "differs":
                if argument in twice:
                    raise NotUniqueError
                self.differs.append(position)
                continue
            elif argument == result and operation.outcome is not Outcome.INFO:
                value = argument  # cas (x, x) is a read of x
            else:
                continue
            cluster = of_value.get(value)
            if cluster is None or twice:
                cluster = self._observed(value, position)
            cluster.seen_by = min(cluster.seen_by, operation.returned)
            cluster.seen_from = max(cluster.seen_from, operation.called)

    def _observed(self, value: Hashable, position: int) -> Cluster:
        """
        Return the cluster of a *value* that the operation at *position* saw.

        If its writer never returned, it has happened nevertheless.
        """
        if value in self._twice:
            raise NotUniqueError
        cluster = self.of_value.get(value)
        if cluster is None:
            cluster = self._maybe.pop(value, None)
            if cluster is None:
                raise self._unwritten(position)
            self.of_value[value] = cluster
            self.all.append(cluster)
            self.seen_by[cluster.writer] = position
            if self._actions[cluster.writer].f == "cas":
                self._changed.append(cluster)
        return cluster

    def _unwritten(self, position: int) -> ContradictionError:
        positions = with_seers([position], self.seen_by)
        operation = described(self._operations[position])
        verb = "must have seen" if len(positions) > 1 else "saw"
        return ContradictionError(
            positions,
            f"{operation} {verb} a value that was not there in the beginning and that "
            "nobody wrote.",
        )

    def join(self) -> None:
        """
        Let each compare-and-set that happened join two clusters.

        Raises:
            ContradictionError: Two of them expected one value, or a value that
                nobody wrote.
            NotUniqueError: One expected what more than one wrote.
        """
        for cluster in self._changed:  # grows while we go through it
            expected = self._actions[cluster.writer].argument
            before = self._observed(expected, cluster.writer)
            if before.successor is not None:
                first, second = before.successor.writer, cluster.writer
                writers = [] if before.writer == NOBODY else [before.writer]
                raise ContradictionError(
                    with_seers([*writers, first, second], self.seen_by),
                    f"{described(self._operations[first])} and "
                    f"{described(self._operations[second])} both replaced the same "
                    "value, which was there only once.",
                )
            before.successor = cluster
            cluster.follows = True


def clusters_of(
    operations: Sequence[Operation], actions: Sequence[Action], initial: Hashable
) -> Clusters:
    """
    Return the clusters of the operations of one register.

    Args:
        operations: In order of their calls; none failed.
        actions: What each of them does.
        initial: What the register holds in the beginning.

    Raises:
        ContradictionError: They cannot be, already without regard to time.
        NotUniqueError: A value that somebody observed was written twice.
    """
    builder = _Builder(operations, actions)
    builder.add_writes(initial)
    builder.add_reads()
    builder.join()
    return Clusters(builder.all, builder.of_value, builder.differs, builder.seen_by)


def with_seers(positions: Iterable[int], seen_by: Mapping[int, int]) -> list[int]:
    """Return *positions* and, of each that never returned, who saw that it happened."""
    found: list[int] = []
    for start in positions:
        position: int | None = start
        while position is not None and position not in found:
            found.append(position)
            position = seen_by.get(position)
    return found
