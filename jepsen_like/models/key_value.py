"""
Key-value stores of strings that can be appended to, as in MIT's 6.824 labs.

    get             -> the string, None if there is none
    put s
    append s        to what is there; where nothing is, like put

A string that no get of the history begins with cannot be seen by any get before
the next put, whatever is appended to it.  All such strings are folded into one
state.  So the order of concurrent appends is not guessed: what remains are the
orders that some get has seen.  This is exact, and needs no unique values.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from jepsen_like.history.operation import Operation, Outcome, Value
from jepsen_like.models.model import (
    ILLEGAL,
    UNSEEN,
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


class KeyValueMachine:
    """One key; the state is its string, None if it is absent."""

    def __init__(self, initial: str | None, actions: Sequence[Action]) -> None:
        results = {action.result for action in actions if action.f == "get"}
        self._results = sorted(result for result in results if isinstance(result, str))
        self.initial: State = self._folded(initial)

    def _folded(self, state: str | None) -> State:
        """Return *state*, or UNSEEN if nothing that was got begins with it."""
        if state is None:
            return None  # appending to it may still make any string
        place = bisect_left(self._results, state)
        if place < len(self._results) and self._results[place].startswith(state):
            return state
        return UNSEEN

    def step(self, state: State, action: Action) -> State:
        """Return what the key holds afterwards, or ILLEGAL."""
        if action.f == "get":
            return state if state == action.result else ILLEGAL
        assert isinstance(action.argument, str), "what is written is a string"
        if action.f == "put":
            return self._folded(action.argument)
        if state is UNSEEN:
            return UNSEEN
        assert state is None or isinstance(state, str), "a key holds a string"
        return self._folded((state or "") + action.argument)

    def kind(self, action: Action) -> Kind:
        """Gets observe, puts erase, appends are always possible."""
        if action.f == "get":
            return Kind.OBSERVES
        return Kind.ERASES if action.f == "put" else Kind.UPDATES

    def separable(self, actions: Sequence[Action]) -> Iterator[Sequence[int]]:
        """Yield gets, and writes of what occurs in no string that was got."""
        yield from observers(self, actions)
        results = {action.result for action in actions if action.f == "get"}
        seen = "\0".join(result for result in results if isinstance(result, str))
        for position, action in enumerate(actions):
            if action.f != "get" and str(action.argument) not in seen:
                yield (position,)


class KeyValueModel:
    """A string for each key."""

    name = "key-value"

    def action(self, operation: Operation) -> Action | None:
        """
        Return what *operation* does to its key.

        Raises:
            ModelError: It is none of get, put and append, or not of strings.
        """
        f, argument, result = operation.f, operation.argument, operation.result
        if f in {"put", "append"} and isinstance(argument, str):
            return Action(f, argument)
        if f == "get":
            if operation.outcome is Outcome.INFO:
                return None
            if result is None or isinstance(result, str):
                return Action("get", None, result)
        known = "get -> string or nothing, put string, append string"
        raise not_of_model(operation, self.name, known)

    def parts(self, operations: Iterable[Operation]) -> list[Part]:
        """Return a part for each key."""
        return parts_by_key(operations)

    def machine(self, initial: Value, actions: Sequence[Action]) -> Machine:
        """
        Return a key that holds *initial*.

        Raises:
            ModelError: *initial* is neither a string nor None.
        """
        if initial is not None and not isinstance(initial, str):
            msg = f"a key holds a string or nothing initially: {initial!r}"
            raise ModelError(msg)
        return KeyValueMachine(initial, actions)
