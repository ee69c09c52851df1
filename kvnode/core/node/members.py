"""
Who is of this cluster, and what its members have forgotten together (M1 to M3, G2b).

The roster is a join of what all say of members (kvnode.core.versions.roster).  Here is
what follows for a node: whom it dials, turns away or lets go of, and that it starts
over if the others have forgotten what it has missed.
"""

from collections.abc import Callable
from typing import NamedTuple

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.address_book import learn, learn_members
from kvnode.core.node.closing import has_what_was_closed
from kvnode.core.node.departure import farewell, has_left, leave
from kvnode.core.node.events import Disconnect, StartOver
from kvnode.core.node.forgetting import Forgetting
from kvnode.core.node.peer import Peer
from kvnode.core.node.turn import Turn
from kvnode.core.versions import store_view
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.roster import Member, Standing
from kvnode.core.versions.store_view import PeerAddress
from kvnode.types import ReplicaId


class Links(NamedTuple):
    """
    What the rest of a node does for `Members`.

    Attributes:
        report_to: Tells a peer all that this node covers, and its roster.
        drop: Takes a connected peer for gone; its link is ended besides.
        forget: Drops what was noted of a replica that is gone for good.
        fill: Begins a bootstrap if the store is empty; tells whether it did (D10).
    """

    report_to: Callable[[ReplicaId, Turn], None]
    drop: Callable[[ReplicaId], None]
    forget: Callable[[ReplicaId], None]
    fill: Callable[[Turn], bool]


class Members:
    """One node's part in the membership; everything it does is staged in a turn."""

    def __init__(
        self,
        own: ReplicaId,
        address: PeerAddress,
        peers: dict[ReplicaId, Peer],
        forgetting: Forgetting,
        links: Links,
    ) -> None:
        """
        Begin.

        Args:
            own: This node's identity.
            address: Its labels; the identity in it is not used.
            peers: Those connected, kept current by the caller.
            forgetting: What they have reported.
            links: What is done about them.
        """
        self._own = own
        self._address = address
        self._peers = peers
        self._forgetting = forgetting
        self._links = links

    # -- who is there (M1 to M3) ----------------------------------------------

    def join_roster(self, turn: Turn) -> None:
        """
        Be in the roster, by the labels of now.

        A store of the version before has no roster: whom it knew are members, the
        absent ones too, or what they have missed would be forgotten without them.
        """
        own = self._address
        if not len(turn.roster):
            turn.roster = turn.roster.join(
                Member(peer.replica, peer.name, peer.address, peer.region)
                for peer in turn.peers
                if peer.replica
            )
        mine = turn.roster.get(self._own)
        if mine is None:
            mine = Member(self._own, own.name, own.address, own.region)
        elif (mine.name, mine.address, mine.region) != (
            own.name,
            own.address,
            own.region,
        ):
            mine = Member(
                self._own, own.name, own.address, own.region, mine.incarnation + 1
            )
        turn.roster = turn.roster.join((mine,))

    def learn(
        self, peers: tuple[PeerAddress, ...], turn: Turn, *, first_hand: bool = False
    ) -> None:
        """Take in where peers are; *first_hand* by themselves or the operator."""
        learn(peers, turn, own_name=self._address.name, first_hand=first_hand)

    def learn_members(
        self, source: ReplicaId, members: tuple[Member, ...], turn: Turn
    ) -> None:
        """Take in what *source* knows of members; let go of those that are gone."""
        if not self._peers[source].clock.includes(turn.floor.vector):
            # It has missed what is forgotten here, and must start over, as another
            # replica: this one is not going to be a member.
            members = tuple(m for m in members if m.replica != source)
        before = turn.roster
        learn_members(members, turn, own_name=self._address.name)
        if turn.roster is before:
            return
        for replica in [r for r in self._peers if turn.roster.gone(r)]:
            self._links.forget(replica)
            self._links.drop(replica)
            turn.effects.append(Disconnect(replica, farewell(replica, turn.roster)))
        if source not in self._peers:
            return
        peer = self._peers[source]
        if turn.roster.gone(self._own) and not before.gone(self._own):
            self.start_over(peer, turn, "this replica was removed from the cluster")
        elif has_what_was_closed(turn, before):
            reason = "this store has writes that all members have given up for lost"
            self.start_over(peer, turn, reason)

    def admit(self, replica: ReplicaId, turn: Turn) -> None:
        """
        Let *replica*, which is about to be filled from here, be a member (D10).

        Nothing may be forgotten that it does not have yet, or it would have to begin
        again when it has all.  All that can be forgotten without its word was covered
        here, and will be in what it is filled with.
        """
        name, address, _, region = self._peers[replica].address
        itself = Member(replica, name, address, region)
        learn_members((itself,), turn, own_name=self._address.name)

    def remove(self, replica: ReplicaId, turn: Turn) -> None:
        """Declare *replica* gone for good, and tell all who are connected (G3)."""
        record = turn.roster.get(replica)
        if record is None or replica == self._own:
            return
        removed = record._replace(standing=Standing.REMOVED)
        before = turn.roster
        learn_members((removed,), turn, own_name=self._address.name)
        if turn.roster is before:
            return
        self._links.forget(replica)
        if replica in self._peers:
            self._links.report_to(replica, turn)  # so that it hears of it
            self._links.drop(replica)
            turn.effects.append(Disconnect(replica, farewell(replica, turn.roster)))
        for peer in self._peers:
            self._links.report_to(peer, turn)

    def leave(self, only_here: VersionVector, turn: Turn) -> None:
        """Leave for good, if *only_here*, which nobody else has, is nothing."""
        if leave(self._own, only_here, turn):
            for peer in self._peers:
                self._links.report_to(peer, turn)

    # -- the floor (G1, G2, G2b) ----------------------------------------------

    def heard_floor(self, replica: ReplicaId, floor: Floor, turn: Turn) -> None:
        """Take in what a peer has forgotten: follow it, or fill up, or start over."""
        peer = self._peers.get(replica)
        if peer is None or not floor or not peer.has_forgotten(floor):
            return
        if turn.filling is not None:
            return
        if not turn.clock.includes(floor.vector):
            if not peer.clock.includes(turn.floor.vector):
                self._keep_apart(replica, turn)
                return
            if self._links.fill(turn):
                return  # it has nothing that would have to be judged
            self.start_over(
                peer, turn, f"{peer.address.name} has forgotten what is not here yet"
            )
            return
        self._forgetting.heard_floor(floor, peer.clock, turn)

    def _keep_apart(self, replica: ReplicaId, turn: Turn) -> None:
        """
        End the connection to a peer of another cluster.

        Each of both has forgotten what the other has never had.  If each started over
        for the other, both would wait to be filled, and most of what they hold would
        be in recovery files.
        """
        name = self._peers[replica].address.name
        self._links.drop(replica)
        reason = (
            f"{name} and this node have been members of different clusters, which have"
            " both forgotten deletions: wipe one of them, and it will be filled"
        )
        turn.effects.append(Disconnect(replica, reason))

    def start_over(self, peer: Peer, turn: Turn, reason: str) -> None:
        """Stage that this node's store is to start over for *peer* (G2b)."""
        if turn.start_over is None and not has_left(self._own, turn.roster):
            turn.start_over = store_view.StartOver(peer.clock, peer.floor)
            turn.effects.append(StartOver(reason))
