"""
What clients asked of registers and were told, and whether one register can do so.

Every value that anybody asks for is wanted once, in place of one other; so all of them
are a tree, and those that were ever held are one path in it, whose depth is the epoch.
A register is linearizable if nobody saw anything beside the path, and who began after
another had ended saw no less.

References:
    Herlihy & Wing, 1990.  Linearizability: a correctness condition for concurrent
        objects.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from kvnode.core.objects.configuration import Configuration

Value = Configuration | None


class End(Enum):
    """How an operation ended."""

    SEEN = "told what is held"
    FAILED = "told that nothing has happened"
    UNKNOWN = "told nothing, or that it may have happened"


@dataclass(slots=True)
class Operation:
    """One read, or one swap if *desired* is there; times are numbers of events."""

    began: int
    expected: Value = None
    desired: Configuration | None = None
    end: End = End.UNKNOWN
    seen: Value = None
    ended: int = 0


@dataclass(slots=True)
class History:
    """All operations on one register."""

    operations: list[Operation] = field(default_factory=list)
    _events: int = 0

    def begin(
        self, expected: Value = None, desired: Configuration | None = None
    ) -> Operation:
        """Note that an operation begins."""
        self._events += 1
        operation = Operation(self._events, expected, desired)
        self.operations.append(operation)
        return operation

    def end(self, operation: Operation, end: End, seen: Value = None) -> None:
        """Note how it has ended."""
        self._events += 1
        operation.end, operation.seen, operation.ended = end, seen, self._events

    def violations(self) -> Iterator[str]:
        """Yield everything that one register cannot have done."""
        origin = {
            each.desired: each.expected
            for each in self.operations
            if each.desired is not None
        }
        path: dict[int, Configuration] = {}
        for each in self.operations:
            value = each.seen if each.end is End.SEEN else None
            while value is not None:
                if path.setdefault(value.epoch, value) != value:
                    yield f"epoch {value.epoch}: {path[value.epoch]} and {value}"
                if value not in origin:
                    yield f"{value} was never asked for"
                    break
                value = origin[value]
        held = set(path.values())
        for each in self.operations:
            yield from self._violations_of(each, held)

    def _violations_of(
        self, operation: Operation, held: set[Configuration]
    ) -> Iterator[str]:
        desired = operation.desired
        if operation.end is End.FAILED and desired in held:
            yield f"{desired} had not happened, and has"
        if operation.end is not End.SEEN:
            return
        before = max(
            (
                _epoch(each.seen)
                for each in self.operations
                if each.end is End.SEEN and each.ended < operation.began
            ),
            default=0,
        )
        if _epoch(operation.seen) < before:
            yield f"{operation.seen} was seen after epoch {before}"
        if desired is None:
            return
        if operation.seen == operation.expected:
            yield f"{desired} was not made in place of what was expected"
        if operation.seen == desired and before >= desired.epoch:
            yield f"{desired} was made after epoch {before}"


def _epoch(value: Value) -> int:
    return 0 if value is None else value.epoch
