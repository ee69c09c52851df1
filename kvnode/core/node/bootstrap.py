"""
Bootstrap: filling an empty store from one peer's snapshot (rule D10).

Pages come in key order, and each is durable with how far it goes, so that after a
crash or a lost connection the next one starts behind it, be it from the same sender
or from another.  All pages of one sender are of one snapshot.  Of two snapshots, the
first part of the keys is as of one and the rest as of the other, so what may be
claimed in the end is what *both* covered; a delta brings the rest.

That holds as long as nothing was forgotten between the two which the claim does not
cover: then a key that was deleted meanwhile would be kept for ever, and the store
starts over.  So it does if it holds what only it has (kvnode.core.replication.
start_over), and that is older than what the senders have forgotten meanwhile.  Neither
happens often: who is being filled is a member, without whose word nothing new can be
forgotten.

Until the end the node serves nobody: what it holds is no state that ever was.

A bootstrap begins when an empty store meets a peer that has something, or that is
being filled itself: that one's clock tells nothing, and is no sign that the cluster is
new.  It also begins if an empty store hears of a floor, as there is nothing in it that
would have to be judged (G2b).  Whoever may have something and is out of reach is
waited for, until it is back or is removed (G3).
"""

from collections.abc import Mapping
from functools import reduce

from kvnode.core.clocks.version_vector import EMPTY
from kvnode.core.node.events import StartOver
from kvnode.core.node.peer import Peer
from kvnode.core.node.turn import Turn
from kvnode.core.replication.catch_up import CatchUp
from kvnode.core.versions import store_view
from kvnode.core.versions.floor import GROUND, Floor, begun
from kvnode.core.versions.store_view import Filling, PeerAddress
from kvnode.errors import DamagedRecordError
from kvnode.types import Millis, ReplicaId

NEAR_PATIENCE = Millis(1000)
"""So long a bootstrap waits for a peer of its region before it crosses the sea."""


class DonorChoice:
    """
    Which peer a bootstrap asks next: one of its own region first, then all in turn.

    A peer that refuses, or goes quiet, is asked again only after the others.
    """

    def __init__(self, region: str) -> None:
        """Make it for a node in *region*; empty = everything is equally far."""
        self._region = region
        self._since: Millis | None = None
        self._asked = 0

    def next(
        self, donors: Mapping[ReplicaId, PeerAddress], now: Millis, *, absent: bool
    ) -> ReplicaId | None:
        """
        Return whom to ask; None = not yet.

        Args:
            donors: The connected peers that have something; at least one.
            now: In ms.
            absent: Whether peers are known that are not connected, and may be near.
        """
        near = [r for r, peer in donors.items() if peer.region == self._region]
        if self._region and not near and not self._asked and absent:
            self._since = now if self._since is None else min(self._since, now)
            if now - self._since < NEAR_PATIENCE:
                return None
        ordered = sorted(donors, key=lambda r: (r not in near, r))
        self._asked += 1
        return ordered[(self._asked - 1) % len(ordered)]


def possible_donors(peers: Mapping[ReplicaId, Peer]) -> dict[ReplicaId, PeerAddress]:
    """
    Return which of the connected *peers* have something to fill a store with.

    One that lacks what another one has forgotten was removed and does not know it, or
    is a little behind, which its next report shows: whom it fills must start over with
    it.  The other one is among those that are left.
    """
    floor = reduce(Floor.join, (peer.floor for peer in peers.values()), GROUND)
    having = {replica: peer for replica, peer in peers.items() if peer.clock}
    sound = {r: p for r, p in having.items() if p.clock.includes(floor.vector)}
    return {r: peer.address for r, peer in (sound or having).items()}


def nobody_has_anything(peers: Mapping[ReplicaId, Peer], turn: Turn) -> bool:
    """
    Tell whether all that are known are connected, and none has anything.

    Those that are gone for good are not known any more, and may have left nobody.  Who
    has lost its store is another replica.  So whoever wrote something that is here, and
    says that it has nothing, said so before it wrote that, and somebody repeats it.
    """
    if not turn.peers:
        return len(turn.roster.members()) <= 1
    covers = turn.filling.covers if turn.filling is not None else None
    brought = turn.clock.join(covers or EMPTY)
    return all(
        peer.replica in peers
        and not peers[peer.replica].clock
        and not brought.newest(peer.replica)
        for peer in turn.peers
    )


def is_empty(turn: Turn) -> bool:
    """Tell whether nothing was written here, and nothing taken in."""
    return not turn.clock and not turn.seq and turn.may_be_empty()


def take_page(catch_up: CatchUp, turn: Turn) -> None:
    """Note how far the pages of *catch_up* go, all of which are here."""
    filling = turn.filling
    assert filling is not None, "only a bootstrap asks for everything"
    snapshot_clock = catch_up.snapshot_clock
    covers = filling.covers
    turn.filling = Filling(
        catch_up.until or filling.after,
        snapshot_clock if covers is None else covers.meet(snapshot_clock),
        filling.floor.join(catch_up.floor),
        filling.done + catch_up.counted(),
        max(catch_up.expected, filling.expected),
    )


def passed(turn: Turn) -> bool:
    """
    Claim what the bootstrap has brought, now that all of it is here.

    Returns:
        False if the store must start over instead.
    """
    filling = turn.filling
    assert filling is not None, "a bootstrap ends once"
    clock = turn.clock.join(filling.covers or EMPTY)
    if not clock.includes(filling.floor.vector) or _holds_older(turn, filling.floor):
        covers = filling.covers or EMPTY
        turn.start_over = store_view.StartOver(covers, filling.floor)
        reason = "more was forgotten while this node was filled than it can tell"
        turn.effects.append(StartOver(reason))
        return False
    turn.clock = clock
    turn.filling = None
    turn.floor = turn.floor.join(filling.floor)
    turn.hlc = max(turn.hlc, turn.floor.hlc)
    return True


def _holds_older(turn: Turn, floor: Floor) -> bool:
    """
    Tell whether something that only this store has may have been ended below *floor*.

    All that it claims in a bootstrap is of that kind.
    """
    for replica, spans in turn.clock.items():
        for first, last in spans:
            for _, key in turn.index(replica, first, last):
                try:
                    entry = turn.entry(key)
                except DamagedRecordError:
                    continue  # nobody can tell any more
                if entry is not None and begun(entry.version) < floor.hlc:
                    return True
    return False
