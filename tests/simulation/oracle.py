"""
The oracle: what must be true of a cluster, from knowing every accepted write.

It is told of each write when it is durable, by nobody but the node that accepted
it, and judges nodes by their stores alone.  What merging means it takes from
`kvnode.core.versions.merge`, whose laws are tested for themselves; everything
about delivery, coverage, crashes and sessions is judged by comparison:

    I1    what a node holds includes every write that it covers: merging such a
          write into it changes nothing
    I2    with a write, all is covered that its session had seen
    W2    an entry on its way to a peer has only dots that are durable at home
    S1    a session is shown at least what it has seen, and what the writers of
          that had seen before they wrote it: causal consistency
    R4    a write that nobody overwrote knowingly is in the end, or in some log
    G2    what is missing is forgotten, or was ended by what is forgotten; floors
          rise, and are below the clock
    G2b   nothing is held that was ended by what is forgotten

What only a site had that was restored from a copy, or starts over, may be lost.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from kvnode.core.clocks.key_clock import covers
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.versions.floor import GROUND, Floor, forgets, mortal_from
from kvnode.core.versions.store_view import (
    Commit,
    DurableState,
    Mortal,
    StartOver,
    StoreView,
)
from kvnode.core.versions.version import Entry, Version, outranks
from kvnode.types import Dot, EntryKey, HlcTimestamp, ReplicaId
from tests.strategies import content, merge_entries

Knowledge = dict[EntryKey, Entry]
"""For each key the join of all that somebody has seen of it."""


class ViolationError(AssertionError):
    """A rule does not hold; the message begins with the rule's name."""


class Accepted(NamedTuple):
    """A durable write, and what its session had seen."""

    key: EntryKey
    entry: Entry
    seen: tuple[Dot, ...]


def includes(held: Entry | None, entry: Entry) -> bool:
    """Tell whether *held* is *entry*, or supersedes or contains it."""
    return held is not None and (
        held == entry or content(merge_entries(held, entry).entry) == content(held)
    )


