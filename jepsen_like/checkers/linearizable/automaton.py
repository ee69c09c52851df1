"""
The automaton of a machine: states and actions as small integers.

A search asks for the same steps again and again.  Here each step is taken once, on
first demand, and states and actions are numbered as they come up, so a search
compares and hashes nothing but integers.

Actions that always leave the same state behind whatever they find (`Kind.ERASES`)
are one action if that state is one.
"""

from collections.abc import Hashable, Sequence
from typing import Final

from jepsen_like.models.model import ILLEGAL, Action, Kind, Machine, State

NO_STATE: Final = -1
"""What an illegal step leads to."""


class Automaton:
    """
    One part's machine, explored as far as somebody has asked.

    Attributes:
        action_of: The number of the action of each operation.
        observes: Whether an action, by number, never changes the state.
        erases: Whether it leaves the same state behind whatever it found.
        total: Whether it is legal in every state.
        initial: The number of the initial state.
    """

    def __init__(self, machine: Machine, actions: Sequence[Action]) -> None:
        self._machine = machine
        self._states: list[State] = []
        self._numbers: dict[State, int] = {}
        self._rows: list[dict[int, int]] = []
        self._actions: list[Action] = []
        self.observes: list[bool] = []
        self.erases: list[bool] = []
        self.total: list[bool] = []
        self.initial = self._number(machine.initial)
        known: dict[Hashable, int] = {}
        self.action_of = [self._action(action, known) for action in actions]

    def _action(self, action: Action, known: dict[Hashable, int]) -> int:
        number = known.get(action)
        if number is not None:
            return number
        kind = self._machine.kind(action)
        result: Hashable = action
        if kind is Kind.ERASES:
            result = self._number(self._machine.step(self._machine.initial, action))
        number = known.setdefault(result, len(self._actions))
        known[action] = number
        if number == len(self._actions):
            self._actions.append(action)
            self.observes.append(kind is Kind.OBSERVES)
            self.erases.append(kind is Kind.ERASES)
            self.total.append(kind in {Kind.ERASES, Kind.UPDATES})
        return number

    def _number(self, state: State) -> int:
        number = self._numbers.setdefault(state, len(self._states))
        if number == len(self._states):
            self._states.append(state)
            self._rows.append({})
        return number

    def step(self, state: int, action: int) -> int:
        """Return the state after *action* in *state*, NO_STATE if it is illegal."""
        row = self._rows[state]
        after = row.get(action)
        if after is None:
            result = self._machine.step(self._states[state], self._actions[action])
            after = NO_STATE if result is ILLEGAL else self._number(result)
            row[action] = after
        return after

    def state(self, number: int) -> State:
        """Return the state of that *number*."""
        return self._states[number]
