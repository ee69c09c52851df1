"""
Leaving: a node that goes for good takes nothing with it.

A node may leave once the other members together have all that it has.  Then its record
in the roster says LEFT, which spreads like a removal: the others wait for it no more
when they forget (rule G1), and turn it away.  It must not take a write after that:
nobody would hear of it.

A removal (rule G3) says the same of a node that cannot say so itself, and that may
have had what nobody else has.

Reference:
    Das, Gupta & Motivala, 2002.  SWIM: members that leave by themselves are told of
        like those that fail.
"""

from collections.abc import Mapping
from functools import reduce

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.forgetting import Forgetting
from kvnode.core.node.peer import Peer
from kvnode.core.node.turn import Turn
from kvnode.core.versions.roster import Roster, Standing
from kvnode.types import ReplicaId


def leave(own: ReplicaId, only_here: VersionVector, turn: Turn) -> bool:
    """
    Stage that *own* has left, if nothing is lost by that.

    Args:
        own: This node.
        only_here: What no other member is known to have; see `only_here`.
        turn: With a write of this node's own in it nothing happens: no peer can have
            heard of that.

    Returns:
        Whether it is staged; that it was so before is not.
    """
    record = turn.roster.get(own)
    if record is None or turn.roster.gone(own) or turn.seq > turn.seq_before:
        return False
    if only_here:
        return False
    turn.roster = turn.roster.join((record._replace(standing=Standing.LEFT),))
    return True


def only_here(
    mine: VersionVector,
    peers: Mapping[ReplicaId, Peer],
    forgetting: Forgetting,
    roster: Roster,
) -> VersionVector:
    """
    Return which writes no connected member is known to cover or to hold.

    Args:
        mine: What this node covers or holds.
        peers: Those connected.
        forgetting: Has heard what they hold.
        roster: Says which of them are members.
    """
    elsewhere = reduce(
        VersionVector.join,
        (
            part
            for replica, peer in peers.items()
            if roster.counts(replica)
            for part in (peer.clock, forgetting.held_by(replica))
        ),
        EMPTY,
    )
    return mine.minus(elsewhere)


def has_left(own: ReplicaId, roster: Roster) -> bool:
    """Tell whether this node has left by itself: it is not to begin anew."""
    record = roster.get(own)
    return record is not None and record.standing is Standing.LEFT


def farewell(replica: ReplicaId, roster: Roster) -> str:
    """Return why a connection to *replica*, which is gone, ends."""
    record = roster.get(replica)
    assert record is not None, "only who was a member can be gone"
    what = "has left the cluster" if record.standing is Standing.LEFT else "was removed"
    return f"{record.name} ({replica:016x}) {what}"
