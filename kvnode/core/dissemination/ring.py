"""
The members of one group in a fixed order, and the trees over them.

Every node computes the same trees from the member list alone, so a tree needs no
flood to come into being and no message to be agreed upon.  Members are ordered by
their identity, which is random; tree number t begins at the member t/TREES of the
way round and fills a heap of FAN_OUT children each:

    position 0        the root: where a push enters the group
    positions 1..8    its children, who also deputize for it
    positions 9..80   their children, and so on

With as many trees as children, a node of a large group is an inner node of about one
tree and a leaf of the others, so the work of sending spreads evenly whoever writes.

Health moves no position.  A push enters at the first healthy position, and whoever
sends to an unhealthy member sends to that one's children in its stead.  So nodes
that differ about who is healthy differ only about the links next to that member.

References:
    Castro et al., 2003.  SplitStream: high-bandwidth multicast in cooperative
        environments.  Section 3: interior-node-disjoint trees.
    Leitao, Pereira & Rodrigues, 2007.  Epidemic broadcast trees.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from kvnode.types import Millis, ReplicaId

FAN_OUT = 8
"""Children of a node: 584 members are three hops from the root, 2.3 ms each."""

TREES = FAN_OUT
"""Trees of a group: with as many, each member is an inner node of about one."""


class MemberView(NamedTuple):
    """
    What a node knows of a member.

    Attributes:
        replica: Its identity.
        region: Its region's label.
        rtt: The measured round trip to it, in ms; None = never measured.
        healthy: Whether failure detection holds it for alive (M1).
    """

    replica: ReplicaId
    region: str
    rtt: Millis | None = None
    healthy: bool = True


def tree_number(origin: ReplicaId) -> int:
    """Return which of its group's trees the pushes of *origin* take."""
    return origin % TREES


class Ring:
    """The members of one group; immutable."""

    def __init__(self, members: Iterable[MemberView]) -> None:
        ordered = sorted(members)
        self._replicas = tuple(member.replica for member in ordered)
        self._healthy = tuple(member.healthy for member in ordered)
        assert self._replicas, "a group has members"

    def __len__(self) -> int:
        """Return how many members there are, healthy or not."""
        return len(self._replicas)

    def index(self, replica: ReplicaId) -> int:
        """Return the place of a member in the order, from 0; cost O(members)."""
        return self._replicas.index(replica)

    def position(self, tree: int, index: int) -> int:
        """Return the position in *tree* of the member at *index*."""
        return (index - self._start(tree)) % len(self)

    def entry(self, tree: int) -> ReplicaId | None:
        """Return where a push enters; None if nobody is healthy."""
        return next(self._healthy_from(tree, 0), None)

    def deputies(self, tree: int, count: int) -> tuple[ReplicaId, ...]:
        """
        Return up to *count* healthy members who notice if the entry gets nothing.

        The entry itself is the last of them, alone in a group of one.
        """
        found = list(islice(self._healthy_from(tree, 0), count + 1))
        return tuple([*found[1:], *found[:1]][:count])

    def below(self, tree: int, position: int) -> Iterator[ReplicaId]:
        """Yield the children of *position*; those of unhealthy ones in their stead."""
        first = position * FAN_OUT + 1
        for child in range(first, min(first + FAN_OUT, len(self))):
            index = self._at(tree, child)
            if self._healthy[index]:
                yield self._replicas[index]
            else:
                yield from self.below(tree, child)

    def top(self, tree: int) -> Iterator[ReplicaId]:
        """Yield the root, if healthy, and its children, as `below` does."""
        index = self._at(tree, 0)
        if self._healthy[index]:
            yield self._replicas[index]
        yield from self.below(tree, 0)

    def after(self, index: int, stride: int) -> ReplicaId | None:
        """Return the healthy member *stride* or more after *index*; None if none."""
        for step in range(len(self) - 1):
            place = (index + 1 + (stride - 1 + step) % (len(self) - 1)) % len(self)
            if self._healthy[place]:
                return self._replicas[place]
        return None

    def _start(self, tree: int) -> int:
        return tree * len(self) // TREES

    def _at(self, tree: int, position: int) -> int:
        return (self._start(tree) + position) % len(self)

    def _healthy_from(self, tree: int, position: int) -> Iterator[ReplicaId]:
        for place in range(position, len(self)):
            index = self._at(tree, place)
            if self._healthy[index]:
                yield self._replicas[index]


def depth(position: int) -> int:
    """Return how many hops *position* is from its tree's root."""
    hops = 0
    while position > 0:
        position = (position - 1) // FAN_OUT
        hops += 1
    return hops
