"""
Forgetting: when deletions and expired entries may go, and letting them go.

A deletion may be forgotten when no older version of its key can turn up any more
(rule G1).  That is so at a node when

  1. every member has reported a clock that covers it.  A member that was cut off, or
     is down, holds up forgetting until it is back, or is removed by an explicit act:
     there is no timer (rule G3);
  2. all those reports were made with the same roster, so that nobody is left out who
     has joined meanwhile;
  3. the node covers all that any of those reports covered or held, so that nothing
     which was on its way when they were made can still be new to it.  What a member
     writes afterwards builds on the deletion, and is stamped above it.

1 and 2 give a *floor* that any node may adopt for which 3 holds.  The member with the
smallest ReplicaId among those connected works floors out, so that all use the same
ones; the others hear of a floor by reports, and adopt it when they cover what the
reporting peer did.  What comes later with a stamp from before the floor is looked at
with care (kvnode.core.versions.floor, docs/decisions/0012).

What is known of reports is forgotten in a crash, and heard again.

References:
    Wuu & Bernstein, 1984.  Efficient solutions to the replicated log and dictionary
        problems: dropping what everybody is known to have.
    Baquero, Almeida & Shoker, 2014.  Making operation-based CRDTs operation-based:
        causal stability.
"""

from collections.abc import Collection
from functools import reduce
from itertools import islice
from typing import NamedTuple

from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.seeds import Seeds
from kvnode.core.node.turn import Turn
from kvnode.core.versions.floor import Floor, forgets
from kvnode.core.versions.store_view import Mortal
from kvnode.errors import DamagedRecordError
from kvnode.types import Millis, ReplicaId

LOOKED_AT_PER_TURN_MAX = 500
"""Rows looked at in one turn, and so at most dropped: about 5 ms."""


class Word(NamedTuple):
    """
    What a member said last: what it covers and holds, with which roster, when.

    If it has not met who is at some of its seeds (kvnode.core.node.seeds), nothing is
    forgotten upon its word.
    """

    clock: VersionVector
    held: VersionVector
    roster: int
    sent_at: Millis
    unmet: bool = False


Words = dict[ReplicaId, Word]


class _Wanted(NamedTuple):
    """A floor to adopt as soon as this node covers *known*."""

    floor: Floor
    known: VersionVector


