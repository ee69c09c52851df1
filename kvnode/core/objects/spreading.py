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

Leads of a region's shards are shared among the nodes of that region, apart from those
of other shards; and a node elsewhere, which leads one after a failure, gives it home
first, whatever who takes it leads.  No other step takes a lead from home, so these come
to an end, too.

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
        is_home: It is in the region of the shard, which may have none.
    """

    node: str
    behind: int
    is_silent: bool
    is_home: bool = True

    @property
    def may_lead(self) -> bool:
        """Tell whether it could go on at once where the leader stops."""
        is_there = bool(self.node) and not self.is_silent
        return is_there and self.behind <= CAUGHT_UP_ENTRIES


class Lead(NamedTuple):
    """
    A shard that is led here.

    Attributes:
        shard: Its name.
        followers: Who follows.
        is_home: This node is in the region of the shard, which may have none.
    """

    shard: str
    followers: tuple[Follower, ...]
    is_home: bool = True


class Step(NamedTuple):
    """
    A lead that is to go to another node.

    Attributes:
        shard: Which.
        heir: To whom.
        gives: How many the node leads that gives it; 0 if the heir is to take it
            however many that leads.
    """

    shard: str
    heir: str
    gives: int = 0


def heirs_of(lead: Lead, counts: Mapping[str, int]) -> list[str]:
    """
    Return who may go on with *lead*: at home first, then who leads the fewest shards.

    Args:
        lead: What is given away.
        counts: How many shards each node leads, as far as is known.
    """
    fit = [each for each in lead.followers if each.may_lead]
    fit.sort(key=lambda each: (not each.is_home, counts.get(each.node, 0), each.node))
    return [each.node for each in fit]


def step_home(leads: Sequence[Lead], counts: Mapping[str, int]) -> Step | None:
    """
    Return which lead goes home now; None if all are there, or nobody takes one.

    Args:
        leads: What this node leads.
        counts: How many shards each node leads, as far as is known.
    """
    away = (lead for lead in leads if not lead.is_home)
    steps = (
        Step(lead.shard, heir)
        for lead in away
        for heir in heirs_of(_at_home(lead), counts)[:1]
    )
    return next(steps, None)


def next_step(
    own: str, leads: Sequence[Lead], counts: Mapping[str, int]
) -> Step | None:
    """
    Return what this node is to give away now; None if it is not its turn, or done.

    All is about the shards of one region in which this node is, or of those of none.

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
        for heir in heirs_of(_at_home(lead), counts)[:1]
        if may_take(gives=count, takes=counts.get(heir, 0))
    ]
    if not steps:
        return None
    _, heir, shard = min(steps)
    return Step(shard, heir, gives=count)


def _at_home(lead: Lead) -> Lead:
    """Return *lead* with those that follow at home alone."""
    homes = tuple(each for each in lead.followers if each.is_home)
    return lead._replace(followers=homes)


def may_take(*, gives: int, takes: int) -> bool:
    """Tell whether a node that leads *takes* shards may take one of *gives*."""
    return gives - takes >= DIFFERENCE_MIN
