"""
Seeds: addresses in a node's settings at which it does not know yet who is there.

A node that was told of others only by their addresses, and that meets another new one
first, cannot know whether the two are a new cluster: the members of an old one may be
at the addresses that nobody has answered at.  If the two forgot deletions by
themselves, and the others had never forgotten anything, all of those would have to
start over for them (G2b).  So before anything was ever forgotten, a node wants to have
met a node at each of its seeds, and says so to the others, as it does of peers that it
was told by name.  Where something was forgotten all members had agreed to that, so from
then on an address that nobody answers at holds nothing up.

Who was met is in the roster, and counts from there on: the turn in which it was met may
fail for want of room.  Where it was met is not durable: a node says where it is, and
whoever has met it under another address does so again.
"""

from collections.abc import Iterable

from kvnode.core.node.turn import Turn
from kvnode.core.versions.store_view import DurableState
from kvnode.types import ReplicaId


class Seeds:
    """The seeds of one node that nobody was met at yet."""

    def __init__(self, addresses: Iterable[str], own_address: str) -> None:
        """Make them, without the node itself."""
        self._addresses = set(addresses) - {own_address}
        self._there: dict[str, ReplicaId] = {}

    def reached(self, address: str, replica: ReplicaId) -> None:
        """Take in that *replica*, a peer or this node, is at *address*."""
        self._there[address] = replica

    def unmet(self, state: Turn | DurableState) -> tuple[str, ...]:
        """Return the addresses for which nothing may be forgotten, sorted."""
        if state.floor or not self._addresses:
            return ()
        roster = state.roster
        for known in (*state.peers, *roster):
            if known.address in self._addresses and roster.get(known.replica):
                self._there[known.address] = known.replica
        met = {at for at, replica in self._there.items() if roster.get(replica)}
        return tuple(sorted(self._addresses - met))