class Forgetting:
    """The volatile half of forgetting; the floor itself is durable."""

    def __init__(self, interval: Millis, seeds: Seeds) -> None:
        """
        Make it.

        Args:
            interval: A floor is worked out at most so often, in ms.
            seeds: Who must have been met before the first one.
        """
        self.seeds = seeds
        self._interval = interval
        self._words: dict[ReplicaId, Word] = {}
        self._wanted: _Wanted | None = None
        self._due = Millis(0)
        self._after: Mortal | None = None
        self._begin_collecting()  # a crash may have come in the middle of it
        self.dropped = 0

    @property
    def settled(self) -> bool:
        """Tell whether all that the floor forgets is gone from the store."""
        return not self._passes

    def abort(self) -> None:
        """A turn has not happened: look again at what it may have dropped."""
        self._begin_collecting()

    def heard(self, replica: ReplicaId, word: Word) -> None:
        """Take in what a member said last."""
        self._words[replica] = word

    def heard_floor(self, floor: Floor, clock: VersionVector, turn: Turn) -> None:
        """Adopt *floor*, too, once this node covers what its adopter does: *clock*."""
        wanted = self._wanted
        if turn.floor.includes(floor):
            return
        if wanted is not None and wanted.floor == floor:
            # A peer that is always a little ahead must not be waited for for ever,
            # nor what it does not claim any more.
            if not clock.includes(wanted.known):
                self._wanted = _Wanted(floor, clock)
        elif wanted is None or floor.includes(wanted.floor):
            self._wanted = _Wanted(floor, clock)

    def advance(self, turn: Turn) -> None:
        """Adopt the floor that was waited for, if it is time; drop a few entries."""
        if turn.filling is not None:
            self._begin_collecting()  # its senders' floor comes with the last page
            return  # what is here is not all that the clock will claim
        wanted = self._wanted
        if wanted is not None and turn.clock.includes(wanted.known):
            self._wanted = None
            self.adopt(wanted.floor, turn)
        if self._passes:
            self._collect(turn)

    def held_by(self, replica: ReplicaId) -> VersionVector:
        """Return what *replica* said last that it holds, beside what it covers."""
        word = self._words.get(replica)
        return EMPTY if word is None else word.held

    def word_of(self, replica: ReplicaId) -> Word | None:
        """Return what *replica* said last; None = nothing since this node started."""
        return self._words.get(replica)

    def lacking(self, clock: VersionVector) -> int:
        """Return how many writes *clock* lacks to adopt the floor that is next."""
        wanted = self._wanted
        return 0 if wanted is None else wanted.known.count_missing_from(clock)

    def adopt(self, floor: Floor, turn: Turn) -> None:
        """
        Stage that all is forgotten up to *floor*, which this node covers.

        What is written here from now on is stamped above all that is forgotten.
        """
        assert turn.clock.includes(floor.vector), "a floor is below the clock"
        turn.floor = turn.floor.join(floor)
        turn.hlc = max(turn.hlc, turn.floor.hlc)
        self._begin_collecting()

    def _begin_collecting(self) -> None:
        self._passes = 2  # rows of a commit under way are seen by the second alone
        self._after = None

    def _collect(self, turn: Turn) -> None:
        rows = turn.mortals(turn.floor.hlc, self._after)
        looked_at = 0
        for row in islice(rows, LOOKED_AT_PER_TURN_MAX):
            looked_at += 1
            self._after = row
            try:
                stored = turn.entry(row.key)
            except DamagedRecordError:
                if self._drop_damaged(row, turn):
                    return  # one a turn: it has cost a walk through the index
                continue
            if stored is not None and forgets(turn.floor, stored.version):
                turn.drop(row.key, stored)
                self.dropped += 1
        if looked_at < LOOKED_AT_PER_TURN_MAX:
            self._passes -= 1
            self._after = None

    def _drop_damaged(self, row: Mortal, turn: Turn) -> bool:
        """
        Drop a damaged record if it is one that the floor forgets; tell whether it was.

        Peers have dropped it, so that nobody could heal it.  Its row tells all that
        matters, if it is of this record and not of one before.
        """
        replica, seq = row.dot
        pointed_at = (key for _, key in turn.index(replica, seq, seq))
        if not turn.floor.vector.covers(row.dot) or row.key not in pointed_at:
            return False
        if turn.dots_of(row.key) != (row.dot,):
            return False
        turn.drop_damaged(row.key, row.dot)
        self.dropped += 1
        return True

    def propose(
        self,
        turn: Turn,
        own: ReplicaId,
        held: VersionVector,
        connected: Collection[ReplicaId],
    ) -> None:
        """Work out a floor if it is due and this node's turn to do so."""
        if 0 < self._due - turn.now <= self._interval:
            return
        self._due = Millis(turn.now + self._interval)
        if turn.filling is not None or min((own, *connected)) != own:
            return
        if not turn.roster.counts(own):
            return  # it has not been told yet whom it belongs to
        said = self.words_of_all(turn, own)
        if said is None:
            return
        words = list(said.values())
        stable = reduce(VersionVector.meet, (w.clock for w in words), turn.clock)
        until = from_millis(min((turn.now, *(w.sent_at for w in words))))
        floor = Floor(stable, until).join(turn.floor)
        if floor.vector == turn.floor.vector and not self._frees(turn, floor):
            return
        known = reduce(
            VersionVector.join,
            (part for w in words for part in (w.clock, w.held)),
            turn.clock.join(held),
        )
        self._wanted = _Wanted(floor, known)

    def words_of_all(self, turn: Turn, own: ReplicaId) -> Words | None:
        """Return what every other member said last; None if that does not count yet."""
        if any(not peer.replica for peer in turn.peers):
            return None  # configured and never met: what it has is not known
        if self.seeds.unmet(turn):
            return None
        words = {}
        for member in turn.roster.members():
            if member.replica == own:
                continue
            word = self._words.get(member.replica)
            if word is None or word.unmet or word.roster != turn.roster.digest():
                return None
            words[member.replica] = word
        return words

    def _frees(self, turn: Turn, floor: Floor) -> bool:
        """Tell whether adopting *floor* would drop the first of what is due."""
        for row in islice(turn.mortals(floor.hlc), LOOKED_AT_PER_TURN_MAX):
            if row.due >= turn.floor.hlc and floor.vector.covers(row.dot):
                return True
        return False
