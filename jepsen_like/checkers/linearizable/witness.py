"""
Witnesses: of a part that is not linearizable, few operations that are not either.

What contradicts itself begins as all that was called before the return that no
configuration survived.  Then operations are left out as long as the rest still has
no linearization.  Not any operation may go: without the only write of a value every
read of it looks wrong, and such a witness says nothing.  So only steps are taken that
could not make a right history wrong:

- leave out what a machine calls separable: observations, and writes of what nobody
  of the rest observes;
- begin at a moment at which the state could only be the initial one;
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
from jepsen_like.history.operation import Outcome
from jepsen_like.models.model import Kind

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
    """The operations that are left, by their positions in the whole part."""

    def __init__(self, whole: BoundPart, dead: Dead) -> None:
        self._whole = whole
        self._visited = 0
        self.positions = list(range(len(whole.operations)))
        self.part = whole
        self.dead = dead
        self._keep(self.positions, dead)

    def _keep(self, positions: Sequence[int], dead: Dead) -> None:
        """Accept *positions*, which were found to end as *dead* says."""
        operations = [self._whole.operations[position] for position in positions]
        end = operations[dead.position].returned
        self.positions = [
            position
            for index, (position, operation) in enumerate(
                zip(positions, operations, strict=True)
            )
            if operation.called <= end
            and (index >= dead.restart or operation.outcome is Outcome.INFO)
        ]
        self.part = self._whole.only(self.positions)
        position = self.positions.index(positions[dead.position])
        self.dead = dead._replace(position=position, restart=0)

    def _attempt(self, indexes: Sequence[int]) -> bool:
        """Keep only those of what is left, if they contradict themselves too."""
        if not indexes or self._visited >= STATES_MAX:
            return False
        positions = [self.positions[index] for index in indexes]
        search = self._whole.only(positions).search()
        search.run(ATTEMPT_STATES_MAX)
        self._visited += search.visited
        if not isinstance(search.outcome, Dead):
            return False
        self._keep(positions, search.outcome)
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
            rest = self._from(erasers[-back], kinds)
            if rest and len(rest) < len(self.positions) and self._attempt(rest):
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
        return list(self.part.machine().separable(self.part.actions))


def _backwards(count: int) -> Iterator[int]:
    """Yield 1, 2, 3, ..., and after a while twice as much each time, to *count*."""
    back = 1
    while back <= count:
        yield back
        back += 1 if back < _ERASERS_TRIED else back
