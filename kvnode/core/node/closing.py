"""
Closing: covering what is left of the writes of a replica that is gone.

A replica that died may have told some of its last writes to some peers.  Whoever has
one and lacks those before it does not cover it, and never will by waiting: the rest is
lost with the replica.  Sessions that have read it would wait for ever, and so would
forgetting.

Once every member knows that the replica is gone, nobody takes in anything of it that
is not among the members.  So when one node has taken from every other member all that
it holds of the replica, beyond what that member covers, it has all there is, and may
cover all of it: what it lacks exists nowhere, and to claim it harms nobody.  The others
then get the rest, and the claim, with a delta.  The member that works out floors does
this, too (kvnode.core.node.forgetting).

One may have it after all: the replica itself, if it was not dead, or a copy of its
store, which is another replica.  When it comes back it starts over, and must not take
such a claim for knowledge.  So the roster keeps up to where what is covered of the
replica was there in truth (`Member.closed_above`).

Of a replica whose store has started over, nobody may have the last writes any more:
they are in a recovery file.  Sessions know them all the same, so the roster tells up to
where they went (`Member.given_up`), and all up to there is covered, too, if that is
known by then.

What sessions know beyond all that is lost, and they must be told so instead of being
let wait.  That is true only if no member takes in anything of it later, from a copy of
the dead store that nobody has met yet, say.  So its end is agreed on in two rounds:

  1. all members have said what they have, and all of that is covered, as is what it
     depends on: the roster gets a fence after the last write that any of them has
     (`Member.fenced_from`).  Whoever knows the fence takes in nothing behind it.
  2. all members have said again what they have, with a roster that has the fence, and
     it is nothing behind it.  Then nobody will ever have more: the roster says so
     (`Member.lost_above`), for good.

If somebody had taken in more before it heard of the fence, the fence moves behind that,
and the second round begins again.  Whoever comes with more after it starts over.

References:
    docs/decisions/0015-the-last-writes-of-the-dead.md
    docs/decisions/0034-sessions-that-have-seen-what-is-lost.md
    Birman & Joseph, 1987.  Exploiting virtual synchrony: agreeing, at a change of
        membership, on which of the last messages of the dead were delivered.
    Skeen, 1981.  Nonblocking commit protocols: why what all are ready for is told in a
        round of its own.
"""

from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import islice

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.events import Tell
from kvnode.core.node.forgetting import Word
from kvnode.core.node.turn import Turn
from kvnode.core.versions.roster import NOT_CLOSED, Member, Roster
from kvnode.errors import DamagedRecordError
from kvnode.types import Dot, EntryKey, ReplicaId

HELD_MAX = 1000
"""Uncovered writes of one replica that are looked at: more come in later rounds."""


class Closing:
    """What this node has taken from whom, of replicas that are gone."""

    def __init__(self) -> None:
        self._taken: dict[ReplicaId, VersionVector] = {}
        self._asked: dict[ReplicaId, tuple[int, VersionVector]] = {}

    def held(self, turn: Turn) -> VersionVector:
        """Return what is stored of replicas that are gone, and not covered."""
        held = EMPTY
        for member in turn.roster.gone_for_good:
            for dot, _ in islice(uncovered(turn, member.replica), HELD_MAX):
                held = held.with_range(dot.replica, dot.seq, dot.seq)
        return held

    def advance(
        self,
        turn: Turn,
        words: Mapping[ReplicaId, Word],
        completed: Mapping[ReplicaId, int],
        *,
        waiting: VersionVector = EMPTY,
    ) -> ReplicaId | None:
        """
        Close what can be closed now.

        Args:
            turn: It has all members' rosters as its own.
            words: What every other member said last.
            completed: How many deltas of each were taken to their end.
            waiting: What was pushed here and is not covered, stored or not.

        Returns:
            Whom to ask for a delta before more can be closed, if anybody; `asked`
            notes that it has been.
        """
        for replica, (count, held) in list(self._asked.items()):
            if completed.get(replica, 0) > count:
                self._taken[replica] = held
                del self._asked[replica]
        own = self.held(turn)
        for member in turn.roster.gone_for_good:
            source = self._source(member.replica, turn, words)
            if source is not None:
                return source
            self._close(member.replica, turn, words, own)
        uncovered_ones = (own, waiting, *(word.held for word in words.values()))
        if not any(_of_the_gone(each, turn.roster) for each in uncovered_ones):
            for member in turn.roster.gone_for_good:
                _agree(member, turn, words)
        return None

    def asked(self, replica: ReplicaId, word: Word, completed: int) -> None:
        """Note that a delta was asked of *replica*, which said *word*."""
        self._asked[replica] = (completed, word.held)

    def drop_of(self, replica: ReplicaId) -> None:
        """Forget what was asked of *replica*: its connection is gone."""
        self._asked.pop(replica, None)

    def forget(self) -> None:
        """Forget all: a turn that may have taken something has not happened."""
        self._taken.clear()
        self._asked.clear()

    def _source(
        self, gone: ReplicaId, turn: Turn, words: Mapping[ReplicaId, Word]
    ) -> ReplicaId | None:
        """Return a member that holds something of *gone* which was not taken yet."""
        for replica, word in sorted(words.items()):
            known = turn.clock.join(self._taken.get(replica, EMPTY))
            if not known.includes(_part(word.held, gone)):
                return replica
        return None

    def _close(
        self,
        gone: ReplicaId,
        turn: Turn,
        words: Mapping[ReplicaId, Word],
        own: VersionVector,
    ) -> None:
        member = _record(turn, gone)
        parts = (_part(w.clock.join(w.held), gone) for w in words.values())
        known = reduce(VersionVector.join, parts, _part(turn.clock.join(own), gone))
        last = min(max(known.newest(gone), member.given_up), member.lost_above)
        covered = turn.clock.prefix(gone)
        if last <= covered or not all(
            turn.clock.includes(_part(w.clock, gone)) for w in words.values()
        ):
            return  # all is covered here, or comes with a delta
        needed = _dependencies(turn, gone)
        if needed is None:
            return
        _claim(turn, member, 1, last)
        for replica, seq in sorted(needed):
            other = _record(turn, replica)
            if seq <= other.lost_above:  # behind that it is known to be lost
                _claim(turn, other, seq, seq)  # nobody has it, or it would be here
        turn.effects.append(
            Tell(
                f"{member.name} ({gone:016x}) is gone, and of its writes from"
                f" {covered + 1} to {last} only what members have is left"
            )
        )


