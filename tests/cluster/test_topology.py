"""Topologies: what they refuse, and how cuts divide them."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import TopologyError, UnknownSiteError
from cluster.topology import (
    THREE_CITIES,
    Link,
    Site,
    Topology,
    links_across,
    parse_groups,
)
from kvnode.types import Millis

names = st.lists(
    st.text("abcdefghij-", min_size=1, max_size=6).filter(lambda name: name != "--"),
    min_size=1,
    max_size=8,
    unique=True,
)


def topology_of(sites: list[str]) -> Topology:
    """Sites of those names, all in one region, 10 ms apart."""
    links = tuple(Link(a, b, Millis(10)) for a, b in combinations(sites, 2))
    return Topology(tuple(Site(name, "here") for name in sites), links)


@given(names=names, data=st.data())
def test_divide_puts_every_site_into_exactly_one_group(
    names: list[str], data: st.DataObject
) -> None:
    """However few sites are named, a cut divides all of them."""
    numbers = [data.draw(st.integers(0, 3)) for _ in names]
    named = [
        [name for name, number in zip(names, numbers, strict=True) if number == group]
        for group in range(3)  # sites of number 3 are not named
    ]
    groups = [group for group in named if group]

    if len(groups) + (3 in numbers) < 2:
        with pytest.raises(TopologyError):
            topology_of(names).divide(groups)
        return
    divided = topology_of(names).divide(groups)

    assert sorted(name for group in divided for name in group) == sorted(names)
    assert all(any(set(group) <= part for part in divided) for group in groups)


@given(names=names, data=st.data())
def test_links_across_agrees_with_looking_at_every_pair(
    names: list[str], data: st.DataObject
) -> None:
    """A link is cut exactly if its ends have different groups."""
    group_of = {name: data.draw(st.integers(0, 2)) for name in names}
    groups = [{n for n in names if group_of[n] == number} for number in range(3)]

    cut = links_across(groups)

    for a, b in combinations(names, 2):
        assert (frozenset((a, b)) in cut) == (group_of[a] != group_of[b])


@given(groups=st.lists(names, min_size=1, max_size=4), commas=st.booleans())
def test_parse_groups_reads_both_notations(
    groups: list[list[str]], *, commas: bool
) -> None:
    """`a | b,c` in one word and `a -- b c` in many mean the same."""
    if commas:
        words = [" | ".join(",".join(group) for group in groups)]
    else:
        words = [word for group in groups for word in (*group, "--")][:-1]

    assert parse_groups(words) == groups


def test_delay_is_the_same_in_both_directions() -> None:
    """Links have no direction."""
    for a, b in THREE_CITIES.pairs():
        assert THREE_CITIES.delay(a, b) == THREE_CITIES.delay(b, a) > 0


def test_scaled_topology_multiplies_every_delay() -> None:
    """Half the distance is half the delay, and none is none."""
    assert THREE_CITIES.scaled(2).delay("tokyo", "virginia") == 150
    assert {link.delay for link in THREE_CITIES.scaled(0).links} == {0}


@pytest.mark.parametrize("factor", [-1.0, float("nan"), 1e9])
def test_scaled_refuses_factors_that_are_no_distance(factor: float) -> None:
    """Nobody is nearer than nothing, or further than a minute."""
    with pytest.raises(TopologyError):
        THREE_CITIES.scaled(factor)


def test_unknown_site_is_named_with_those_that_exist() -> None:
    """The message helps with a misspelt name."""
    with pytest.raises(UnknownSiteError, match=r"'tokio'.*tokyo, frankfurt, virginia"):
        THREE_CITIES.divide([["tokio"]])


@pytest.mark.parametrize(
    "groups",
    [
        pytest.param([["tokyo"], []], id="empty"),
        pytest.param([["tokyo"], ["tokyo", "frankfurt"]], id="overlap"),
        pytest.param([["tokyo", "frankfurt", "virginia"]], id="nothing to cut"),
    ],
)
def test_divide_refuses_groups_that_are_no_division(groups: list[list[str]]) -> None:
    """A cut that would do nothing, or contradict itself, is an error."""
    with pytest.raises(TopologyError):
        THREE_CITIES.divide(groups)


@pytest.mark.parametrize(
    ("names", "links"),
    [
        pytest.param([], [], id="no sites"),
        pytest.param(["a", "a"], [], id="name twice"),
        pytest.param(["a", "b"], [("a", "c", 1)], id="unknown end"),
        pytest.param(["a", "b"], [("a", "a", 1)], id="to itself"),
        pytest.param(["a", "b"], [("a", "b", 1), ("b", "a", 2)], id="linked twice"),
        pytest.param(["a", "b"], [("a", "b", 60_001)], id="beyond a minute"),
        pytest.param([f"s{n}" for n in range(65)], [], id="too many"),
    ],
)
def test_topology_refuses_contradictions(
    names: list[str], links: list[tuple[str, str, int]]
) -> None:
    """A topology that exists is sound."""
    with pytest.raises(TopologyError):
        Topology(
            tuple(Site(name, "here") for name in names),
            tuple(Link(a, b, Millis(delay)) for a, b, delay in links),
        )
