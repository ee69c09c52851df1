"""
Searching one part, narrowly at first.

Where many operations were never answered, far more configurations are possible than
are needed to find one linearization.  So the first search remembers few of them.  If
it fails, and only then, one that remembers more begins anew; the last remembers all
that memory allows.  All together cost little more than the last alone.
"""

from typing import Final

from jepsen_like.checkers.linearizable.bound_part import BoundPart
from jepsen_like.checkers.linearizable.search import (
    WIDTH_MAX,
    Dead,
    Overflow,
    Search,
)

WIDTH_FIRST: Final = 32
"""As much as usual histories have at once, even with lost answers."""

_GROWTH: Final = 8


class Widening:
    """
    The searches of one part, one after the other; can be interrupted.

    Attributes:
        part: What is searched.
        visited: Configurations so far, in all searches.
    """

    def __init__(self, part: BoundPart, width: int = WIDTH_FIRST) -> None:
        """
        Prepare to search.

        Args:
            part: Where.
            width: Configurations that the first search remembers, > 0.
        """
        self.part = part
        self.visited = 0
        self._width = width
        self._search: Search | None = None

    @property
    def outcome(self) -> Dead | Overflow | None:
        """None if a linearization exists, once `run` has returned True."""
        return None if self._search is None else self._search.outcome

    def run(self, allowance: int) -> bool:
        """Visit some *allowance* configurations more; return True when finished."""
        if self._search is None:
            self._search = self.part.search(self._width)
        before = self._search.visited
        finished = self._search.run(allowance)
        self.visited += self._search.visited - before
        if not finished:
            return False
        if isinstance(self._search.outcome, Overflow) and self._width < WIDTH_MAX:
            self._width = min(self._width * _GROWTH, WIDTH_MAX)
            self._search = self.part.search(self._width)
            return False
        return True
