"""Which node is told what about which link."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.links import link_ends
from cluster.topology import THREE_CITIES

pairs = st.sampled_from([frozenset(pair) for pair in THREE_CITIES.pairs()])


@given(cuts=st.frozensets(pairs))
def test_both_ends_of_every_link_are_told_the_same(
    cuts: frozenset[frozenset[str]],
) -> None:
    """A cut known at one end only would open when that node restarts."""
    ends = {(end.node, end.peer): end for end in link_ends(THREE_CITIES, cuts)}

    assert len(ends) == 6
    for (node, peer), end in ends.items():
        assert end.blocked == (frozenset((node, peer)) in cuts)
        assert end.delay == ends[peer, node].delay == THREE_CITIES.delay(node, peer)
