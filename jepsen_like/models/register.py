"""
Registers: one value, read and written, and changed by compare-and-set.

    read            -> the value
    write v
    cas (e, n)      -> true (or nothing): it was e and is now n
                    -> false: it was not e; that is an observation like a read

Values that nobody read and that no compare-and-set expected cannot be told apart:
they are folded into one.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from jepsen_like.history.operation import Operation, Outcome, Value
from jepsen_like.models.model import (
    ILLEGAL,
    UNSEEN,
    Action,
    Kind,
    Machine,
    Part,
    State,
    exact,
    not_of_model,
    observers,
    parts_by_key,
)

PAIR_LENGTH: Final = 2
"""The argument of `cas` is (expected, new)."""


class RegisterMachine:
    """A register of which only some values are ever observed."""

    def __init__(self, initial: Value, actions: Sequence[Action]) -> None:
        self._seen = _observed(actions)
        self.initial: State = self._folded(exact(initial))

    def _folded(self, value: State) -> State:
        return value if value in self._seen else UNSEEN

    def step(self, state: State, action: Action) -> State:
        """Return the next value, or ILLEGAL."""
        match action.f:
            case "write":
                return self._folded(action.argument)
            case "read":
                return state if state == action.result else ILLEGAL
            case "differs":
                return state if state != action.argument else ILLEGAL
            case _:
                if state != action.argument:
                    return ILLEGAL
                return self._folded(action.result)

    def kind(self, action: Action) -> Kind:
        """Reads and failed comparisons observe, writes erase."""
        if action.f == "write":
            return Kind.ERASES
        return Kind.DEPENDS if action.f == "cas" else Kind.OBSERVES

    def separable(self, actions: Sequence[Action]) -> Iterator[Sequence[int]]:
        """
        Yield observations, and writes of values that nobody observes.

        A failed comparison may hold only because of such a write, so where there
        are any, writes stay.
        """
        yield from observers(self, actions)
        if any(action.f == "differs" for action in actions):
            return
        seen = _observed(actions)
        for position, action in enumerate(actions):
            if action.f == "write" and action.argument not in seen:
                yield (position,)


def _observed(actions: Sequence[Action]) -> frozenset[State]:
    """Return the values by which an action of *actions* can be told from others."""
    return frozenset(
        action.result if action.f == "read" else action.argument
        for action in actions
        if action.f != "write"
    )


class RegisterModel:
    """A register for each key; with or without compare-and-set."""

    def __init__(self, name: str, *, with_cas: bool) -> None:
        self.name = name
        self._with_cas = with_cas

    def action(self, operation: Operation) -> Action | None:
        """
        Return what *operation* does to its register.

        Raises:
            ModelError: It is none of read, write and (if there is one) cas.
        """
        f, pending = operation.f, operation.outcome is Outcome.INFO
        if f == "read":
            return None if pending else Action(f, None, exact(operation.result))
        if f == "write":
            return Action(f, exact(operation.argument))
        if f == "cas" and self._with_cas:
            return self._cas(operation, pending=pending)
        raise not_of_model(operation, self.name, self._known())

    def _cas(self, operation: Operation, *, pending: bool) -> Action | None:
        pair, result = operation.argument, operation.result
        if not isinstance(pair, tuple) or len(pair) != PAIR_LENGTH:
            raise not_of_model(operation, self.name, self._known())
        expected, new = (exact(value) for value in pair)
        if pending or result is None or result is True:
            return Action("cas", expected, new)
        if result is False:
            return Action("differs", expected)
        raise not_of_model(operation, self.name, self._known())

    def _known(self) -> str:
        known = "read -> value, write value"
        return known + (", cas (expected, new) -> bool" if self._with_cas else "")

    def parts(self, operations: Iterable[Operation]) -> list[Part]:
        """Return a part for each key."""
        return parts_by_key(operations)

    def machine(self, initial: Value, actions: Sequence[Action]) -> Machine:
        """Return a register that holds *initial*."""
        return RegisterMachine(initial, actions)