def _record(turn: Turn, replica: ReplicaId) -> Member:
    record = turn.roster.get(replica)
    assert record is not None, "only of one that is gone nothing is waited for"
    return record


def _agree(member: Member, turn: Turn, words: Mapping[ReplicaId, Word]) -> None:
    """
    Go one round further towards where the writes of *member* end.

    Args:
        member: One that is gone.  No member holds anything that is not covered of it,
            nor of another one that is gone, which might depend on it.
        turn: It has all members' rosters as its own.
        words: What every other member said last.
    """
    gone = member.replica
    if member.lost_above != NOT_CLOSED:
        return
    clocks = (turn.clock, *(word.clock for word in words.values()))
    last = max(member.given_up, *(clock.newest(gone) for clock in clocks))
    if member.fenced_from <= last:
        then = member._replace(fenced_from=last + 1)
    else:
        then = member._replace(lost_above=member.fenced_from - 1)
    turn.roster = turn.roster.join((then,))


def _of_the_gone(clock: VersionVector, roster: Roster) -> bool:
    """Tell whether *clock* has something of replicas that are gone."""
    return any(roster.gone(replica) for replica in clock.replicas())


def _claim(turn: Turn, member: Member, first: int, last: int) -> None:
    """Cover writes of *member* that nobody has, and tell where those begin."""
    covered = turn.clock.prefix(member.replica)
    turn.roster = turn.roster.join((member._replace(closed_above=covered),))
    turn.clock = turn.clock.with_range(member.replica, first, last)


def uncovered(turn: Turn, replica: ReplicaId) -> Iterator[tuple[Dot, EntryKey]]:
    """Yield the index rows of *replica* that this node does not cover, ascending."""
    for first, last in turn.clock.lacking(replica):
        yield from turn.index(replica, first, last)


def has_what_was_closed(turn: Turn, before: Roster) -> bool:
    """
    Tell whether this store has in truth what the others claim to have, or do without.

    They would never ask for it, nor take it.  Whoever has agreed to the closing knew
    before that the replica is gone; a copy of its store hears of both at once.  Who is
    being filled has agreed to nothing: it covers what it has kept, and was not asked.
    Behind the end of a replica whoever agreed to it has nothing, so of that no doubt is
    left.
    """
    is_whole = turn.filling is None
    return any(
        turn.clock.newest(member.replica)
        > min(
            member.lost_above,
            NOT_CLOSED
            if is_whole and before.gone(member.replica)
            else member.closed_above,
        )
        or _holds_above(turn, member.replica, member.lost_above)
        for member in turn.roster.gone_for_good
    )


def _holds_above(turn: Turn, replica: ReplicaId, seq: int) -> bool:
    if seq == NOT_CLOSED:
        return False
    return next(turn.index(replica, seq + 1, None), None) is not None


def _part(clock: VersionVector, replica: ReplicaId) -> VersionVector:
    spans = clock.spans(replica)
    return VersionVector({replica: spans}) if spans else EMPTY


def _dependencies(turn: Turn, gone: ReplicaId) -> set[Dot] | None:
    """
    Return what uncovered writes of *gone* depend on and is not covered (I2).

    Returns:
        None if some of it may still come, or a record cannot be read now.
    """
    needed: set[Dot] = set()
    for _, key in islice(uncovered(turn, gone), HELD_MAX):
        try:
            entry = turn.entry(key)
        except DamagedRecordError:
            return None
        for dot in entry.version.dependencies if entry is not None else ():
            if dot.replica == gone or turn.clock.covers(dot):
                continue
            if not turn.roster.gone(dot.replica):
                return None
            needed.add(dot)
    return needed
