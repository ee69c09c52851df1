"""
Starting over: what becomes of a store from before the floor (rule G2b).

A peer has forgotten deletions that this store has not heard of: it is a backup from
before, or belonged to a node that was removed.  What the peer covers it knows better,
so all of that goes, and comes again by bootstrap.  What only this store has is kept if
nothing that was forgotten can have ended it, because all of that is stamped below the
floor.  The rest cannot be judged any more: it is *rescued*, for people to look at and
to import again as new writes.

What is rescued is here no more, so it is not claimed.  That only this store had it, the
peer says, and cannot know: another one may have been told.  If so, it comes back like
any write; up to where it went the roster tells (kvnode.core.node.closing).

Reference:
    docs/decisions/0012-forgetting.md
"""

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.versions.floor import GROUND, begun
from kvnode.core.versions.roster import NOT_CLOSED, Roster, Standing
from kvnode.core.versions.store_view import DurableState, Filling
from kvnode.core.versions.version import Version
from kvnode.types import Dot, ReplicaId


class Fate(Enum):
    """What becomes of one entry."""

    DROPPED = "dropped"  # the peer has it, or what superseded it
    KEPT = "kept"  # nobody else has it, and it is newer than all that was forgotten
    RESCUED = "rescued"  # nobody else has it, and it may have been deleted


def fate(version: Version, state: DurableState) -> Fate:
    """Return what becomes of an entry of *version* in a store that is marked."""
    mark, dots = state.start_over, version.index_dots
    assert mark is not None, "only a marked store starts over"
    if any(_is_claimed(dot, state.roster) for dot in dots):
        return Fate.RESCUED  # kept, it would be taken for known everywhere, or for lost
    if mark.covered.covers_all(dots):
        return Fate.DROPPED
    if not any(map(state.clock.covers, dots)):
        # Others have it, who may be gone; it would be claimed one day without having
        # been judged again.  What a bootstrap had brought, the next one brings again.
        return Fate.RESCUED if state.filling is None else Fate.DROPPED
    if state.roster.gone(state.replica) and not all(
        mark.covered.covers(dot) or _is_agreed_on(dot, state.roster) for dot in dots
    ):
        return Fate.RESCUED  # members may claim it, or what it depends on, without it
    return Fate.KEPT if begun(version) >= mark.floor.hlc else Fate.RESCUED


def _is_claimed(dot: Dot, roster: Roster) -> bool:
    record = roster.get(dot.replica)
    return record is not None and dot.seq > min(record.closed_above, record.lost_above)


def _is_agreed_on(dot: Dot, roster: Roster) -> bool:
    """Tell whether members know where the writes of a replica that is gone end."""
    record = roster.get(dot.replica)
    return record is not None and record.lost_above != NOT_CLOSED


def giving_up(state: DurableState, dots: Iterable[Dot]) -> DurableState:
    """
    Return *state* with what its roster is to tell of writes that are given up.

    Args:
        state: That of a store that is marked to start over.
        dots: Of entries that leave it, and that the peer may not have.
    """
    mark = state.start_over
    assert mark is not None, "only a marked store starts over"
    had = state.clock
    for replica, seq in dots:
        had = had.with_range(replica, seq, seq)
    had = had.minus(mark.covered)
    records = (r._replace(given_up=had.newest(r.replica)) for r in state.roster)
    return replace(state, roster=state.roster.join(records))


def begun_again(
    state: DurableState, fresh: ReplicaId, kept: VersionVector = EMPTY
) -> DurableState:
    """
    Return the state to go on with when all entries have met their fate.

    What is kept is claimed further.  So is all that this store had written, unless
    some was given up: it is here no more, nor is what it had superseded, and another
    peer may have that (I1).  Nor is it if members have agreed on where its writes end.
    All else comes by bootstrap, or from whoever has it.

    Args:
        state: That of the old store; it is marked to start over.
        fresh: The new identity.  The old one is finished.
        kept: The dots of the entries that are kept.
    """
    mark = state.start_over
    assert mark is not None, "only a marked store starts over"
    roster = state.roster
    written = VersionVector({state.replica: state.clock.spans(state.replica)})
    claimed = written.minus(mark.covered).join(kept)
    former = roster.get(state.replica)
    if former is not None:
        if former.given_up or former.lost_above != NOT_CLOSED:
            claimed = kept
        roster = roster.join((former._replace(standing=Standing.REMOVED),))
    return replace(
        state,
        replica=fresh,
        clock=claimed,
        pending=EMPTY,
        seq=0,
        hlc=max(state.hlc, mark.floor.hlc),
        roster=roster,
        floor=GROUND,
        filling=Filling(floor=mark.floor),
        start_over=None,
    )
