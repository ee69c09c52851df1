"""A history: all operations of a run in order of their calls, and its faults."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from jepsen_like.history.operation import Key, Operation, Value
from jepsen_like.verdict import Judgement


@dataclass(frozen=True, slots=True)
class Header:
    """
    What a history is of.

    Attributes:
        workload: By whose operations it was made; empty if read from elsewhere.
        model: What the operations mean, by a name of `jepsen_like.models`, or a
            family of checkers; empty if not said.
        system: What was tested, for people.
        seed: What everything was drawn from; None if nothing says.
        nodes: Names of the nodes.
        timed: Times are nanoseconds, not positions in a log.
        initial: What each key holds before anything is written.
    """

    workload: str = ""
    model: str = ""
    system: str = ""
    seed: int | None = None
    nodes: tuple[str, ...] = ()
    timed: bool = True
    initial: Value = None


@dataclass(frozen=True, slots=True)
class FaultSpan:
    """
    A fault while it lasted, in the time of the history.

    Attributes:
        kind: Such as `partition`, `kill`, `pause`, `clock jump`.
        began: When it was there.
        ended: When it was gone; equal to `began` for what has no length.
        nodes: Whom it met.
        detail: The rest, for people.
    """

    kind: str
    began: int
    ended: int
    nodes: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """
    What clients saw, and what met the system meanwhile.

    Attributes:
        operations: In order of their calls.
        faults: While they lasted.
        header: What it is of.
        run: What whoever ran it found of the run itself, such as faults that never
            came to be: operations do not tell that.  None if nobody said.
    """

    operations: tuple[Operation, ...]
    faults: tuple[FaultSpan, ...] = ()
    header: Header = field(default_factory=Header)
    run: Judgement | None = None

    @classmethod
    def of(
        cls,
        operations: Iterable[Operation],
        faults: Iterable[FaultSpan] = (),
        header: Header | None = None,
    ) -> "History":
        """Return a history of *operations* given in any order."""
        ordered = sorted(operations, key=lambda operation: operation.called)
        return cls(tuple(ordered), tuple(faults), header or Header())

    def by_key(self) -> dict[Key, list[Operation]]:
        """Return the operations of each key, in order of their calls."""
        parts: dict[Key, list[Operation]] = {}
        for operation in self.operations:
            parts.setdefault(operation.key, []).append(operation)
        return parts