class Oracle:
    """Every accepted write, and the rules they must obey."""

    def __init__(self) -> None:
        self.writes: dict[Dot, Accepted] = {}
        self.durable: VersionVector = EMPTY  # of every replica, by itself
        self._pasts: dict[Dot, Knowledge] = {}
        self._losers: dict[EntryKey, list[Entry]] = {}
        self._floor = GROUND  # what anybody has forgotten
        self._floors: dict[ReplicaId, Floor] = {}
        self._mortals: dict[EntryKey, list[Version]] = {}
        self._lost: VersionVector = EMPTY  # what may be on no disk any more
        self._included: dict[tuple[str, Dot], Entry] = {}  # by what a node held
        self._judged: dict[str, tuple[DurableState, int]] = {}

    # -- what is heard -------------------------------------------------------

    def committed(self, replica: ReplicaId, commit: Commit | None) -> None:
        """Note what a node has made durable."""
        if commit is None:
            return
        for first, last in commit.state.clock.spans(replica):
            self.durable = self.durable.with_range(replica, first, last)
        floor = commit.state.floor
        if not floor.includes(self._floors.get(replica, GROUND)):
            message = f"G2: the floor of {replica:x} went back to {floor}"
            raise ViolationError(message)
        self._floors[replica] = floor
        self._floor = self._floor.join(floor)
        for key, entry, _ in commit.writes:
            if entry is None or entry.version.dot.replica != replica:
                continue
            if mortal_from(entry.version) is not None:
                self._mortals.setdefault(key, []).append(entry.version)
        for key, log in commit.conflicts.items():
            self._losers.setdefault(key, []).extend(record.loser for record in log)

    def accepted(
        self, key: EntryKey, entry: Entry, seen: tuple[Dot, ...], past: Knowledge
    ) -> None:
        """Note a write of a session that had seen *seen* and knew *past*."""
        dot = entry.version.dot
        known = self.writes.get(dot)
        if known is not None:
            # A set's update that changed nothing is answered with what is held.
            if known.key != key or not includes(entry, known.entry):
                message = f"dots: {dot} was given to two writes"
                raise ViolationError(message)
            return
        self.writes[dot] = Accepted(key, entry, seen)
        knowledge = dict(past)
        for other in entry.version.index_dots:
            self._add_past(knowledge, other)
        self.learn(knowledge, key, entry)
        self._pasts[dot] = knowledge

    def _add_past(self, knowledge: Knowledge, dot: Dot) -> None:
        for key, entry in self._pasts.get(dot, {}).items():
            self.learn(knowledge, key, entry)

    def learn(self, knowledge: Knowledge, key: EntryKey, entry: Entry) -> None:
        """
        Add *entry* to what is known.

        What was ended by something forgotten is not merged with what came after.
        """
        known = knowledge.get(key)
        if known is not None and self._ended(key, known.version, self._floor):
            known = None
        if known is None or not self._ended(key, entry.version, self._floor):
            knowledge[key] = merge_entries(known, entry).entry

    def may_lose(self, kept: VersionVector) -> None:
        """Note that what is written so far may be lost, but for what *kept* covers."""
        self._lost = self._lost.join(self.durable.minus(kept))

    def given_up(self, claimed: VersionVector) -> None:
        """Note what all members cover by agreement, of which some is nowhere."""
        self._lost = self._lost.join(claimed)

    def starts_over(self, view: StoreView, mark: StartOver) -> None:
        """Note what a site may lose that starts over: what nobody else covers."""
        for _, entry in held_by(view):
            for replica, seq in entry.version.index_dots:
                if not mark.covered.covers(Dot(replica, seq)):
                    self._lost = self._lost.with_range(replica, seq, seq)

    def _gone(self, key: EntryKey, entry: Entry) -> bool:
        """Tell whether *entry* may be missing: it is forgotten, ended or lost."""
        version = entry.version
        return (
            forgets(self._floor, version)
            or self._ended(key, version, self._floor)
            or any(map(self._lost.covers, version.index_dots))
        )

    def _ended(self, key: EntryKey, version: Version, floor: Floor) -> bool:
        """Tell whether something that *floor* forgets may have ended *version*."""
        return any(
            forgets(floor, other) and outranks(other, version)
            for other in self._mortals.get(key, ())
        )

    def _surely_ended(self, key: EntryKey, version: Version, floor: Floor) -> bool:
        """Tell whether it has: a deletion that may be lost is known to nobody then."""
        return any(
            forgets(floor, other)
            and outranks(other, version)
            and not self._lost.covers(other.dot)
            for other in self._mortals.get(key, ())
        )

    # -- what is judged ------------------------------------------------------

    def check_node(self, name: str, view: StoreView) -> None:
        """Judge a node by its store: I1, I2 and the index."""
        state = view.state()
        clock = state.clock
        before, count = self._judged.get(name, (None, 0))
        if before is state and count == len(self.writes):
            return  # nothing was committed: what is forgotten or lost excuses only more
        self._judged[name] = state, len(self.writes)
        if not clock.includes(state.floor.vector):
            message = f"G2: {name} forgets {state.floor} and covers {clock}"
            raise ViolationError(message)
        held = dict(held_by(view))
        for dot, (key, entry, seen) in self.writes.items():
            if not clock.covers(dot) or state.filling is not None:
                continue  # what is being filled serves nobody
            if not self._holds(name, held.get(key), dot) and not self._gone(key, entry):
                message = f"I1: {name} covers {dot} of {key.key!r} and lacks it"
                raise ViolationError(message)
            if not all(clock.covers(d) or self._lost.covers(d) for d in seen):
                message = f"I2: {name} covers {dot} without all of {seen}"
                raise ViolationError(message)
        for key, entry in held.items():
            if self._surely_ended(key, entry.version, state.floor):
                message = f"G2b: {name} holds {entry} of {key.key!r}, which was ended"
                raise ViolationError(message)
        self._check_rows(name, view, held)

    def _holds(self, name: str, held: Entry | None, dot: Dot) -> bool:
        """Tell whether *held* includes a write; merge only if it is another by now."""
        if held is not None and self._included.get((name, dot)) is held:
            return True
        if not includes(held, self.writes[dot].entry):
            return False
        assert held is not None, "nothing includes nothing"
        self._included[name, dot] = held
        return True

    @staticmethod
    def _check_rows(name: str, view: StoreView, held: Knowledge) -> None:
        """Judge by which rows entries are found."""
        rows = sorted(
            row
            for replica in view.indexed_replicas()
            for row in view.index(replica, 1, None)
        )
        due = sorted(
            (dot, key) for key, e in held.items() for dot in e.version.index_dots
        )
        if rows != due:
            message = f"index: {name} has rows {rows} for entries at {due}"
            raise ViolationError(message)
        mortals = [
            Mortal(until, entry.version.dot, key)
            for key, entry in held.items()
            if (until := mortal_from(entry.version)) is not None
        ]
        if list(view.mortals(HlcTimestamp(2**63 - 1))) != sorted(mortals):
            message = f"index: {name} has other rows of what may go than {mortals}"
            raise ViolationError(message)

    def check_sent(self, entries: Iterable[Entry]) -> None:
        """Judge what a node tells a peer: W2."""
        for entry in entries:
            for dot in entry.version.index_dots:
                if not self.durable.covers(dot):
                    message = f"W2: {dot} is sent before it is durable at home"
                    raise ViolationError(message)

    def check_read(
        self, knowledge: Knowledge, key: EntryKey, entry: Entry | None
    ) -> None:
        """Judge what a session is shown: S1; then let it know that."""
        if key in knowledge:
            self.check_shown(knowledge[key], key, entry)
        if entry is not None:
            self.learn_read(knowledge, key, entry)

    def check_shown(self, known: Entry, key: EntryKey, entry: Entry | None) -> None:
        """Judge what a session that knows *known* is shown of *key*."""
        if not includes(entry, known) and not self._gone(key, known):
            message = f"S1: a session knows {known} and is shown {entry}"
            raise ViolationError(message)

    def learn_read(self, knowledge: Knowledge, key: EntryKey, entry: Entry) -> None:
        """Let a session know *entry*, and what its writers knew."""
        for dot in entry.version.index_dots:
            self._add_past(knowledge, dot)
        self.learn(knowledge, key, entry)

    def check_end(self, views: Mapping[str, StoreView], *, all_kept: bool) -> None:
        """
        Judge the quiet end: convergence, nothing lost, every loser accounted for.

        Args:
            views: The stores of all nodes.
            all_kept: No node may have lost what it accepted (`fsync`).
        """
        names = sorted(views)
        clocks = {name: views[name].state().clock for name in names}
        held = {name: dict(held_by(views[name])) for name in names}
        first = names[0]
        # What a node lost for good may be held elsewhere and be covered by nobody.
        limbo = set() if all_kept else set(_uncovered(held, clocks))
        contents = {
            name: {
                key: content(entry)
                for key, entry in held[name].items()
                if key not in limbo
            }
            for name in names
        }
        for name in names[1:]:
            _check_same(clocks[first], clocks[name], "clocks")
            _check_same(contents[first], contents[name], "entries")
        expected: Knowledge = {}
        for dot, (key, entry, _) in self.writes.items():
            if self._gone(key, entry):
                continue
            if clocks[first].covers(dot):
                self.learn(expected, key, entry)
            elif all_kept:
                message = f"end: accepted write {dot} is lost"
                raise ViolationError(message)
        for key, entry in expected.items():
            if not includes(held[first].get(key), entry):
                message = f"end: {key.key!r} should hold {entry}"
                raise ViolationError(message)
        if all_kept:
            self._check_losers(held[first])

    def _check_losers(self, final: Knowledge) -> None:
        newer: dict[EntryKey, list[Entry]] = {}
        for key, entry, _ in self.writes.values():
            newer.setdefault(key, []).append(entry)
        for dot, (key, _, _) in self.writes.items():
            known = [final[key]] if key in final else []
            known += self._losers.get(key, ())
            clocks = [version.key_clock for version in self._mortals.get(key, ())]
            known += (e for e in newer[key] if e.version.dot != dot)
            if forgets(self._floor, self.writes[dot].entry.version):
                continue
            clocks += (entry.version.key_clock for entry in known)
            if not any(covers(clock, dot) for clock in clocks):
                message = f"R4: {dot} of {key.key!r} lost and is in no conflict log"
                raise ViolationError(message)


def _uncovered(
    held: dict[str, Knowledge], clocks: dict[str, VersionVector]
) -> Iterator[EntryKey]:
    for name, entries in held.items():
        for key, entry in entries.items():
            if not clocks[name].covers_all(entry.version.index_dots):
                yield key


def held_by(view: StoreView) -> Iterator[tuple[EntryKey, Entry]]:
    """Yield all entries of a store."""
    for namespace in view.namespaces():
        for key, entry in view.scan(namespace):
            yield EntryKey(namespace, key), entry


def _check_same(one: object, other: object, what: str) -> None:
    if one != other:
        message = f"end: {what} differ: {one} {other}"
        raise ViolationError(message)
