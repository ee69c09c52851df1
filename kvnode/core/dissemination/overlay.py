"""
One node's place among all members: whom it sends to, tells, and asks.

Members form groups, one a region; between groups a push travels once, from its
origin straight to the entry of each other group, so bytes on long links grow with
regions, not nodes (rule D7).  A cluster of few members is one group, whatever its
regions: each sends to all, as without any of this.

All of it is computed from the member view, a tree's part when it is first used, and
anew only when the view changes: a push costs look-ups.
"""

from collections.abc import Sequence
from statistics import median_low
from typing import NamedTuple

from kvnode.core.dissemination.ring import (
    FAN_OUT,
    TREES,
    MemberView,
    Ring,
    depth,
    tree_number,
)
from kvnode.types import Millis, ReplicaId

DIRECT_MEMBERS_MAX = FAN_OUT
"""Clusters up to this size are one group; then every push is direct (D7)."""

DEPUTIES = 4
"""Members of each other group that an origin tells of its pushes, in turn."""

NEAR_GROUPS = 4
"""Other groups that are asked for what is missing: the nearest, to spare long links."""

LAZY_LINKS = (3, 2, 2, 3)
"""
Members of its own group that a node tells of each push, in each round, all of them
others if there are so many.

Where one message in ten is lost, one node in four lacks a payload, its own or one of
an inner node above.  With three links, one of those in 1,000 waits for the second
round; with five, one in 100,000 for the third, which is one push in 400 among 1,000
nodes; with ten, one in 10,000 million hears nothing and is left to comparing clocks.
"""

LINK_STEP = 3
"""Shares no divisor with the number of links, so each gets its turn."""

STRANGERS = "?"
"""The group of members that others know and we do not know yet."""

RTT_UNKNOWN = Millis(200)
"""Assumed where nothing is measured: far, so that it is asked last."""


class Tree(NamedTuple):
    """Names a tree: the group in which its pushes originate, and its number."""

    group: str
    number: int


class Plan(NamedTuple):
    """
    A node's part in all pushes that take the same tree.

    Attributes:
        top: Whom it sends to if a push enters the group at this node.
        below: Whom it sends to if the push comes from within the group.
        depth: Its hops from the root.
        entries: Where pushes enter the other groups, nearest first.
        deputies: For each other group, who is told of pushes from here, in turn.
    """

    top: tuple[ReplicaId, ...]
    below: tuple[ReplicaId, ...]
    depth: int
    entries: tuple[tuple[str, ReplicaId], ...]
    deputies: tuple[tuple[ReplicaId, ...], ...]


