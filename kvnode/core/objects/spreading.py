"""
Who leads what, and to whom a lead goes: so that the nodes of a cluster share the work.

A takeover is a race, so after a failure one node may lead what two have led before.
Leads go back one at a time, from the node that leads the most to the one that leads the
fewest, as long as they differ by two at least.  Each such step makes the sum of the
squares of the numbers of leads smaller, and no step makes it larger; so the steps come
to an end, whatever they begin with, and where nothing changes nothing moves.

A node knows for certain only what it leads itself; of others it knows what its replicas
have heard.  So both ends are asked: who gives says how many it leads, and who takes
refuses unless that is two more than its own.  What is heard may be wrong, then, and the
sum still falls.

References:
    Cybenko, 1989.  Dynamic load balancing for distributed memory multiprocessors.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

CAUGHT_UP_ENTRIES: Final = 256
"""Who lacks no more has it in a message or two; more would be waited for by callers."""

DIFFERENCE_MIN: Final = 2
"""With one less a lead would go to and fro between two nodes that lead alike."""


class Follower(NamedTuple):
    """
    A replica of a shard beside its leader's, as that one sees it.

    Attributes:
        node: The name of its node; empty if that cannot be reached.
        behind: How many entries it lacks.
        is_silent: It has not answered of late.
    """

    node: str
    behind: int
    is_silent: bool

    @property
    def may_lead(self) -> bool:
        """Tell whether it could go on at once where the leader stops."""
        is_there = bool(self.node) and not self.is_silent
        return is_there and self.behind <= CAUGHT_UP_ENTRIES


class Lead(NamedTuple):
    """A shard that is led here, and who follows."""

    shard: str
    followers: tuple[Follower, ...]


class Step(NamedTuple):
    """A lead that is to go to another node."""

    shard: str
    heir: str


def heirs_of(lead: Lead, counts: Mapping[str, int]) -> list[str]:
    """
    Return who may go on with *lead*, those that lead the fewest shards first.

    Args:
        lead: What is given away.
        counts: How many shards each node leads, as far as is known.
    """
    fit = [each.node for each in lead.followers if each.may_lead]
    return sorted(fit, key=lambda node: (counts.get(node, 0), node))


def next_step(
    own: str, leads: Sequence[Lead], counts: Mapping[str, int]
) -> Step | None:
    """
    Return what this node is to give away now; None if it is not its turn, or done.

    Args:
        own: The name of this node.
        leads: What it leads.
        counts: How many shards each node leads, as far as is known, without *own*.
    """
    count = len(leads)
    if any((other, node) > (count, own) for node, other in counts.items()):
        return None  # that one gives first: so one lead moves at a time
    steps = [
        (counts.get(heir, 0), heir, lead.shard)
        for lead in leads
        for heir in heirs_of(lead, counts)[:1]
        if may_take(gives=count, takes=counts.get(heir, 0))
    ]
    if not steps:
        return None
    _, heir, shard = min(steps)
    return Step(shard, heir)


def may_take(*, gives: int, takes: int) -> bool:
    """Tell whether a node that leads *takes* shards may take one of *gives*."""
    return gives - takes >= DIFFERENCE_MIN
