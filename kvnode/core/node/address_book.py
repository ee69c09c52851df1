"""
Where peers are: what a node dials.

By name, since an address belongs to a place and not to the data in it: a node that is
wiped or restored is another replica under its old name.  Who counts as a member is in
the roster (kvnode.core.versions.roster).
"""

from collections.abc import Iterable

from kvnode.core.node.events import Dial, HangUp
from kvnode.core.node.turn import Turn
from kvnode.core.versions.roster import Member, Roster
from kvnode.core.versions.store_view import PeerAddress

PEERS_MAX = 1024
"""Names that are dialed; twice the largest cluster that a full mesh serves well."""


def configured(
    known: Iterable[PeerAddress],
    named: Iterable[PeerAddress],
    roster: Roster,
    *,
    own_name: str,
) -> tuple[PeerAddress, ...]:
    """Return *known* with the peers that the operator *named*, where he says."""
    peers = {peer.name: peer for peer in known}
    for said in named:
        peer = _updated(peers.get(said.name), said, roster, first_hand=True)
        if peer is not None and said.name != own_name:
            peers[said.name] = peer
    return tuple(peers[name] for name in sorted(peers))


def learn(
    addresses: Iterable[PeerAddress],
    turn: Turn,
    *,
    own_name: str,
    first_hand: bool = False,
) -> None:
    """
    Remember peers heard of, and dial those that are new.

    Only the operator and a peer itself change what is known of it: hearsay may be of
    an identity or an address that it had before.
    """
    known = {peer.name: peer for peer in turn.peers}
    for said in addresses:
        before = known.get(said.name)
        if said.name == own_name or before == said or turn.roster.gone(said.replica):
            continue
        peer = _updated(before, said, turn.roster, first_hand=first_hand)
        if peer is None or (before is None and len(known) >= PEERS_MAX):
            continue
        known[peer.name] = peer
        if peer.address and (before is None or before.address != peer.address):
            turn.effects.append(Dial(peer))
    turn.peers = tuple(known[name] for name in sorted(known))


def _updated(
    before: PeerAddress | None, said: PeerAddress, roster: Roster, *, first_hand: bool
) -> PeerAddress | None:
    """Return what is known after hearing *said*; None = what was before."""
    if before is None:
        return said if said.replica else _as_met(said, roster)
    if not first_hand:
        if before.replica or not said.replica:
            return None
        return before._replace(replica=said.replica, region=said.region)
    if not said.replica:
        return before._replace(address=said.address)  # configured: only where it is
    return said


def _as_met(said: PeerAddress, roster: Roster) -> PeerAddress:
    """
    Return *said*, of whom no identity is known, with that by which members know it.

    It was met, then: to wait for it as for one that was not would be in vain, if it
    does not connect again.  Of several by that name nobody can tell.
    """
    met = _only_member(said.name, roster)
    if met is None:
        return said
    return said._replace(replica=met.replica, region=met.region)


def _only_member(name: str, roster: Roster) -> Member | None:
    members = [m for m in roster.members() if m.name == name]
    return members[0] if len(members) == 1 else None


def learn_members(members: Iterable[Member], turn: Turn, *, own_name: str) -> None:
    """Take in *members*: who counts from now on, and whom to dial or to let go."""
    before = turn.roster
    turn.roster = before.join(members)
    if turn.roster is before:
        return
    gone = tuple(peer for peer in turn.peers if turn.roster.gone(peer.replica))
    turn.effects.extend(map(HangUp, gone))
    turn.peers = tuple(peer for peer in turn.peers if peer not in gone)
    names = {m.name for m in turn.roster.gone_for_good if not before.gone(m.replica)}
    learn(
        (
            PeerAddress(m.name, m.address, m.replica, m.region)
            for m in turn.roster.members()
            if m != before.get(m.replica)
            or (m.name in names and _only_member(m.name, turn.roster) is not None)
        ),
        turn,
        own_name=own_name,
    )
