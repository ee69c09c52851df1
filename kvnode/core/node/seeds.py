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

This is not durable: whoever has met a node knows where that is.
"""

from collections.abc import Iterable

from kvnode.core.node.turn import Turn
from kvnode.core.versions.store_view import DurableState


class Seeds:
    """The seeds of one node that nobody was met at yet."""

    def __init__(self, addresses: Iterable[str], own_address: str) -> None:
        """Make them, without the node itself."""
        self._unmet = set(addresses) - {own_address}

    def reached(self, address: str) -> None:
        """Take in that the node at *address* was met, or is this one."""
        self._unmet.discard(address)

    def unmet(self, state: Turn | DurableState) -> tuple[str, ...]:
        """Return the addresses for which nothing may be forgotten, sorted."""
        if state.floor or not self._unmet:
            return ()
        known = (*state.peers, *state.roster)
        self._unmet.difference_update(each.address for each in known if each.replica)
        return tuple(sorted(self._unmet))
