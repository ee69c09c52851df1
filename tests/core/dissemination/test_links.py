"""Links: exceptions to computed trees, learned slowly and forgotten in the end."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.dissemination.links import (
    EXCEPTIONS_MAX,
    KEEP_AFTER,
    KEPT_OF_TREE_MAX,
    PRUNE_AFTER,
    Links,
)
from kvnode.core.dissemination.overlay import Tree
from kvnode.types import ReplicaId

TREE, OTHER = Tree("a", 1), Tree("a", 2)
A, B, C = ReplicaId(1), ReplicaId(2), ReplicaId(3)


@given(fates=st.lists(st.booleans(), max_size=30))
def test_only_duplicates_in_a_row_prune(fates: list[bool]) -> None:
    """A push that came first over the link starts the count afresh."""
    links, row = Links(), 0
    for is_duplicate in fates:
        if is_duplicate:
            row += 1
            assert links.duplicate(TREE, A) == (row == PRUNE_AFTER)
            row %= PRUNE_AFTER
        else:
            links.arrived(TREE, A)
            row = 0


@given(fates=st.lists(st.booleans(), max_size=30))
def test_only_misses_in_a_row_change_the_tree(fates: list[bool]) -> None:
    """One that comes by the tree shows that the tree is sound."""
    links, row = Links(), 0
    for is_miss in fates:
        if is_miss:
            links.missed(TREE)
            row += 1
        else:
            links.arrived(TREE, A)
            row = 0
        assert links.wants_keeping(TREE) == (row >= KEEP_AFTER)


def test_exceptions_are_of_one_tree() -> None:
    """A peer that is no parent in one tree may well be one in another."""
    links = Links()
    links.prune(TREE, A)
    links.keep(TREE, C)

    assert list(links.eager(TREE, (A, B))) == [B, C]
    assert list(links.eager(OTHER, (A, B))) == [A, B]


def test_nobody_is_sent_to_twice() -> None:
    """A link that is computed and kept is one link."""
    links = Links()
    links.keep(TREE, A)

    assert sorted(links.eager(TREE, (A, B))) == [A, B]


def test_kept_link_can_be_pruned_again() -> None:
    """When the old parent is back, whichever comes second goes."""
    links = Links()
    links.keep(TREE, C)
    links.prune(TREE, C)

    assert list(links.eager(TREE, (A,))) == [A]


def test_exceptions_are_bounded() -> None:
    """The oldest go first."""
    links = Links()
    for number in range(2 * EXCEPTIONS_MAX):
        links.prune(TREE, ReplicaId(number))
        links.keep(OTHER, ReplicaId(number))

    assert not links.is_pruned(TREE, ReplicaId(0))
    assert links.is_pruned(TREE, ReplicaId(2 * EXCEPTIONS_MAX - 1))
    assert len(list(links.eager(OTHER, ()))) == KEPT_OF_TREE_MAX
