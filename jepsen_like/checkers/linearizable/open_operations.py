"""
The operations that are open at one moment of a search, and what they can do next.

Each has a place, and two bits in the mask of a configuration.  Of an operation that
may change the state:

    00  SPARE   it need not be put in order any more, but still may be
    10  OWED    it must be, before it returns
    01  USED    it has been

Of one that only observes:

    00  DONE    it has been put in order
    01  LENT    it can be explained by an operation that erases and is SPARE, if that
                one is then USED; both came before what erased the state last
    11  OWED    it must be put in order before it returns

In both, fewer bits are never worse.  What erases and never returns is OWED, too,
until it can have come before an erasure; only nobody asks for it.

Places of operations that have returned are used again, so masks stay small.
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


class Configuration(NamedTuple):
    """
    One way in which it can have come so far.

    Attributes:
        state: Its number.
        mask: Of the open operations.
        fresh: What was put in order last erased the state.
    """

    state: int
    mask: int
    fresh: bool = False


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
        # The upper bits of those that are legal in every state, and of observers.
        self._total = 0
        self._observers = 0
        # The lower bits of those that erase and never return.
        self._pending = 0
        # The bits of those that change nothing in a state.
        self._unchanging: dict[int, int] = {}
        # The lower bits of what erases and explains an observer, by its lower bit.
        self._explaining: dict[int, int] = {}

    def add(self, position: int, action: int, returned: int) -> int:
        """
        Open the operation at *position*.

        Returns:
            The bits of OWED; 0 if it is SPARE from the beginning, because it never
            returns and does not erase.
        """
        if self._unused_places:
            place = self._unused_places.pop()
        else:
            place = self._place_count
            self._place_count += 1
        self._place[position] = place
        lower, upper = 1 << 2 * place, 2 << 2 * place
        observes = self._automaton.observes[action]
        if not observes:
            candidate = _Candidate(returned, position, lower, upper)
            insort(self._alike.setdefault(action, []), candidate)
        pending = returned == FOREVER
        if pending and not self._automaton.erases[action]:
            return 0
        if pending:
            self._pending |= lower
        else:
            self.owing += 1
        self._unchanging.clear()
        self._explaining.clear()
        if self._automaton.total[action]:
            self._total |= upper
        if observes:
            self._observers |= upper
        return lower | upper if observes else upper

    def remove(self, position: int) -> None:
        """Close an operation that returned; no mask may have its bits any more."""
        action = self._automaton.action_of[position]
        upper = 2 << 2 * self._place[position]
        self.owing -= 1
        self._unchanging.clear()
        self._explaining.clear()
        self._total &= ~upper
        self._observers &= ~upper
        self._unused_places.append(self._place.pop(position))
        if not self._automaton.observes[action]:
            alike = self._alike[action]
            if len(alike) == 1:
                del self._alike[action]
            else:
                alike[:] = [other for other in alike if other.position != position]

    def bits(self, position: int) -> tuple[int, int]:
        """Return the lower and the upper bit of an open operation."""
        place = 2 * self._place[position]
        return 1 << place, 2 << place

    def steps(self, configuration: Configuration) -> Iterator[Configuration]:
        """
        Yield configurations that are one operation further.

        After what erased the state nothing else that erases is tried at once.
        Without the first of the two it would come to the same: the first is SPARE
        then, and who observed it LENT.

        Of what erases alike, the first to return is tried: whether it was OWED or
        SPARE, the others are SPARE afterwards.
        """
        state, mask, fresh = configuration
        automaton = self._automaton
        lent = -1
        for action, alike in self._alike.items():
            after = automaton.step(state, action)
            gone = 0
            if automaton.erases[action]:
                if fresh:
                    continue
                if lent < 0:
                    lent = self._lent(mask)
                gone = self._total | lent
            if after == NO_STATE or (after == state and not gone & mask):
                continue  # what changes nothing is SPARE or DONE here already
            gone |= self._unchanging_in(after)
            erases = automaton.erases[action]
            for candidate in _first_of_each(alike, mask):
                next_mask = (mask | candidate.used) & ~(gone | candidate.owed)
                yield Configuration(after, next_mask, erases)
                if erases:
                    break

    def _lent(self, mask: int) -> int:
        """Return the upper bits of observers that something SPARE can explain."""
        automaton = self._automaton
        found = 0
        for action, alike in self._alike.items():
            if automaton.erases[action] and any(
                not mask & candidate.used for candidate in alike
            ):
                found |= self._unchanging_in(automaton.step(0, action))
        return found & self._observers

    def commitments(self, mask: int, position: int) -> Iterator[int]:
        """
        Yield masks in which the observer at *position*, which is LENT, is DONE.

        In each, another operation that explains it is USED.
        """
        automaton = self._automaton
        lower, upper = self.bits(position)
        for action, alike in self._alike.items():
            if not automaton.erases[action]:
                continue
            if not self._unchanging_in(automaton.step(0, action)) & upper:
                continue
            for candidate in alike:
                if not mask & (candidate.used | candidate.owed):
                    yield self.explained(mask & ~lower | candidate.used, action)
                    break

    def explained(self, mask: int, action: int) -> int:
        """Return *mask* with those DONE that are LENT and that *action* explains."""
        if not self._automaton.erases[action]:
            return mask
        after = self._automaton.step(0, action)
        uppers = self._unchanging_in(after) & self._observers
        return mask & ~((uppers & ~mask) >> 1)

    @property
    def excusable(self) -> int:
        """The bits that one configuration may have and still cover another."""
        return self._observers >> 1 | self._pending << 1

    def covers(self, one: int, other: int) -> bool:
        """
        Return whether *one* can do, in the same state, whatever *other* can.

        It can if it has no bits that *other* has not, or only those of observers
        that are LENT and that something SPARE explains which is USED in *other*.
        What never returns is OWED in name only: that is never worse than USED.
        """
        rest = one & ~(other | (other & self._pending) << 1)
        if not rest:
            return True
        if rest & ~(self._observers >> 1) or rest << 1 & one:
            return False
        used = other & ~one
        while rest:
            lower = rest & -rest
            if not self._explainers(lower) & used:
                return False
            rest ^= lower
        return True

    def _explainers(self, lower: int) -> int:
        bits = self._explaining.get(lower)
        if bits is None:
            bits = 0
            automaton = self._automaton
            for action, alike in self._alike.items():
                if not automaton.erases[action]:
                    continue
                if self._unchanging_in(automaton.step(0, action)) & lower:
                    for candidate in alike:
                        bits |= candidate.used
            self._explaining[lower] = bits
        return bits

    def _unchanging_in(self, state: int) -> int:
        bits = self._unchanging.get(state)
        if bits is None:
            bits = 0
            automaton = self._automaton
            for position, place in self._place.items():
                action = automaton.action_of[position]
                if automaton.step(state, action) == state:
                    bits |= (3 if automaton.observes[action] else 2) << 2 * place
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
