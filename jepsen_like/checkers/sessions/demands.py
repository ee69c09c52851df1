"""
All demands of the four guarantees, for histories whose order of writes is not known.

Demands are edges of a graph whose nodes are writes.  Where a session must be shown
nothing older than any of a growing number of writes, those are put together: a node
of its own stands for all of them so far, so that each later read needs one edge.  The
graph has O(n · sessions) edges, kept in flat arrays.  What a node of several writes
precedes may be one of them: that is no contradiction, only two writes that must each
come before the other are.

Where some writes have ranks, edges of no guarantee put those in their order.

What is demanded to come before the initial state is contradictory by itself and is
kept apart.
"""

from array import array
from bisect import bisect_left
from itertools import groupby

from jepsen_like.checkers.sessions.guarantees import BY_RANK, Demand, Guarantee
from jepsen_like.checkers.sessions.observations import (
    INITIAL,
    NO_PROCESS,
    Event,
    Observations,
)
from jepsen_like.history.operation import Key


class Demands:
    """
    The graph.

    Attributes:
        befores: Where each edge starts.
        afters: Where it ends.
        kinds: Which guarantee demands it, or BY_RANK.
        causes: Index of the event that shows it, or -1.
        impossible: Demands to come before the initial state.
        places: A guess at the order of writes, by number: key after key, those of a
            key by rank or as they were called.
        write_count: Nodes below this are writes; the others stand for several.
    """

    def __init__(self, write_count: int) -> None:
        self.befores = array("q")
        self.afters = array("q")
        self.kinds = array("b")
        self.causes = array("q")
        self.impossible: list[Demand] = []
        self.places = list(range(write_count))
        self.write_count = write_count
        self._gathered: list[tuple[int, int]] = []

    def add(self, before: int, after: int, kind: int, cause: int) -> None:
        """Demand that *before*, or all it stands for but *after*, precedes *after*."""
        writes = self.write_count
        while before >= writes and self._gathered[before - writes][1] == after:
            before = self._gathered[before - writes][0]
        if before == after:
            return
        if after == INITIAL:
            before = self.last_of(before)
            self.impossible.append(Demand(before, after, kind, cause))
            return
        self.befores.append(before)
        self.afters.append(after)
        self.kinds.append(kind)
        self.causes.append(cause)

    def last_of(self, node: int) -> int:
        """Return the write that was put last to those for which *node* stands."""
        if node < self.write_count:
            return node
        return self._gathered[node - self.write_count][1]

    def node_places(self) -> list[int]:
        """Return for every node the place of the last write for which it stands."""
        places = list(self.places)
        for so_far, one in self._gathered:
            places.append(max(places[so_far], places[one]))
        return places

    def gather(self, so_far: int | None, one: int, kind: int, cause: int) -> int:
        """Return a node for all that *so_far* stands for and *one*."""
        if so_far is None or self.last_of(so_far) == one:
            return one if so_far is None else so_far
        node = self.write_count + len(self._gathered)
        self._gathered.append((so_far, one))
        self.add(so_far, node, kind, cause)
        self.add(one, node, kind, cause)
        return node


def demands_of(observations: Observations) -> Demands:
    """Return all that the guarantees demand of the order of writes."""
    collector = _Collector(observations)
    collector.rank()
    for index, event in enumerate(observations.events):
        if event.write is not None:
            collector.write(index, event, event.write)
        else:
            collector.read(index, event)
    for index, event in enumerate(observations.events):
        if event.write is None:
            collector.see(index, event)
    return collector.demands


class _Past:
    """What a process did with one key so far; nodes by the positions they reach to."""

    __slots__ = (
        "acknowledged",
        "last_read",
        "read",
        "read_positions",
        "written",
        "written_positions",
    )

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.written_positions: list[int] = []
        self.written: int | None = None
        self.last_read: int | None = None
        self.read: list[int] = []
        self.read_positions: list[int] = []


