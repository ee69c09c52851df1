"""
Sources of open reads: which combination to try next.

Every open read has its candidates in order of likelihood: a transaction of an answer
that was there when the read returned, the last one asked for first; then what was
asked for later; the initial value where nothing was written by then.  A combination
that contradicts a level is ruled out together with all that contain it.

The next choice is found by backtracking over the reads that occur in what is ruled
out; the others keep their first candidate.  Each read is tried first with what it had
in the last choice, so little changes from one choice to the next, and where no
candidate is left, the search goes back to the last read that had a part in that.

Reference:
    Prosser, 1993.  Hybrid algorithms for the constraint satisfaction problem
        (conflict-directed backjumping).
"""

from collections.abc import Mapping, Sequence

from jepsen_like.checkers.isolation.transactions import (
    INITIAL,
    Choice,
    Transactions,
)

Place = tuple[int, int]
"""An open read: its transaction, and its index among the reads of that."""

ATTEMPTS_MAX = 200_000
"""Candidates tried for one choice, before giving up."""


class ExhaustedError(RuntimeError):
    """Finding the next choice took too many attempts."""


class OpenReads:
    """Candidates, and what has been ruled out so far."""

    def __init__(self, choices: Sequence[Choice], transactions: Transactions) -> None:
        self._candidates: dict[Place, list[int]] = {
            (choice.reader, choice.place): _by_likelihood(choice, transactions)
            for choice in choices
        }
        self._ruled_out: list[dict[Place, int]] = []
        self._of_place: dict[Place, list[int]] = {}

    def rule_out(self, combination: Mapping[Place, int]) -> None:
        """Never again choose all of *combination*."""
        for place in combination:
            self._of_place.setdefault(place, []).append(len(self._ruled_out))
        self._ruled_out.append(dict(combination))

    def next_choice(self) -> dict[Place, int] | None:
        """
        Return sources for all open reads; None if every combination is ruled out.

        Raises:
            ExhaustedError: It took more than ATTEMPTS_MAX attempts.
        """
        if not all(self._ruled_out):
            return None
        assigned = _Search(self._candidates, self._ruled_out, self._of_place).run()
        if assigned is None:
            return None
        for place, source in assigned.items():
            candidates = self._candidates[place]
            candidates.remove(source)
            candidates.insert(0, source)
        return {place: found[0] for place, found in self._candidates.items()}


class _Search:
    """One search for sources of those reads that occur in what is ruled out."""

    def __init__(
        self,
        candidates: Mapping[Place, Sequence[int]],
        ruled_out: Sequence[Mapping[Place, int]],
        of_place: Mapping[Place, Sequence[int]],
    ) -> None:
        self._candidates = candidates
        self._ruled_out = ruled_out
        self._of_place = of_place
        self._places = sorted(of_place)
        self._depth_of = {place: depth for depth, place in enumerate(self._places)}
        self._assigned: dict[Place, int] = {}
        self._tried = [0] * len(self._places)
        self._blame: list[set[int]] = [set() for _ in self._places]

    def run(self) -> dict[Place, int] | None:
        """Return sources, or None if there are none."""
        depth = 0
        for _ in range(ATTEMPTS_MAX):
            if depth == len(self._places):
                return self._assigned
            place = self._places[depth]
            self._assigned.pop(place, None)
            if self._tried[depth] < len(self._candidates[place]):
                self._assigned[place] = self._candidates[place][self._tried[depth]]
                self._tried[depth] += 1
                depth += not self._contradicts(place, depth)
                continue
            if not self._blame[depth]:
                return None
            depth = self._back_from(depth)
        msg = f"no choice found in {ATTEMPTS_MAX} attempts"
        raise ExhaustedError(msg)

    def _contradicts(self, place: Place, depth: int) -> bool:
        """Return whether what is assigned is ruled out, and blame who had a part."""
        for index in self._of_place[place]:
            combination = self._ruled_out[index]
            if all(self._assigned.get(one) == s for one, s in combination.items()):
                self._blame[depth].update(
                    self._depth_of[one] for one in combination if one != place
                )
                return True
        return False

    def _back_from(self, depth: int) -> int:
        """Return the depth of the last read that had a part, having undone the rest."""
        target = max(self._blame[depth])
        self._blame[target] |= self._blame[depth] - {target}
        for undone in range(target + 1, depth + 1):
            self._assigned.pop(self._places[undone], None)
            self._tried[undone] = 0
            self._blame[undone] = set()
        return target


def _by_likelihood(choice: Choice, transactions: Transactions) -> list[int]:
    returned = transactions.operations[choice.reader].returned

    def rank(candidate: int) -> tuple[bool, int]:
        if candidate == INITIAL:
            return (False, 0)
        called = transactions.operations[candidate].called
        return (called > returned, -called)

    written = [candidate for candidate in choice.candidates if candidate != INITIAL]
    ordered = sorted(written, key=rank)
    if INITIAL in choice.candidates:
        later = sum(1 for candidate in ordered if rank(candidate)[0])
        ordered.insert(len(ordered) - later, INITIAL)
    return ordered
