"""
Search for a linearization, for any model.

Wing and Gong try operations one after another and take back what leads nowhere;
Lowe remembers what has been tried: two attempts that have put the same operations
in order and left the same state behind have the same future.  We go through the
history once, in time, and keep the set of all such *configurations*; an operation
is put in order no earlier than some return makes it necessary (Lowe's just-in-time
linearization).  A history that is wrong is found so at the first return that leaves
no configuration over, as fast as a good one is found good, and what is remembered
goes no further back than the operations that are open.

A configuration is a state and, for each open operation, one of

    OWED    it has not been put in order, and must be before it returns
    SPARE   it need not be put in order any more, but still may be
    USED    it has been put in order

An operation that never returns is SPARE from its call.  Others become SPARE by
prunings, all of them exact:

- An operation that is legal and changes nothing in the present state can be put in
  order right here.  (An observation is then done with.)
- When an operation that erases the state is put in order, every open operation that
  is always legal can have been put before it, and nobody can tell.
- With one of those that erase, whatever observed it can have been put there too.
  An observation that this would explain is LENT (see `open_operations`): the moment
  it returns, the other one is USED.  So nothing that erases need be tried between
  another one and its observers, and subsets of concurrent writes do not multiply.

SPARE is never worse than OWED or USED, so a configuration that differs from another
of the same state in that only is dropped.  Two bits for each operation, 00 for
SPARE, make that a subset test of integers.  Of open operations that do the same and
are alike OWED or SPARE, only the one that returns first is tried: what the others
could do, they still can.

At quiescent points nothing is open, so the set collapses to the states that are
possible there.

A search may be told to remember only so many configurations, and drops others.  If
one survives, the history is linearizable all the same; if none does, nothing is
known.  So `widening` looks for a linearization in a narrow set first.

References:
    Wing & Gong, 1993.  Testing and verifying concurrent objects.
    Lowe, 2017.  Testing for linearizability.  Sections 3 and 5.
    Horn & Kroening, 2015.  Faster linearizability checking via P-compositionality.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from jepsen_like.checkers.linearizable.automaton import Automaton
from jepsen_like.checkers.linearizable.open_operations import (
    Configuration,
    OpenOperations,
    events_of,
)
from jepsen_like.history.operation import FOREVER, Operation, Outcome
from jepsen_like.models.model import State

WIDTH_MAX: Final = 500_000
"""Configurations remembered at once; some 100 MB, and as much while one returns."""

_TRIED_FOR_EACH: Final = 40
"""
What may be visited at one return for each configuration that may be remembered.

