"""
Mutual exclusion: a lock that is free or held, whoever holds it.

    acquire         it was free and is now held
    release         it was held and is now free
"""

from collections.abc import Iterable, Iterator, Sequence

from jepsen_like.history.operation import Operation, Value
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


class MutexMachine:
    """One lock; the state is whether it is held."""

    def __init__(self, *, held: bool) -> None:
        self.initial: State = held

    def step(self, state: State, action: Action) -> State:
        """Return whether it is held afterwards, or ILLEGAL."""
        acquires = action.f == "acquire"
        return acquires if state is not acquires else ILLEGAL

    def kind(self, action: Action) -> Kind:
        """Both operations need the lock to be in the other state."""
        del action
        return Kind.DEPENDS

    def separable(self, actions: Sequence[Action]) -> Iterator[Sequence[int]]:
        """Yield nothing: each operation makes room for the next."""
        return observers(self, actions)


class MutexModel:
    """A lock for each key."""

    name = "mutex"

    def action(self, operation: Operation) -> Action | None:
        """
        Return what *operation* does to its lock.

        Raises:
            ModelError: It is neither acquire nor release.
        """
        if operation.f not in {"acquire", "release"}:
            raise not_of_model(operation, self.name, "acquire, release")
        return Action(operation.f, None)

    def parts(self, operations: Iterable[Operation]) -> list[Part]:
        """Return a part for each key."""
        return parts_by_key(operations)

    def machine(self, initial: Value, actions: Sequence[Action]) -> Machine:
        """
        Return a lock that is held if *initial* is true.

        Raises:
            ModelError: *initial* is neither a truth value nor None.
        """
        del actions
        if initial is not None and not isinstance(initial, bool):
            msg = f"a mutex is held (true) or not (false) initially: {initial!r}"
            raise ModelError(msg)
        return MutexMachine(held=bool(initial))
