"""
The operations that are open at one moment of a search, and what they can do next.

Each has a place, and two bits in the mask of a configuration: USED, it has been put
in order; OWED, it still must be.  Neither is SPARE.  Places of operations that have
returned are used again, so masks stay small.
"""

from bisect import insort
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jepsen_like.checkers.linearizable.automaton import NO_STATE, Automaton
from jepsen_like.history.operation import FOREVER, Operation, Outcome


class Event(NamedTuple):
    """The call or the return of the operation at a position."""

    position: int
    is_return: bool


def events_of(operations: Sequence[Operation]) -> list[Event]:
    """
    Return calls and returns in time; the returns of `INFO` are not there.

    At one and the same time calls come first: neither of two operations that
    meet in one instant precedes the other.
    """
    times: list[tuple[int, bool, int]] = []
    for position, operation in enumerate(operations):
        times.append((operation.called, False, position))
        if operation.outcome is not Outcome.INFO:
            times.append((operation.returned, True, position))
    times.sort()
    return [Event(position, is_return) for _, is_return, position in times]


class _Candidate(NamedTuple):
    """An open operation, in order of which of its like to try first."""

    returned: int
    position: int
    used: int
    owed: int


class OpenOperations:
    """
    What is open.

    Attributes:
        owing: How many of them will return.
    """

    def __init__(self, automaton: Automaton) -> None:
        self.owing = 0
        self._automaton = automaton
        self._place: dict[int, int] = {}
        self._unused_places: list[int] = []
        self._place_count = 0
        # Those that may change the state, by their action.
        self._alike: dict[int, list[_Candidate]] = {}
        # OWED bits of those that are legal in every state.
        self._total = 0
        # OWED bits of those that change nothing in a state; emptied when others open.
        self._unchanging: dict[int, int] = {}

    def add(self, position: int, action: int, returned: int) -> int:
        """
        Open the operation at *position*.

        Returns:
            Its OWED bit, 0 if it never returns and so is never OWED.
        """
        if self._unused_places:
            place = self._unused_places.pop()
        else:
            place = self._place_count
            self._place_count += 1
        self._place[position] = place
        used, owed = self.bits(position)
        if not self._automaton.observes[action]:
            candidate = _Candidate(returned, position, used, owed)
            insort(self._alike.setdefault(action, []), candidate)
        if returned == FOREVER:
            return 0
        self.owing += 1
        self._unchanging.clear()
        if self._automaton.total[action]:
            self._total |= owed
        return owed

    def remove(self, position: int) -> None:
        """Close an operation that returned; no mask may have its bits any more."""
        action = self._automaton.action_of[position]
        _, owed = self.bits(position)
        self.owing -= 1
        self._unchanging.clear()
        self._total &= ~owed
        self._unused_places.append(self._place.pop(position))
        if not self._automaton.observes[action]:
            alike = self._alike[action]
            if len(alike) == 1:
                del self._alike[action]
            else:
                alike[:] = [other for other in alike if other.position != position]

    def bits(self, position: int) -> tuple[int, int]:
        """Return the USED and the OWED bit of an open operation."""
        place = 2 * self._place[position]
        return 1 << place, 2 << place

    def steps(self, state: int, mask: int) -> Iterator[tuple[int, int]]:
        """Yield each configuration that is one operation further."""
        automaton = self._automaton
        for action, alike in self._alike.items():
            after = automaton.step(state, action)
            gone = self._total if automaton.erases[action] else 0
            if after == NO_STATE or (after == state and not gone & mask):
                continue  # what changes nothing is SPARE here already
            gone |= self._unchanging_in(after)
            for candidate in _first_of_each(alike, mask):
                yield after, (mask | candidate.used) & ~(gone | candidate.owed)

    def _unchanging_in(self, state: int) -> int:
        bits = self._unchanging.get(state)
        if bits is None:
            bits = 0
            automaton = self._automaton
            for position, place in self._place.items():
                if automaton.step(state, automaton.action_of[position]) == state:
                    bits |= 2 << 2 * place
            self._unchanging[state] = bits
        return bits


def _first_of_each(alike: Sequence[_Candidate], mask: int) -> Iterator[_Candidate]:
    """Yield which of the OWED and which of the SPARE ones returns first."""
    owed_wanted = spare_wanted = True
    for candidate in alike:
        if mask & candidate.used:
            continue
        if mask & candidate.owed:
            if owed_wanted:
                owed_wanted = False
                yield candidate
        elif spare_wanted:
            spare_wanted = False
            yield candidate
        if not (owed_wanted or spare_wanted):
            return