class _Collector:
    """Goes through the history twice: what sessions did, and what others saw of it."""

    def __init__(self, observations: Observations) -> None:
        self.demands = Demands(len(observations.writes))
        self._observations = observations
        self._pasts: dict[Key, dict[int, _Past]] = {}
        self._seen: dict[int, dict[int, int]] = {}

    def rank(self) -> None:
        """Put the writes of each key that have ranks in their order."""
        demands = self.demands
        by_key: dict[Key, list[int]] = {}
        for number, write in enumerate(self._observations.writes):
            by_key.setdefault(write.key, []).append(number)
        place = 0
        for numbers in by_key.values():
            ranks = {number: self._rank_of(number) for number in numbers}
            known = {number: r for number, r in ranks.items() if r is not None}
            if len(known) == len(numbers):
                numbers.sort(key=known.__getitem__)
            for number in numbers:
                demands.places[number] = place
                place += 1
            before: int | None = None
            ordered = sorted(known, key=known.__getitem__)
            for _, group in groupby(ordered, key=known.__getitem__):
                equal = list(group)
                if before is not None:
                    for number in equal:
                        demands.add(before, number, BY_RANK, -1)
                before = None
                for number in equal:
                    before = demands.gather(before, number, BY_RANK, -1)

    def _rank_of(self, number: int) -> int | None:
        return self._observations.writes[number].rank

    def _past(self, key: Key, process: int) -> _Past:
        of_key = self._pasts.setdefault(key, {})
        past = of_key.get(process)
        if past is None:
            past = of_key[process] = _Past()
        return past

    def write(self, index: int, event: Event, number: int) -> None:
        """Put write *number* after what its session had written and read."""
        past = self._past(event.key, event.process)
        if past.acknowledged:
            self.demands.add(
                past.acknowledged[-1], number, Guarantee.MONOTONIC_WRITES, index
            )
        if past.read:
            self.demands.add(
                past.read[-1], number, Guarantee.WRITES_FOLLOW_READS, index
            )
        write = self._observations.writes[number]
        if write.acknowledged and not write.lost:
            past.acknowledged.append(number)
            past.written_positions.append(event.position)
            past.written = self.demands.gather(
                past.written, number, Guarantee.READ_YOUR_WRITES, index
            )

    def read(self, index: int, event: Event) -> None:
        """Put what was read after what its session had written and read."""
        shown = event.ceiling if event.source is None else event.source
        if shown is None:
            return
        past = self._past(event.key, event.process)
        if past.written is not None:
            self.demands.add(past.written, shown, Guarantee.READ_YOUR_WRITES, index)
        if past.last_read is not None:
            self.demands.add(past.last_read, shown, Guarantee.MONOTONIC_READS, index)
        if event.source is None or event.source == INITIAL:
            return
        if self._observations.writes[event.source].lost:
            return
        past.last_read = event.source
        past.read.append(
            self.demands.gather(
                past.read[-1] if past.read else None,
                event.source,
                Guarantee.WRITES_FOLLOW_READS,
                index,
            )
        )
        past.read_positions.append(event.position)

    def see(self, index: int, event: Event) -> None:
        """Put what was read after what comes with writes that its session was shown."""
        shown = event.ceiling if event.source is None else event.source
        if shown is None:
            return
        seen = self._seen.setdefault(event.process, {})
        if event.source is not None and event.source != INITIAL:
            write = self._observations.writes[event.source]
            if write.process not in {event.process, NO_PROCESS}:
                position = max(seen.get(write.process, 0), write.position)
                seen[write.process] = position
        for process, past in self._pasts.get(event.key, {}).items():
            position = seen.get(process, 0)
            if past.written_positions and past.written_positions[0] < position:
                place = bisect_left(past.written_positions, position) - 1
                self.demands.add(
                    past.acknowledged[place], shown, Guarantee.MONOTONIC_WRITES, index
                )
            if past.read_positions and past.read_positions[0] < position:
                place = bisect_left(past.read_positions, position) - 1
                self.demands.add(
                    past.read[place], shown, Guarantee.WRITES_FOLLOW_READS, index
                )
