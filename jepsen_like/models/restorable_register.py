"""
Registers that can be made again what they were: bookmarks, and restores to them.

    read                    -> the value
    write v
    bookmark name           from now on *name* stands for the value as it is here
    restore (name, undo)    the value is what *name* stands for; *undo* stands for what
                            it was right before, unless *undo* is None

What a store calls a point is its own affair; a history has names that whoever asked has
given it.  So that a restore is right or wrong by what was there when its bookmark took
effect, the state is the value and what the names stand for.  A restore to a name that
nobody has given is illegal: there can be no answer to it but a refusal.

Values that nobody reads cannot be told apart, and names need not be known that no
restore asks for, or none any more: they are folded away.  With the others a write does
not erase what went before it, since a name remembers that; so these histories are
searched, and not judged by zones.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

from jepsen_like.history.operation import Operation, Outcome, Value
from jepsen_like.models.model import (
    ILLEGAL,
    UNNAMED,
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


class Name(NamedTuple):
    """
    What a name stands for.

    Attributes:
        value: UNNAMED before it is given, and once it is not asked for any more.
        restores: How many that ask for it are still to come.
    """

    value: Hashable
    restores: int

    def given(self, value: Hashable) -> "Name":
        """Return it once it stands for *value*."""
        return self if self.restores == 0 else self._replace(value=value)

    def taken(self) -> "Name":
        """Return it once one of the restores has asked for it."""
        left = self.restores - 1
        return Name(UNNAMED if left == 0 else self.value, left)


class RestorableRegisterMachine:
    """One register; the state is its value, and what each name stands for."""

    def __init__(self, initial: Value, actions: Sequence[Action]) -> None:
        self._read = _values_read(actions)
        asked = Counter(action.argument for action in actions if action.f == "restore")
        self._place = {name: place for place, name in enumerate(asked)}
        names = (Name(UNNAMED, restores) for restores in asked.values())
        self.initial: State = (self._folded(exact(initial)), *names)

    def _folded(self, value: Hashable) -> Hashable:
        return value if value in self._read else UNSEEN

    def step(self, state: State, action: Action) -> State:
        """Return the value and the names afterwards, or ILLEGAL."""
        assert isinstance(state, tuple), "the state is a tuple"
        value, *names = state
        match action.f:
            case "read":
                return state if value == action.result else ILLEGAL
            case "write":
                return (self._folded(action.argument), *names)
            case "bookmark":
                return (value, *self._given(names, action.argument, value))
            case _:
                place = self._place[action.argument]
                restored = names[place].value
                if restored is UNNAMED:
                    return ILLEGAL
                names[place] = names[place].taken()
                return (restored, *self._given(names, action.result, value))

    def _given(
        self, names: Sequence[Name], name: Hashable, value: Hashable
    ) -> Iterator[Name]:
        """Yield *names* once *name* stands for *value*."""
        given = self._place.get(name)
        for place, each in enumerate(names):
            yield each.given(value) if place == given else each

    def kind(self, action: Action) -> Kind:
        """Bookmarks that nobody restores observe, as reads do."""
        match action.f:
            case "read":
                return Kind.OBSERVES
            case "write":
                return Kind.UPDATES if self._place else Kind.ERASES
            case "bookmark":
                is_asked_for = action.argument in self._place
                return Kind.UPDATES if is_asked_for else Kind.OBSERVES
            case _:
                return Kind.DEPENDS

    def separable(self, actions: Sequence[Action]) -> Iterator[Sequence[int]]:
        """Yield observations, and writes of values that nobody reads."""
        yield from observers(self, actions)
        read = _values_read(actions)
        for position, action in enumerate(actions):
            if action.f == "write" and action.argument not in read:
                yield (position,)


def _values_read(actions: Sequence[Action]) -> frozenset[Hashable]:
    return frozenset(action.result for action in actions if action.f == "read")


class RestorableRegisterModel:
    """A register for each key, with names of its own."""

    name = "restorable-register"

    def action(self, operation: Operation) -> Action | None:
        """
        Return what *operation* does to its register; a restore's undo as its result.

        Raises:
            ModelError: It is none of read, write, bookmark and restore.
        """
        match operation.f, operation.argument:
            case "read", _:
                if operation.outcome is Outcome.INFO:
                    return None
                return Action("read", None, exact(operation.result))
            case "write", value:
                return Action("write", exact(value))
            case "bookmark", name if name is not None:
                return Action("bookmark", exact(name))
            case "restore", (name, undo) if name is not None:
                return Action("restore", exact(name), exact(undo))
            case _:
                known = (
                    "read -> value, write value, bookmark name, restore (name, undo)"
                )
                raise not_of_model(operation, self.name, known)

    def parts(self, operations: Iterable[Operation]) -> list[Part]:
        """
        Return a part for each key, without what need not have happened.

        That is a write of which nobody knows and that nobody has read: whatever comes
        of it is as good without it, and a search would try it everywhere.
        """
        return [
            part._replace(operations=_needed(part.operations))
            for part in parts_by_key(operations)
        ]

    def machine(self, initial: Value, actions: Sequence[Action]) -> Machine:
        """Return a register that holds *initial*, of which nothing has a name."""
        return RestorableRegisterMachine(initial, actions)


def _needed(operations: Sequence[Operation]) -> list[Operation]:
    read = {exact(each.result) for each in operations if each.f == "read"}
    return [
        each
        for each in operations
        if each.f != "write"
        or each.outcome is not Outcome.INFO
        or exact(each.argument) in read
    ]
