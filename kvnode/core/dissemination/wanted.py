"""
Pushes that a node has heard of and not had, and whom to ask for them, when.

A push that was announced is waited for first: most likely its payload is on its way
by the tree.  How long is learned, since it depends on disks as much as on wires: a
payload that comes unasked after all says that patience was too short, one that had to
be asked for lets it shrink.  Then holders are asked in quick succession, two at once
where an answer takes long: what is lost with one message in ten is lost with all of
four in ten thousand times.

References:
    Leitao, Pereira & Rodrigues, 2007.  Epidemic broadcast trees.  Section 3.7.
    Dean & Barroso, 2013.  The tail at scale: hedged requests.
"""

import heapq
from dataclasses import dataclass, field

from kvnode.core.dissemination.messages import PushId
from kvnode.core.dissemination.overlay import Tree
from kvnode.types import Millis, ReplicaId

WANTED_MAX = 4096
"""Beyond, announcements are not heeded; a later round or a delta brings them."""

HOLDERS_MAX = 8
"""Remembered for each push; also of those who asked for what is not here yet."""

ATTEMPTS_MAX = 20
"""They take some seconds; after them the push is left to a delta."""

QUICK_ATTEMPTS = 2
"""Attempts that do not wait for the answer to the one before, and ask two."""

HEDGE = Millis(20)
"""After a quick attempt, at most; well under a round trip between continents."""

BACK_OFF_MAX = Millis(500)

PATIENCE_MIN = Millis(5)
"""Two hops in a region take as long."""

PATIENCE_MAX = Millis(200)
"""A disk that syncs more slowly is ill; then a payload may be had twice."""


class Patience:
    """How long a payload may lag behind its announcement, in ms."""

    def __init__(self) -> None:
        self.span = PATIENCE_MIN

    def was_short(self) -> None:
        """Note that a payload came unasked though it had been asked for."""
        self.span = Millis(min(PATIENCE_MAX, self.span + self.span // 2))

    def was_enough(self) -> None:
        """Note that a payload would not have come unasked."""
        self.span = Millis(self.span - (self.span - PATIENCE_MIN + 3) // 4)


@dataclass(slots=True)
class Want:
    """One push that is not here."""

    tree: Tree
    due: Millis  # when to ask next
    holders: list[ReplicaId] = field(default_factory=list)
    asked: dict[ReplicaId, int] = field(default_factory=dict)  # how often
    absent: set[ReplicaId] = field(default_factory=set)  # who keep it no longer
    askers: list[ReplicaId] = field(default_factory=list)  # who asked us for it
    attempts: int = 0

    def held_by(self, peer: ReplicaId) -> None:
        """Note that *peer* has it."""
        if peer not in self.holders and len(self.holders) < HOLDERS_MAX:
            self.holders.append(peer)

    def asked_by(self, peer: ReplicaId) -> None:
        """Note that *peer* wants it from us."""
        if peer not in self.askers and len(self.askers) < HOLDERS_MAX:
            self.askers.append(peer)

    def choose(self, candidates: list[ReplicaId], count: int) -> list[ReplicaId]:
        """Return *count* of those that have been asked least, the first ones first."""
        able = [peer for peer in candidates if peer not in self.absent]
        able.sort(key=lambda peer: self.asked.get(peer, 0))
        return able[:count]

    def ask(self, peers: list[ReplicaId], rtt: Millis, now: Millis) -> None:
        """Note that *peers*, *rtt* away, are asked now, and when to ask again."""
        for peer in peers:
            self.asked[peer] = self.asked.get(peer, 0) + 1
        self.attempts += 1
        span = rtt + rtt // 4 + 3
        if self.attempts <= QUICK_ATTEMPTS:
            span = min(span, HEDGE)
        else:
            span = min(span << (self.attempts - QUICK_ATTEMPTS - 1), BACK_OFF_MAX)
        self.due = Millis(now + span)


class Wanted:
    """All that is wanted, by name; bounded."""

    def __init__(self) -> None:
        self._wants: dict[PushId, Want] = {}
        self._timers: list[tuple[Millis, PushId]] = []

    def __len__(self) -> int:
        """Return how many pushes are wanted."""
        return len(self._wants)

    def get(self, name: PushId) -> Want | None:
        """Return what is noted of a push."""
        return self._wants.get(name)

    def names(self) -> list[PushId]:
        """Return what is wanted, the longest wanted first."""
        return list(self._wants)

    def add(self, name: PushId, tree: Tree, due: Millis) -> Want | None:
        """Want a push from now on; None if too many are wanted already."""
        if len(self._wants) >= WANTED_MAX:
            return None
        want = self._wants[name] = Want(tree, due)
        heapq.heappush(self._timers, (due, name))
        return want

    def hasten(self, name: PushId, due: Millis) -> None:
        """Ask for a push at *due*, if that is sooner than it would be asked for."""
        want = self._wants[name]
        if due < want.due:
            want.due = due
            heapq.heappush(self._timers, (due, name))

    def again(self, name: PushId) -> None:
        """Wait for the time that was set by asking for a push."""
        heapq.heappush(self._timers, (self._wants[name].due, name))

    def pop(self, name: PushId) -> Want | None:
        """Forget a push; return what was noted of it."""
        return self._wants.pop(name, None)

    @property
    def due(self) -> Millis | None:
        """When the next push is to be asked for."""
        while self._timers and not self._is_current(*self._timers[0]):
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def take_due(self, now: Millis) -> list[PushId]:
        """Return what is to be asked for now; `again` or `pop` must follow for each."""
        found = []
        while (due := self.due) is not None and due <= now:
            found.append(heapq.heappop(self._timers)[1])
        return list(dict.fromkeys(found))

    def clock_stepped_back(self, span: Millis) -> None:
        """Keep the time that is left when the clock goes back by *span*."""
        for want in self._wants.values():
            want.due = Millis(want.due - span)
        self._timers = [(want.due, name) for name, want in self._wants.items()]
        heapq.heapify(self._timers)

    def _is_current(self, due: Millis, name: PushId) -> bool:
        want = self._wants.get(name)
        return want is not None and want.due == due
