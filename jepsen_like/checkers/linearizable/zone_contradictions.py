"""
What to tell people of zones that contradict each other: the few operations at fault.

It is known by then that there is a contradiction, so this goes through the history
once more instead of letting every good history pay for it.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Final, NamedTuple

from jepsen_like.checkers.linearizable.clusters import (
    NOBODY,
    ActionOf,
    Cluster,
    Clusters,
)
from jepsen_like.checkers.linearizable.contradiction import (
    ContradictionError,
    described,
)
from jepsen_like.history.operation import Operation, Outcome
from jepsen_like.models.model import Action

NOBODY_SAW: Final = object()
"""Equal to no value."""


class Register(NamedTuple):
    """The operations of one register, what each does, and their clusters."""

    operations: Sequence[Operation]
    action_of: ActionOf
    clusters: Clusters


class _Member(NamedTuple):
    """An operation of a chain; writers have even ranks, readers odd ones."""

    rank: int
    called: int
    returned: int
    position: int


def _chain(root: Cluster) -> list[Cluster]:
    chain = [root]
    while (successor := chain[-1].successor) is not None:
        chain.append(successor)
    return chain


def _members(register: Register, chain: Sequence[Cluster]) -> list[_Member]:
    """Return the operations of a chain by rank, with the imagined first write."""
    places = {cluster.writer: place for place, cluster in enumerate(chain)}
    members = [
        _Member(2 * place, cluster.written_from, cluster.written_by, cluster.writer)
        for place, cluster in enumerate(chain)
    ]
    for position, operation in enumerate(register.operations):
        value = _value_seen(register.action_of(operation), operation)
        cluster = register.clusters.of_value.get(value)
        place = None if cluster is None else places.get(cluster.writer)
        if place is not None:
            rank = 2 * place + 1
            member = _Member(rank, operation.called, operation.returned, position)
            members.append(member)
    return sorted(members)


def _value_seen(action: Action | None, operation: Operation) -> Hashable:
    """Return what a read read; for what is no read, something that is no value."""
    if action is None:
        return NOBODY_SAW
    if action.f in {"read", "get"}:
        return action.result
    told = operation.outcome is not Outcome.INFO
    if told and action.f == "cas" and action.argument == action.result:
        return action.argument
    return NOBODY_SAW


def _positions(
    register: Register, chain: Sequence[Cluster], members: Iterable[_Member]
) -> list[int]:
    """Return those of *members* and of the writers that link them in the chain."""
    given = list(members)
    first = min(member.rank for member in given) // 2
    last = max(member.rank for member in given) // 2
    positions = [cluster.writer for cluster in chain[first : last + 1]]
    positions.extend(member.position for member in given)
    real = [position for position in positions if position != NOBODY]
    return register.clusters.with_seers(real)


def chain_contradiction(register: Register, root: Cluster) -> ContradictionError:
    """Return what is wrong with a chain that does not agree with time in itself."""
    chain = _chain(root)
    members = _members(register, chain)
    early = members[0]
    for late in members:
        if late.returned < early.called and late.rank > early.rank:
            break
        if late.called > early.called:
            early = late
    else:
        message = "called only for chains that do not agree with time"
        raise AssertionError(message)
    operations = register.operations
    why = (
        "it read what that one wrote"
        if late.rank == early.rank + 1
        else "it needs a value that can only be made from what that one needs"
    )
    return ContradictionError(
        _positions(register, chain, [early, late]),
        f"{described(operations[late.position])} returned before "
        f"{described(operations[early.position])} was called, yet {why}.",
    )


def zone_contradiction(
    register: Register, one: Cluster, other: Cluster
) -> ContradictionError:
    """Return why the chains of these two roots must each be before the other."""
    operations = register.operations
    chains = [_chain(one), _chain(other)]
    blocks = [_members(register, chain) for chain in chains]
    begins = [min(block, key=lambda member: member.returned) for block in blocks]
    ends = [max(block, key=lambda member: member.called) for block in blocks]
    used: list[list[_Member]] = [[begins[0], ends[0]], [begins[1], ends[1]]]
    sentences: list[str] = []
    for before, after in ((0, 1), (1, 0)):
        begin, end = begins[before], ends[after]
        if begin.position == NOBODY:
            # What was there in the beginning precedes all else anyway.
            used[after].remove(end)
            sentences.append("One needs what was there in the beginning.")
        else:
            sentences.append(
                f"{described(operations[begin.position])} returned before "
                f"{described(operations[end.position])} was called."
            )
    chained = "values, made from each other," if len(chains[0]) > 1 else "value"
    chained_other = "values, made from each other," if len(chains[1]) > 1 else "value"
    sentences.append(
        f"So the {chained} of the one must have been there before the "
        f"{chained_other} of the other, and after; but each was there only once."
    )
    positions = [
        position
        for chain, members in zip(chains, used, strict=True)
        for position in _positions(register, chain, members)
    ]
    return ContradictionError(positions, " ".join(sentences))


def circle_contradiction(register: Register) -> ContradictionError:
    """Return a circle of compare-and-sets, each of which needs one before it."""
    clusters = register.clusters.all
    reached = {
        cluster.writer
        for root in clusters
        if not root.follows
        for cluster in _chain(root)
    }
    first = next(cluster for cluster in clusters if cluster.writer not in reached)
    circle = [first.writer]
    cluster = first.successor
    while cluster is not None and cluster is not first:
        circle.append(cluster.writer)
        cluster = cluster.successor
    return ContradictionError(
        register.clusters.with_seers(circle),
        "Each of these compare-and-sets expected what only another of them wrote: "
        "none of them can have been the first.",
    )
