"""What is true of every nemesis."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsen_like.nemesis.conditions import Condition, after, ended_by, is_ending
from jepsen_like.nemesis.faults import Cut
from jepsen_like.nemesis.nemesis import UnfitNemesisError, magnitude, windows
from jepsen_like.nemesis.partitions import bridge, halves, one, one_way, ring
from jepsen_like.nemesis.registry import NEMESES, nemesis_named
from tests.jepsen_like.examples import examples

NODES = tuple(f"n{number}" for number in range(1, 10))

seeds = st.integers(0, 2**32)
names = st.sampled_from(sorted(NEMESES))


@given(
    name=names,
    seed=seeds,
    count=st.integers(3, 9),
    duration_ms=st.sampled_from((20, 137, 10_000, 3_600_000)),
)
@settings(max_examples=examples(300), deadline=None)
def test_nemesis_ends_whatever_it_begins(
    name: str, seed: int, count: int, duration_ms: int
) -> None:
    """In order, in time, and with nothing wrong at the end."""
    strikes = nemesis_named(name).strikes(Random(seed), NODES[:count], duration_ms)

    wrong: list[Condition] = []
    for strike in strikes:
        wrong = after(wrong, strike.fault)
    assert wrong == []
    assert [each.at for each in strikes] == sorted(each.at for each in strikes)
    assert all(0 <= each.at <= duration_ms for each in strikes)


@given(name=names, seed=seeds, count=st.integers(3, 9))
@settings(max_examples=examples(100), deadline=None)
def test_nemesis_draws_the_same_from_the_same_seed(
    name: str, seed: int, count: int
) -> None:
    """A schedule is a function of its arguments."""
    nemesis, nodes = NEMESES[name], NODES[:count]

    assert nemesis.strikes(Random(seed), nodes, 10_000) == nemesis.strikes(
        Random(seed), nodes, 10_000
    )


@given(name=names, seed=seeds)
@settings(max_examples=examples(100), deadline=None)
def test_nemesis_does_something_and_not_only_endings(name: str, seed: int) -> None:
    """Every one but `none` brings a fault, whatever the seed."""
    strikes = NEMESES[name].strikes(Random(seed), NODES[:3], 10_000)

    assert any(not is_ending(each.fault) for each in strikes) == (name != "none")


@pytest.mark.parametrize("name", sorted(NEMESES))
def test_nemesis_says_when_nodes_are_too_few(name: str) -> None:
    """With as few as it needs it works, with one less it says so."""
    nemesis = NEMESES[name]

    nemesis.strikes(Random(1), NODES[: nemesis.nodes_min], 1_000)
    with pytest.raises(UnfitNemesisError, match=f"nemesis {name} needs"):
        nemesis.strikes(Random(1), NODES[: nemesis.nodes_min - 1], 1_000)


def test_nemesis_says_when_time_is_too_short() -> None:
    """Nothing can begin and end in 19 ms."""
    with pytest.raises(UnfitNemesisError, match="20 ms or more, not 19"):
        NEMESES["kill"].strikes(Random(1), NODES, 19)


def test_unknown_nemesis_is_answered_with_those_there_are() -> None:
    """A slip of the pen is easily mended."""
    with pytest.raises(UnfitNemesisError, match=r"'kil': choose from these.*: none, p"):
        nemesis_named("kil")


@given(seed=seeds, duration_ms=st.integers(20, 10**7))
def test_windows_are_apart_and_within_the_time(seed: int, duration_ms: int) -> None:
    """One or more, none empty, none touching the time's end."""
    found = list(windows(Random(seed), duration_ms))

    bounds = [bound for window in found for bound in window]
    assert found
    assert bounds == sorted(bounds)
    assert all(begin < end <= duration_ms for begin, end in found)


@given(seed=seeds, least=st.integers(1, 1000), more=st.integers(0, 10**6))
def test_magnitude_stays_between_its_bounds(seed: int, least: int, more: int) -> None:
    """Both bounds included."""
    assert least <= magnitude(Random(seed), least, least + more) <= least + more


def _hearing(links: tuple[tuple[str, str], ...], nodes: tuple[str, ...]) -> list[int]:
    return [
        sum((other, node) not in links for other in nodes if other != node)
        for node in nodes
    ]


@given(seed=seeds, count=st.integers(3, 9))
def test_ring_leaves_each_a_majority_of_its_own(seed: int, count: int) -> None:
    """Each hears a majority with itself, and no two hear the same."""
    nodes = NODES[:count]
    links = ring(Random(seed), nodes)

    assert _hearing(links, nodes) == [count // 2] * count
    views = {
        frozenset(
            other for other in nodes if other == node or (other, node) not in links
        )
        for node in nodes
    }
    assert len(views) == count


@given(seed=seeds, count=st.integers(2, 9))
def test_halves_differ_in_size_by_one_at_most(seed: int, count: int) -> None:
    """Each hears its own half only, and is heard by it."""
    nodes = NODES[:count]
    links = halves(Random(seed), nodes)

    assert sorted(_hearing(links, nodes)) == sorted(
        [count // 2 - 1] * (count // 2)
        + [count - count // 2 - 1] * (count - count // 2)
    )
    assert set(links) == {(other, node) for node, other in links}


@given(seed=seeds, count=st.integers(2, 9))
def test_one_isolates_exactly_one(seed: int, count: int) -> None:
    """All others still hear each other."""
    nodes = NODES[:count]
    heard = _hearing(one(Random(seed), nodes), nodes)

    assert sorted(heard) == ([0, 0] if count == 2 else [0] + [count - 2] * (count - 1))


@given(seed=seeds, count=st.integers(3, 9))
def test_bridge_leaves_one_that_hears_all(seed: int, count: int) -> None:
    """And nobody else does."""
    nodes = NODES[:count]
    heard = _hearing(bridge(Random(seed), nodes), nodes)

    assert heard.count(count - 1) == 1


@given(seed=seeds, count=st.integers(2, 9))
def test_one_way_cuts_no_link_both_ways(seed: int, count: int) -> None:
    """Who is deaf is still heard."""
    links = one_way(Random(seed), NODES[:count])

    assert links
    assert not set(links) & {(receiver, sender) for sender, receiver in links}


def test_every_partition_is_cut_by_its_nemesis() -> None:
    """Each partition nemesis strikes with cuts and heals."""
    for name in (name for name in NEMESES if name.startswith("partition")):
        strikes = NEMESES[name].strikes(Random(3), NODES[:5], 10_000)
        assert [isinstance(each.fault, Cut) for each in strikes] == [True, False] * (
            len(strikes) // 2
        )
        assert all(ended_by(each.fault) for each in strikes[1::2])
