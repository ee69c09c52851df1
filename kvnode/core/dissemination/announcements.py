"""
When which pushes are announced, so that none is missed for long.

A node announces each push in four rounds, from 20 ms to two seconds after it had it,
in each to other members (kvnode.core.dissemination.overlay).  So not even the last
push of an origin is missed when messages are lost: a node would have to lose its
payload and every announcement of every round.  If it does, or the origin crashed
while it told the first, comparing clocks finds it (rule D8).

What becomes due within half a round's delay is announced together, so the busier a
cluster, the fewer announcements a push costs.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from kvnode.core.dissemination.messages import PushId
from kvnode.types import Millis

ROUND_DELAYS = (Millis(20), Millis(50), Millis(400), Millis(1500))
"""After being had; then after the round before."""

WAITING_MAX = 8192
"""Pushes in a round: 1.5 s of 5,000 a second; the oldest are dropped first."""


class Item(NamedTuple):
    """A push to be announced, and whether others than its own group are told."""

    id: PushId
    is_ours: bool  # we are its origin, and tell deputies of every other group
    entered_here: bool  # it came from another group, and late we tell two others


class Announcements:
    """
    What is to be announced, by round, in the order in which it is due.

    Attributes:
        due: When the next announcement is to be made; None if there is none.
    """

    def __init__(self) -> None:
        self.due: Millis | None = None
        self._rounds = tuple(
            deque[tuple[Millis, Item]](maxlen=WAITING_MAX) for _ in ROUND_DELAYS
        )

    def add(self, item: Item, now: Millis) -> None:
        """Announce a push from now on."""
        due = Millis(now + ROUND_DELAYS[0])
        self._rounds[0].append((due, item))
        if self.due is None or due < self.due:
            self.due = due

    def take(self, now: Millis) -> Iterator[tuple[int, list[Item]]]:
        """Yield what is due, with its round; it moves on to the next round."""
        if self.due is None or self.due > now:
            return
        for number, waiting in enumerate(self._rounds):
            if not waiting or waiting[0][0] > now:
                continue
            until = now + ROUND_DELAYS[number] // 2
            taken = []
            while waiting and waiting[0][0] <= until:
                taken.append(waiting.popleft()[1])
            if number + 1 < len(ROUND_DELAYS):
                due = Millis(now + ROUND_DELAYS[number + 1])
                self._rounds[number + 1].extend((due, item) for item in taken)
            yield number, taken
        self._find_due()

    def clock_stepped_back(self, span: Millis) -> None:
        """Keep the time that is left when the clock goes back by *span*."""
        for waiting in self._rounds:
            moved = [(Millis(due - span), item) for due, item in waiting]
            waiting.clear()
            waiting.extend(moved)
        self._find_due()

    def _find_due(self) -> None:
        firsts = [waiting[0][0] for waiting in self._rounds if waiting]
        self.due = min(firsts, default=None)