Most of what is visited survives only if the operation that returns can follow it.
"""

_SURVIVING_FOR_EACH: Final = 2
"""What may survive one return, before those that others cover are dropped."""

_TURN: Final = 256
"""Configurations visited between two looks at the budget."""

Frontier: TypeAlias = dict[int, list[int]]
"""The configurations: for each state its masks, none a subset of another."""


class Dead(NamedTuple):
    """
    No configuration survived.

    Attributes:
        position: Of the operation whose return none survived.
        states: All that were possible by then, whatever was put in order; the
            operation is legal in none of them.
        restart: How many operations had been called by the last moment at which
            all that must return had returned, no other need have happened, and
            the state could only be the initial one.
    """

    position: int
    states: tuple[State, ...]
    restart: int


class Overflow(NamedTuple):
    """
    No configuration survived, but some had been dropped to save memory.

    Attributes:
        width: So many were kept at most.
    """

    width: int


class Search:
    """
    The search of one part, which can be interrupted.

    Attributes:
        visited: Configurations so far.
        outcome: None if a linearization exists, once `run` has returned True.
    """

    def __init__(
        self,
        automaton: Automaton,
        operations: Sequence[Operation],
        width: int = WIDTH_MAX,
    ) -> None:
        """
        Prepare to search.

        Args:
            automaton: Its `action_of` are those of *operations*.
            operations: In order of their calls; each binds somebody.
            width: Configurations to remember at once.
        """
        self.visited = 0
        self.outcome: Dead | Overflow | None = None
        self._automaton = automaton
        self._width = width
        self._dropped = False
        self._returns = [
            FOREVER if operation.outcome is Outcome.INFO else operation.returned
            for operation in operations
        ]
        self._events = events_of(operations)
        self._open = OpenOperations(automaton)
        self._called = 0
        self._restart = 0
        self._run = self._advance()

    def run(self, allowance: int) -> bool:
        """Visit some *allowance* configurations more; return True when finished."""
        limit = self.visited + allowance
        return all(self.visited < limit for _ in self._run)

    def _advance(self) -> Iterator[None]:
        """Go through the events; yield now and then."""
        frontier: Frontier = {self._automaton.initial: [0]}
        for turn, (position, is_return) in enumerate(self._events, 1):
            if is_return:
                survivors: Frontier = {}
                yield from self._close(position, frontier, survivors)
                if not survivors:
                    return
                self._narrow(survivors)
                frontier = survivors
                self._note_restart(frontier)
            else:
                self._call(position, frontier)
            self.visited += 1
            if not turn % _TURN:
                yield

    def _note_restart(self, frontier: Frontier) -> None:
        quiet = not self._open.owing
        if quiet and frontier == {self._automaton.initial: [0]}:
            self._restart = self._called

    def _call(self, position: int, frontier: Frontier) -> None:
        """Let the operation at *position* begin: OWED where it is not SPARE."""
        action = self._automaton.action_of[position]
        owed = self._open.add(position, action, self._returns[position])
        self._called += 1
        if owed:
            step = self._automaton.step
            for state, masks in frontier.items():
                if step(state, action) != state:
                    frontier[state] = [mask | owed for mask in masks]

    def _close(
        self, position: int, frontier: Frontier, survivors: Frontier
    ) -> Iterator[None]:
        """Fill *survivors* with the configurations in which *position* is done."""
        action = self._automaton.action_of[position]
        closing = _Closing(self._open, position, action, survivors)
        if self._automaton.observes[action]:
            reach = closing.reach_observed
        else:
            reach = closing.reach_changed
        for state, masks in frontier.items():
            for mask in masks:
                reach(Configuration(state, mask))
        turn = 0
        for configuration in closing.untried:  # grows while we go through it
            for further in self._open.steps(configuration):
                reach(further)
                turn += 1
                if not turn % _TURN:
                    self.visited += _TURN
                    yield
            if turn >= _TRIED_FOR_EACH * self._width or (
                closing.survived >= _SURVIVING_FOR_EACH * self._width
            ):
                self._dropped = True
                break
        self.visited += turn % _TURN
        if not survivors:
            self.outcome = self._end(position, closing.tried)
        self._open.remove(position)

    def _end(self, position: int, tried: Frontier) -> Dead | Overflow:
        if self._dropped:
            return Overflow(self._width)
        states = tuple(self._automaton.state(number) for number in tried)
        return Dead(position, states, self._restart)

    def _narrow(self, frontier: Frontier) -> None:
        """Drop what is too much: of each state those that have used up the most."""
        if sum(map(len, frontier.values())) <= self._width:
            return
        self._dropped = True
        share = max(1, self._width // len(frontier))
        for masks in frontier.values():
            masks.sort(key=int.bit_count)
            del masks[share:]


class _Closing:
    """One return: which configurations have it done, and which must go on."""

    def __init__(
        self,
        opened: OpenOperations,
        position: int,
        action: int,
        survivors: Frontier,
    ) -> None:
        self.tried: Frontier = {}
        self.untried: list[Configuration] = []
        self.survived = 0
        self._survivors = survivors
        self._open = opened
        self._position = position
        self._action = action
        self._lower, self._upper = opened.bits(position)
        self._kept = ~(self._lower | self._upper)

    def reach_changed(self, configuration: Configuration) -> None:
        """
        Sort in a configuration when an operation that may change the state returns.

        Where it is SPARE it came before what erased the state or where it changed
        nothing, and with it come those whom it explains; or it comes yet.
        """
        state, mask, _ = configuration
        if mask & self._lower:
            self._survive(state, mask & self._kept)
            return
        if not mask & self._upper:
            self._survive(state, self._open.explained(mask, self._action))
        self._try(configuration)

    def reach_observed(self, configuration: Configuration) -> None:
        """Sort in a configuration when an operation that only observes returns."""
        state, mask, _ = configuration
        if not mask & self._lower:
            self._survive(state, mask)
            return
        if not mask & self._upper:
            for committed in self._open.commitments(mask, self._position):
                self._survive(state, committed)
        self._try(configuration)

    def _survive(self, state: int, mask: int) -> None:
        if add_configuration(self._survivors, state, mask, self._open):
            self.survived += 1

    def _try(self, configuration: Configuration) -> None:
        state, mask, _ = configuration
        if add_configuration(self.tried, state, mask, self._open):
            self.untried.append(configuration)


def add_configuration(
    frontier: Frontier, state: int, mask: int, opened: OpenOperations
) -> bool:
    """
    Add a configuration unless one is there that covers it.

    Those that it covers are dropped.

    Returns:
        Whether it was added.
    """
    masks = frontier.get(state)
    if masks is None:
        frontier[state] = [mask]
        return True
    # Most pairs differ in bits that nothing excuses, so they are compared here.
    fixed, missing = ~opened.excusable, ~mask
    for other in masks:
        rest = other & missing
        if not rest or (not rest & fixed and opened.covers(other, mask)):
            return False
    masks[:] = [
        other
        for other in masks
        if (rest := mask & ~other) and (rest & fixed or not opened.covers(mask, other))
    ]
    masks.append(mask)
    return True
