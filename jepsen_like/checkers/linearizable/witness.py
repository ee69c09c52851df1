"""
Witnesses: of a part that is not linearizable, few operations that are not either.

What contradicts itself begins as all that was called before the return that no
configuration survived.  Then operations are left out as long as the rest still has
no linearization.  Not any operation may go: without the only write of a value every
read of it looks wrong, and such a witness says nothing.  So only steps are taken that
could not make a right history wrong:

- take what was open at that return for something never answered;
- leave out what a machine calls separable: observations, and writes of what nobody
  of the rest observes;
- begin at a moment at which the state could only be the initial one, if nothing
  is separable, as with locks;
- begin at an operation that erases the state, if all observations that are left
  come after it; then what returned before it was called cannot matter.

So the witness contradicts itself, and whoever explains all of the history explains
the witness too.  The order of attempts is that of delta debugging, large pieces
first, and the effort is bounded; the result is small, not always the smallest.

Reference:
    Zeller & Hildebrandt, 2002.  Simplifying and isolating failure-inducing input.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from jepsen_like.checkers.linearizable.bound_part import BoundPart
from jepsen_like.checkers.linearizable.contradiction import Contradiction
from jepsen_like.checkers.linearizable.explanation import explanation_of
from jepsen_like.checkers.linearizable.search import Dead
from jepsen_like.history.operation import FOREVER, Operation, Outcome
from jepsen_like.models.model import Action, Kind

ATTEMPT_STATES_MAX: Final = 20_000
"""Configurations to visit for one attempt: a tenth of a second or so."""

STATES_MAX: Final = 200_000
"""The same for all attempts together: a second or two for a plainer witness."""

_ROUNDS: Final = 3
"""After observations are gone, later beginnings may do; more rounds gain nothing."""

_ERASERS_TRIED: Final = 24
"""The latest beginnings are tried one by one, then each time twice as many back."""


def witness_of(part: BoundPart, dead: Dead) -> Contradiction:
    """
    Return few operations of *part* that have no linearization.

    Args:
        part: Was found not to be linearizable.
        dead: How.
    """
    shrinking = _Shrinking(part, dead)
    for _ in range(_ROUNDS):
        before = len(shrinking.positions)
        shrinking.begin_later()
        shrinking.leave_out()
        if len(shrinking.positions) == before:
            break
    explanation = explanation_of(shrinking.part, shrinking.dead)
    return Contradiction(tuple(shrinking.positions), explanation)


class _Shrinking:
    """
    What is left.

    Operations that were open at the return that nothing survived count as never
    answered: what they saw later, others may have done later.

    Attributes:
        positions: Of what is left, in the whole part.
        part: The same operations, with those that were open then as `INFO`.
        dead: How the search of `part` ends.
    """

    def __init__(self, whole: BoundPart, dead: Dead) -> None:
        self.positions: list[int] = list(range(len(whole.operations)))
        self.part = whole
        self.dead = dead
        self._visited = 0
        self._begin = -1
        self._keep(self.positions, dead)

    def _keep(self, indexes: Sequence[int], dead: Dead) -> None:
        """Keep those of what is left; their search was found to end as *dead*."""
        last = indexes[dead.position]
        end = self.part.operations[last].returned
        machine = self.part.machine()
        # Where other pieces can be left out, those are more telling than what is
        # left after a restart: it may lack the only write of a value.
        restart = 0 if self._groups() else dead.restart
        kept: list[tuple[int, Operation, Action]] = []
        for place, index in enumerate(indexes):
            operation = self.part.operations[index]
            action: Action | None = self.part.actions[index]
            pending = operation.outcome is Outcome.INFO
            if operation.called > end or (place < restart and not pending):
                continue
            if operation.returned > end and not pending and action is not None:
                if machine.kind(action) is Kind.OBSERVES:
                    continue
                operation = _unanswered(operation)
                action = self.part.model.action(operation)
            if action is not None:
                kept.append((self.positions[index], operation, action))
        culprit = self.positions[last]
        self.positions = [position for position, _, _ in kept]
        self.part = self.part._replace(
            operations=[operation for _, operation, _ in kept],
            actions=[action for _, _, action in kept],
        )
        place = self.positions.index(culprit)
        self.dead = dead._replace(position=place, restart=0)

    def _attempt(self, indexes: Sequence[int]) -> bool:
        """Keep only those of what is left, if they contradict themselves too."""
        if not indexes or self._visited >= STATES_MAX:
            return False
        search = self.part.only(indexes).search()
        search.run(ATTEMPT_STATES_MAX)
        self._visited += search.visited
        if not isinstance(search.outcome, Dead):
            return False
        self._keep(indexes, search.outcome)
        return True

    def begin_later(self) -> None:
        """Begin at the latest operation that erases, if what follows is enough."""
        machine = self.part.machine()
        kinds = [machine.kind(action) for action in self.part.actions]
        erasers = [
            index
            for index, kind in enumerate(kinds)
            if kind is Kind.ERASES
            and self.part.operations[index].outcome is not Outcome.INFO
        ]
        for back in _backwards(len(erasers)):
            begin = self.positions[erasers[-back]]
            rest = self._from(erasers[-back], kinds)
            if rest and len(rest) < len(self.positions) and self._attempt(rest):
                self._begin = begin
                return

    def _from(self, eraser: int, kinds: Sequence[Kind]) -> list[int]:
        """Return what is left if the rest begins at *eraser*; empty if it cannot."""
        begin = self.part.operations[eraser]
        rest: list[int] = []
        for index, operation in enumerate(self.part.operations):
            pending = operation.outcome is Outcome.INFO
            if operation.returned < begin.called and not pending:
                continue
            if operation.called <= begin.returned and not pending:
                if kinds[index] is Kind.OBSERVES:
                    continue
                if kinds[index] is Kind.DEPENDS:
                    return []
            rest.append(index)
        return rest

    def leave_out(self) -> None:
        """Leave out what can be, large pieces first."""
        size = len(self._groups())
        while size > 0:
            start = 0
            while start < len(groups := self._groups()):
                gone = {
                    index for group in groups[start : start + size] for index in group
                }
                count = len(self.positions)
                rest = [index for index in range(count) if index not in gone]
                if not self._attempt(rest):
                    start += size
            size //= 2

    def _groups(self) -> list[Sequence[int]]:
        """Return what can be left out; not where it all begins, which is telling."""
        return [
            group
            for group in self.part.machine().separable(self.part.actions)
            if all(self.positions[index] != self._begin for index in group)
        ]


def _unanswered(operation: Operation) -> Operation:
    return operation._replace(outcome=Outcome.INFO, returned=FOREVER, result=None)


def _backwards(count: int) -> Iterator[int]:
    """Yield 1, 2, 3, ..., and after a while twice as much each time, to *count*."""
    back = 1
    while back <= count:
        yield back
        back += 1 if back < _ERASERS_TRIED else back
