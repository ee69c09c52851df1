"""
Counters: a sum that is added to and read.

    add n           n may be negative; what it answers is not looked at
    read            -> the sum
"""

from collections.abc import Iterable, Iterator, Sequence

from jepsen_like.history.operation import Operation, Outcome, Value
from jepsen_like.models.model import (
    ILLEGAL,
    Action,
    Kind,
    Machine,
    ModelError,
    Part,
    State,
    not_of_model,
    observers,
    parts_by_key,
)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


class CounterMachine:
    """One counter; the state is its sum."""

    def __init__(self, initial: int, actions: Sequence[Action]) -> None:
        self.initial: State = initial
        self._read = any(action.f == "read" for action in actions)

    def step(self, state: State, action: Action) -> State:
        """Return the new sum, or ILLEGAL."""
        assert isinstance(state, int), "the state of a counter is a number"
        if action.f == "read":
            return state if state == action.result else ILLEGAL
        assert isinstance(action.argument, int), "what is added is a number"
        # A sum that is never read need not be known.
        return state + action.argument if self._read else state

    def kind(self, action: Action) -> Kind:
        """Reads observe, additions are always possible."""
        return Kind.OBSERVES if action.f == "read" else Kind.UPDATES

    def separable(self, actions: Sequence[Action]) -> Iterator[Sequence[int]]:
        """Yield the reads, and additions of nothing."""
        yield from observers(self, actions)
        for position, action in enumerate(actions):
            if action.f == "add" and action.argument == 0:
                yield (position,)


class CounterModel:
    """A counter for each key."""

    name = "counter"

    def action(self, operation: Operation) -> Action | None:
        """
        Return what *operation* does to its counter.

        Raises:
            ModelError: It is neither add nor read, or of something not an integer.
        """
        if operation.f == "add" and _is_integer(operation.argument):
            return Action("add", operation.argument)
        if operation.f == "read":
            if operation.outcome is Outcome.INFO:
                return None
            if _is_integer(operation.result):
                return Action("read", None, operation.result)
        raise not_of_model(operation, self.name, "add integer, read -> integer")

    def parts(self, operations: Iterable[Operation]) -> list[Part]:
        """Return a part for each key."""
        return parts_by_key(operations)

    def machine(self, initial: Value, actions: Sequence[Action]) -> Machine:
        """
        Return a counter at *initial*, or 0.

        Raises:
            ModelError: *initial* is not an integer.
        """
        if initial is None:
            return CounterMachine(0, actions)
        if not isinstance(initial, int) or isinstance(initial, bool):
            msg = f"a counter begins with an integer: {initial!r}"
            raise ModelError(msg)
        return CounterMachine(initial, actions)
