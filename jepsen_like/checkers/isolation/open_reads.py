"""
Sources of open reads: which combination to try next.

Every open read has its candidates in order of likelihood: a transaction of an answer
that was there when the read returned, the last one asked for first; then what was
asked for later; the initial value where nothing was written by then.  A combination
that contradicts a level is ruled out together with all that contain it.  The next
choice is found by backtracking over the reads that occur in what is ruled out;
the others keep their first candidate.
"""

from collections.abc import Mapping, Sequence

from jepsen_like.checkers.isolation.transactions import (
    INITIAL,
    Choice,
    Transactions,
)

Place = tuple[int, int]
"""An open read: its transaction, and its index among the reads of that."""

BACKTRACKS_MAX = 200_000
"""Assignments tried for one choice, before giving up."""


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
            ExhaustedError: It took more than BACKTRACKS_MAX attempts.
        """
        chosen = {place: found[0] for place, found in self._candidates.items()}
        if not all(self._ruled_out):
            return None
        places = sorted(self._of_place)
        assigned: dict[Place, int] = {}
        tried = [0] * len(places)
        depth = 0
        for _ in range(BACKTRACKS_MAX):
            if depth == len(places):
                return chosen | assigned
            place = places[depth]
            candidates = self._candidates[place]
            assigned.pop(place, None)
            if tried[depth] == len(candidates):
                tried[depth] = 0
                depth -= 1
                if depth < 0:
                    return None
                continue
            assigned[place] = candidates[tried[depth]]
            tried[depth] += 1
            if not self._contradicts(place, assigned):
                depth += 1
        msg = f"no choice found in {BACKTRACKS_MAX} attempts"
        raise ExhaustedError(msg)

    def _contradicts(self, place: Place, assigned: Mapping[Place, int]) -> bool:
        return any(
            all(
                assigned.get(other) == source
                for other, source in self._ruled_out[index].items()
            )
            for index in self._of_place[place]
        )


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
