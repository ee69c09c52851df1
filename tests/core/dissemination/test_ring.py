"""Rings: trees over a group that reach all, evenly, and bend round the dead."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.dissemination.ring import FAN_OUT, TREES, MemberView, Ring, depth
from kvnode.types import ReplicaId

trees = st.integers(0, TREES - 1)


def ring(count: int, unhealthy: frozenset[int] = frozenset()) -> Ring:
    """Return a ring of members 0 .. count - 1."""
    return Ring(
        MemberView(ReplicaId(n), "a", None, n not in unhealthy) for n in range(count)
    )


def reached(group: Ring, tree: int, entry: int) -> Counter[int]:
    """Return how often each member is sent to if a push enters at *entry*."""
    position = group.position(tree, entry)
    first = {*group.top(tree), *(group.below(tree, position) if position else ())}
    first.discard(ReplicaId(entry))
    found, waiting = Counter[int](), sorted(first)
    while waiting:
        member = waiting.pop()
        found[member] += 1
        place = group.position(tree, group.index(ReplicaId(member)))
        if place:
            waiting += [m for m in group.below(tree, place) if m != entry]
    return found


@given(count=st.integers(1, 200), tree=trees, data=st.data())
def test_push_that_enters_anywhere_reaches_each_member_once(
    count: int, tree: int, data: st.DataObject
) -> None:
    """Whoever takes it in, except for those below who had it from there."""
    entry = data.draw(st.integers(0, count - 1))

    found = reached(ring(count), tree, entry)

    assert found == Counter(n for n in range(count) if n != entry)


@given(count=st.integers(2, 120), tree=trees, data=st.data())
def test_healthy_members_are_reached_round_the_dead(
    count: int, tree: int, data: st.DataObject
) -> None:
    """Who would send to a dead member sends to that one's children."""
    dead = data.draw(st.frozensets(st.integers(0, count - 1), max_size=count - 1))
    entry = ring(count, dead).entry(tree)
    assert entry is not None

    found = reached(ring(count, dead), tree, entry)

    assert set(found) == set(range(count)) - dead - {entry}
    assert max(found.values(), default=1) == 1


@given(count=st.integers(1, 200), tree=trees)
def test_health_moves_no_position(count: int, tree: int) -> None:
    """Nodes that differ about health agree about the rest of the tree."""
    well, ailing = ring(count), ring(count, frozenset(range(0, count, 3)))

    assert [well.position(tree, n) for n in range(count)] == [
        ailing.position(tree, n) for n in range(count)
    ]


def test_inner_nodes_of_different_trees_are_different_members() -> None:
    """So the work of sending is spread (SplitStream, section 3)."""
    group = ring(160)
    sending = Counter(
        member
        for tree in range(TREES)
        for member in range(160)
        if list(group.below(tree, group.position(tree, member)))
    )

    assert max(sending.values()) <= 2


def test_trees_are_shallow() -> None:
    """A region of 584 is three hops deep."""
    assert depth(0) == 0
    assert depth(1) == depth(FAN_OUT) == 1
    assert depth(FAN_OUT + 1) == 2
    assert depth(583) == 3


@given(count=st.integers(1, 40), tree=trees, wanted=st.integers(1, 6))
def test_deputies_are_others_than_the_entry_while_there_are_others(
    count: int, tree: int, wanted: int
) -> None:
    """They notice that it is dead; alone, it can only be told itself."""
    group = ring(count)
    deputies = group.deputies(tree, wanted)

    assert len(deputies) == len(set(deputies)) == min(count, wanted)
    assert (group.entry(tree) in deputies) == (count <= wanted)


def test_group_of_dead_members_has_no_entry() -> None:
    """Nobody is there to send to."""
    group = ring(3, frozenset({0, 1, 2}))

    assert group.entry(0) is None
    assert group.deputies(0, 2) == ()
