"""
Starting over: what becomes of a store from before the floor (rule G2b).

A peer has forgotten deletions that this store has not heard of: it is a backup from
before, or belonged to a node that was removed.  What the peer covers it knows better,
so all of that goes, and comes again by bootstrap.  What only this store has is kept if
nothing that was forgotten can have ended it, because all of that is stamped below the
floor.  The rest cannot be judged any more: it is *rescued*, for people to look at and
to import again as new writes.

Reference:
    docs/decisions/0012-forgetting.md
"""

from dataclasses import replace
from enum import Enum

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.versions import store_view
from kvnode.core.versions.floor import GROUND
from kvnode.core.versions.roster import Standing
from kvnode.core.versions.store_view import DurableState, Filling
from kvnode.core.versions.version import CRDT_KINDS, Version
from kvnode.types import ReplicaId


class Fate(Enum):
    """What becomes of one entry."""

    DROPPED = "dropped"  # the peer has it, or what superseded it
    KEPT = "kept"  # nobody else has it, and it is newer than all that was forgotten
    RESCUED = "rescued"  # nobody else has it, and it may have been deleted


def fate(version: Version, mark: store_view.StartOver) -> Fate:
    """Return what becomes of an entry of *version*."""
    if mark.covered.covers_all(version.index_dots):
        return Fate.DROPPED
    begun = version.base.hlc if version.kind in CRDT_KINDS else version.hlc
    return Fate.KEPT if begun >= mark.floor.hlc else Fate.RESCUED


def begun_again(
    state: DurableState, fresh: ReplicaId, kept: VersionVector = EMPTY
) -> DurableState:
    """
    Return the state to go on with when all entries have met their fate.

    What only this store had written is claimed further: it is here, or was rescued.  So
    is what it had taken in and keeps.  All else comes by bootstrap, or from whoever
    wrote it: what was taken in and rescued is not here, and its writer may have it.

    Args:
        state: That of the old store; it is marked to start over.
        fresh: The new identity.  The old one is finished.
        kept: The dots of the entries that are kept.
    """
    mark = state.start_over
    assert mark is not None, "only a marked store starts over"
    roster = state.roster
    written = VersionVector({state.replica: state.clock.spans(state.replica)})
    former = roster.get(state.replica)
    if former is not None:
        roster = roster.join((former._replace(standing=Standing.REMOVED),))
    return replace(
        state,
        replica=fresh,
        clock=written.minus(mark.covered).join(kept),
        pending=EMPTY,
        seq=0,
        hlc=max(state.hlc, mark.floor.hlc),
        roster=roster,
        floor=GROUND,
        filling=Filling(),
        start_over=None,
    )
