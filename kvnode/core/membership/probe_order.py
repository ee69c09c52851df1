"""
Whom to probe next: all members in random order, then all again in another.

Choosing at random each time would leave some member unprobed for any length of
time.  Going round a shuffled list bounds that by twice the number of members, less
one, and keeps the expected time to the first detection.  The shuffle is done one
draw at a time, as members come up, so that no step pays for a whole one.

References:
    Das, Gupta & Motivala, 2002.  SWIM.  Section 4.3.
    Durstenfeld, 1964.  Algorithm 235: Random permutation.
"""

from collections.abc import Iterator
from itertools import islice

from kvnode.core.membership.events import Rng
from kvnode.types import ReplicaId


class ProbeOrder:
    """Members, those that have had their turn in this round first."""

    def __init__(self) -> None:
        self._members: list[ReplicaId] = []
        self._place: dict[ReplicaId, int] = {}
        self._had_turn = 0

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self._members)

    def add(self, member: ReplicaId) -> None:
        """
        Take *member* in, who is not in yet; its first turn is in the next round.

        Were it in this round, members that die and come back every few seconds
        would have all the turns, and nobody else would be probed any more.
        """
        assert member not in self._place, "a member has one place"
        self._place[member] = len(self._members)
        self._members.append(member)
        self._swap(self._had_turn, len(self._members) - 1)
        self._had_turn += 1

    def remove(self, member: ReplicaId) -> None:
        """Take *member* out, who is in; the others keep their turns."""
        place = self._place[member]
        if place < self._had_turn:
            self._had_turn -= 1
            self._swap(place, self._had_turn)
            place = self._had_turn
        self._swap(place, len(self._members) - 1)
        self._members.pop()
        del self._place[member]

    def next(self, rng: Rng) -> ReplicaId | None:
        """Return whose turn it is; None if there is nobody."""
        if not self._members:
            return None
        if self._had_turn == len(self._members):
            self._had_turn = 0
        turn = self._had_turn
        self._swap(turn, turn + rng.randrange(len(self._members) - turn))
        self._had_turn += 1
        return self._members[turn]

    def some(self, count: int, rng: Rng) -> Iterator[ReplicaId]:
        """Yield up to *count* different members, from a random place on."""
        if not self._members:
            return
        start = rng.randrange(len(self._members))
        end = min(count, len(self._members))
        yield from islice(self._members, start, start + end)
        yield from islice(self._members, max(0, start + end - len(self._members)))

    def _swap(self, a: int, b: int) -> None:
        members = self._members
        members[a], members[b] = members[b], members[a]
        self._place[members[a]], self._place[members[b]] = a, b
