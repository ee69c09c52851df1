"""
Sets: elements that are added, removed, asked for and listed.

    add x           -> true: it was not there; false: it was; nothing: not said
    remove x        -> true: it was there; false: it was not; nothing: not said
    contains x      -> whether it is there
    read            -> all elements, in any order, each once

Elements have nothing to do with each other unless somebody lists them all, so a key
that is never read falls apart into a part for each element.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence

from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.models.model import (
    ILLEGAL,
    UNKNOWN,
    Action,
    Kind,
    Machine,
    ModelError,
    Part,
    State,
    exact,
    not_of_model,
    observers,
    parts_by_key,
)


class SetMachine:
    """One set; the state is what is in it of what is ever spoken of."""

    def __init__(self, initial: frozenset[Hashable], actions: Sequence[Action]) -> None:
        listed = any(action.f == "read" for action in actions)
        spoken_of = frozenset(action.argument for action in actions)
        self.initial: State = initial if listed else initial & spoken_of

    def step(self, state: State, action: Action) -> State:
        """Return what is in the set afterwards, or ILLEGAL."""
        assert isinstance(state, frozenset), "the state of a set is a set"
        f, element, result = action
        if f == "read":
            return state if state == result else ILLEGAL
        present = element in state
        if f == "contains":
            return state if present is result else ILLEGAL
        changes = present is (f == "remove")
        if result is not UNKNOWN and result is not changes:
            return ILLEGAL
        if not changes:
            return state
        return state - {element} if present else state | {element}

    def kind(self, action: Action) -> Kind:
        """Reads observe, also additions and removals that changed nothing."""
        if action.result is UNKNOWN:
            return Kind.UPDATES
        adds = action.f in {"add", "remove"}
        return Kind.DEPENDS if adds and action.result is True else Kind.OBSERVES

    def separable(self, actions: Sequence[Action]) -> Iterator[Sequence[int]]:
        """
        Yield observations, and what concerns one element if none is listed.

        Lists tie the elements together; without them each stands for itself.
        """
        yield from observers(self, actions)
        if any(action.f == "read" for action in actions):
            return
        changing: dict[Hashable, list[int]] = {}
        for position, action in enumerate(actions):
            if self.kind(action) is not Kind.OBSERVES:
                changing.setdefault(action.argument, []).append(position)
        observed = {
            action.argument for action in actions if self.kind(action) is Kind.OBSERVES
        }
        for element, positions in changing.items():
            if element not in observed:
                yield positions


class SetModel:
    """A set for each key."""

    name = "set"

    def action(self, operation: Operation) -> Action | None:
        """
        Return what *operation* does to its set.

        Raises:
            ModelError: It is none of add, remove, contains and read, or what it
                answered is of another type than theirs.
        """
        f, result = operation.f, operation.result
        pending = operation.outcome is Outcome.INFO
        element = exact(operation.argument)
        if f in {"add", "remove"}:
            if pending or result is None:
                return Action(f, element, UNKNOWN)
            if isinstance(result, bool):
                return Action(f, element, result)
        elif f in {"contains", "read"} and pending:
            return None
        elif f == "contains" and isinstance(result, bool):
            return Action(f, element, result)
        elif f == "read" and isinstance(result, tuple):
            return Action(f, None, _elements(result, operation))
        known = (
            "add element -> bool, remove element -> bool, "
            "contains element -> bool, read -> elements"
        )
        raise not_of_model(operation, self.name, known)

    def parts(self, operations: Iterable[Operation]) -> list[Part]:
        """Return a part for each element of each key, or for keys that are listed."""
        parts: list[Part] = []
        for key, key_operations in parts_by_key(operations):
            if any(operation.f == "read" for operation in key_operations):
                parts.append(Part(key, key_operations))
            else:
                parts.extend(_parts_by_element(key, key_operations))
        return parts

    def machine(self, initial: Value, actions: Sequence[Action]) -> Machine:
        """
        Return a set of the elements of *initial*, or an empty one.

        Raises:
            ModelError: *initial* is neither a list nor None.
        """
        if initial is None:
            return SetMachine(frozenset(), actions)
        if not isinstance(initial, tuple):
            msg = f"a set begins with a list of its elements: {initial!r}"
            raise ModelError(msg)
        return SetMachine(frozenset(map(exact, initial)), actions)


def _elements(result: tuple[Value, ...], operation: Operation) -> frozenset[Hashable]:
    elements = frozenset(map(exact, result))
    if len(elements) != len(result):
        msg = (
            f"a set holds each element once, but process {operation.process} read "
            f"{len(result) - len(elements)} of them twice: judge it as a list"
        )
        raise ModelError(msg)
    return elements


def _parts_by_element(key: Key, operations: Sequence[Operation]) -> Iterator[Part]:
    elements: dict[Hashable, list[Operation]] = {}
    for operation in operations:
        elements.setdefault(exact(operation.argument), []).append(operation)
    for part in elements.values():
        yield Part(key, part)
