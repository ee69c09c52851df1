"""Overlays: whom one node sends to, tells and asks."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.dissemination.overlay import (
    DIRECT_MEMBERS_MAX,
    LAZY_LINKS,
    NEAR_GROUPS,
    RTT_UNKNOWN,
    Overlay,
    Tree,
)
from kvnode.core.dissemination.ring import MemberView
from kvnode.types import Millis, ReplicaId
from tests.core.dissemination.members import views


def overlay(regions: dict[int, str], own: int) -> Overlay:
    """Return the overlay of *own*, who knows all members."""
    return Overlay(ReplicaId(own), regions[own], views(regions, own))


@given(count=st.integers(DIRECT_MEMBERS_MAX + 1, 60))
def test_each_member_is_told_by_as_many_as_it_tells(count: int) -> None:
    """So nobody is left to chance: each hears of a push from all its links."""
    regions = dict.fromkeys(range(count), "a")
    for number, size in enumerate(LAZY_LINKS):
        links = [overlay(regions, n).lazy_links[number] for n in range(count)]
        heard = Counter(peer for chosen in links for peer in chosen)

        assert {len(set(chosen)) for chosen in links} <= {size - 1, size}
        assert set(heard.values()) == {len(links[0])}
        assert all(n not in chosen for n, chosen in enumerate(links))


def test_rounds_of_a_large_group_go_to_different_members() -> None:
    """What one round does not reach another may."""
    links = overlay(dict.fromkeys(range(100), "a"), 7).lazy_links

    assert len({peer for chosen in links for peer in chosen}) == sum(LAZY_LINKS)


def test_sources_are_the_nearest_groups_and_the_origin() -> None:
    """Far ones are spared: their links are the dear ones."""
    members = [
        MemberView(ReplicaId(100 + n), f"r{n}", Millis(10 * n)) for n in range(1, 12)
    ]
    ours = Overlay(ReplicaId(1), "here", members)
    origin = ReplicaId(111)

    sources = ours.sources(ours.tree(origin), origin)

    assert sources == [101, 102, 103, 104, 111]
    assert len(sources) == NEAR_GROUPS + 1


def test_origin_is_asked_first_within_its_own_group() -> None:
    """It has it for certain."""
    regions = dict.fromkeys(range(20), "a") | dict.fromkeys(range(20, 40), "b")
    ours = overlay(regions, 3)

    assert ours.sources(ours.tree(ReplicaId(5)), ReplicaId(5))[0] == 5


def test_distance_of_an_unmeasured_member_is_that_of_its_group() -> None:
    """And a far one, if nobody there was measured."""
    members = [
        *(MemberView(ReplicaId(n), "a", Millis(n)) for n in range(10, 20)),
        MemberView(ReplicaId(21), "a"),
        MemberView(ReplicaId(22), "b"),
    ]
    ours = Overlay(ReplicaId(1), "c", members)

    assert ours.rtt(ReplicaId(12)) == 12
    assert ours.rtt(ReplicaId(21)) == 14
    assert ours.rtt(ReplicaId(22)) == RTT_UNKNOWN
    assert ours.rtt(ReplicaId(99)) == RTT_UNKNOWN


def test_each_group_is_told_late_by_two_others() -> None:
    """If an origin dies while it sends, regions tell each other."""
    regions = {10 * place + n: f"r{place}" for place in range(9) for n in range(3)}
    tree = Tree("none of them", 0)
    told = Counter(
        regions[peer]
        for place in range(9)
        for peer in overlay(regions, 10 * place).neighbours(tree)
    )

    assert set(told.values()) == {2 * 2}
    assert len(told) == 9


def test_stranger_has_a_tree_too() -> None:
    """A member that others know and we do not can be passed on."""
    ours = overlay(dict.fromkeys(range(20), "a"), 3)

    assert not ours.is_near(ReplicaId(99))
    assert ours.plan(ours.tree(ReplicaId(99))).top