class Overlay:
    """What one node makes of a member view; immutable but for caches."""

    def __init__(
        self, own: ReplicaId, region: str, members: Sequence[MemberView]
    ) -> None:
        everyone = {member.replica: member for member in members}
        everyone[own] = MemberView(own, region, Millis(0))
        direct = len(everyone) <= DIRECT_MEMBERS_MAX
        groups: dict[str, list[MemberView]] = {}
        for member in everyone.values():
            groups.setdefault("" if direct else member.region, []).append(member)
        self.own = own
        self.group = "" if direct else region
        self.direct = direct
        trees = {name: [Tree(name, n) for n in range(TREES)] for name in groups}
        self._trees = {
            member.replica: trees[name][tree_number(member.replica)]
            for name in groups
            for member in groups[name]
        }
        self._rtt = {m.replica: m.rtt for m in members if m.rtt is not None}
        self._unhealthy = {m.replica for m in members if not m.healthy}
        self._distances = {name: _distance(groups[name], own) for name in groups}
        self._rings = {name: Ring(groups[name]) for name in sorted(groups)}
        self._near = sorted(
            (self._distances[name], name) for name in groups if name != self.group
        )
        self._index = self._rings[self.group].index(own)
        self._plans: list[Plan | None] = [None] * TREES
        self.lazy_links = self._choose_lazy_links()

    def tree(self, origin: ReplicaId) -> Tree:
        """Return the tree that pushes of *origin* take."""
        return self._trees.get(origin) or Tree(STRANGERS, tree_number(origin))

    def plan(self, tree: Tree) -> Plan:
        """Return this node's part in *tree*."""
        plan = self._plans[tree.number]
        if plan is None:
            plan = self._plans[tree.number] = self._make_plan(tree.number)
        return plan

    def is_near(self, member: ReplicaId) -> bool:
        """Tell whether *member* is of this node's own group."""
        return self.tree(member).group == self.group

    def is_unhealthy(self, member: ReplicaId) -> bool:
        """Tell whether failure detection holds *member* for dead or ill."""
        return member in self._unhealthy

    def rtt(self, member: ReplicaId) -> Millis:
        """Return the round trip to *member*, by those of its group if unmeasured."""
        measured = self._rtt.get(member)
        if measured is not None:
            return measured
        return self._distances.get(self.tree(member).group, RTT_UNKNOWN)

    @property
    def hop(self) -> Millis:
        """The usual round trip within the group, in ms."""
        return self._distances[self.group]

    def sources(self, tree: Tree, origin: ReplicaId) -> list[ReplicaId]:
        """Return who should have a push, the most promising first."""
        found = [
            origin if name == tree.group else entry
            for name, entry in self.plan(tree).entries[:NEAR_GROUPS]
        ]
        if tree.group == self.group:
            return [origin, *found]
        return found if origin in found else [*found, origin]

    def neighbours(self, tree: Tree) -> tuple[ReplicaId, ...]:
        """
        Return two members each of two other groups, to be told of pushes late.

        Each group tells the next one and the one half-way round, so that each is
        told by two, whatever has become of the origin, who may be one of the two.
        """
        names = list(self._rings)
        place = names.index(self.group)
        steps = sorted({1, len(names) // 2})
        chosen = [names[(place + step) % len(names)] for step in steps]
        found = [
            self._rings[name].deputies(tree.number, 2)
            for name in chosen
            if name != self.group
        ]
        return tuple(deputy for deputies in found for deputy in deputies)

    def _make_plan(self, tree: int) -> Plan:
        ring = self._rings[self.group]
        position = ring.position(tree, self._index)
        below = tuple(ring.below(tree, position)) if position else ()
        top = dict.fromkeys((*ring.top(tree), *below))
        top.pop(self.own, None)
        others = [name for _, name in self._near]
        entries = [(name, self._rings[name].entry(tree)) for name in others]
        return Plan(
            tuple(top),
            below,
            depth(position),
            tuple((name, entry) for name, entry in entries if entry is not None),
            tuple(self._rings[name].deputies(tree, DEPUTIES) for name in others),
        )

    def _choose_lazy_links(self) -> tuple[tuple[ReplicaId, ...], ...]:
        """
        Return whom to tell in each round.

        At the same strides round the ring for all members, so that each is told
        by as many as it tells; spread, so that few share a branch of a tree.
        """
        ring = self._rings[self.group]
        others = len(ring) - 1
        links = sum(LAZY_LINKS)
        found = [
            ring.after(self._index, 1 + (2 * link + 1) * others // (2 * links))
            for link in range(links)
        ]
        rounds = [place for place, size in enumerate(LAZY_LINKS) for _ in range(size)]
        # Neighbouring strides in different rounds: those of a round are spread too.
        turn = [rounds[link * LINK_STEP % links] for link in range(links)]
        return tuple(
            tuple(
                dict.fromkeys(
                    peer
                    for peer, its_round in zip(found, turn, strict=True)
                    if peer is not None and its_round == number
                )
            )
            for number in range(len(LAZY_LINKS))
        )


def _distance(members: Sequence[MemberView], own: ReplicaId) -> Millis:
    """Return the middle one of the round trips measured to *members*."""
    measured = [m.rtt for m in members if m.rtt is not None and m.replica != own]
    return Millis(median_low(measured)) if measured else RTT_UNKNOWN
