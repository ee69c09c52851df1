"""A part of a history, with what its operations do: all that a judge of it needs."""

from collections.abc import Sequence
from typing import NamedTuple

from jepsen_like.checkers.linearizable.automaton import Automaton
from jepsen_like.checkers.linearizable.search import WIDTH_MAX, Search
from jepsen_like.history.operation import Key, Operation, Value
from jepsen_like.models.model import Action, Machine, Model, Part


class BoundPart(NamedTuple):
    """
    Operations and their actions.

    Attributes:
        model: What gives them a meaning.
        key: What they are about.
        initial: `Header.initial`.
        operations: In order of their calls, only those that bind somebody.
        actions: What each of them does.
    """

    model: Model
    key: Key
    initial: Value
    operations: Sequence[Operation]
    actions: Sequence[Action]

    def machine(self) -> Machine:
        """Return the model bound to these actions."""
        return self.model.machine(self.initial, self.actions)

    def search(self, width: int = WIDTH_MAX) -> Search:
        """Return a search of this part, not begun."""
        automaton = Automaton(self.machine(), self.actions)
        return Search(automaton, self.operations, width)

    def only(self, positions: Sequence[int]) -> "BoundPart":
        """Return what remains if only the operations at *positions* are kept."""
        return self._replace(
            operations=[self.operations[position] for position in positions],
            actions=[self.actions[position] for position in positions],
        )


def bind(model: Model, part: Part, initial: Value) -> BoundPart:
    """
    Return *part* with what its operations do.

    Raises:
        ModelError: One of them is none of *model*.
    """
    operations: list[Operation] = []
    actions: list[Action] = []
    for operation in part.operations:
        action = model.action(operation)
        if action is not None:
            operations.append(operation)
            actions.append(action)
    return BoundPart(model, part.key, initial, operations, actions)
