"""Figures, from runs that are made up."""

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.scale.figures import figures, percentile
from cluster.scale.regions import load_regions
from cluster.scale.simulation import Change, Run, Scenario


def run(*arrivals: list[float], crashed: frozenset[int] = frozenset()) -> Run:
    """Return a run of changes of node 0 at 100 ms with these arrivals."""
    nodes = len(arrivals[0])
    return Run(
        Scenario(nodes, len(arrivals)),
        [load_regions()[0]] * nodes,
        crashed,
        [Change(0, 100.0, array("d", times), sends=3) for times in arrivals],
        [1] * nodes,
        {"announce": 8},
        2,
    )


@given(values=st.lists(st.floats(0, 1000), min_size=1), percent=st.floats(0.1, 100))
def test_percentile_is_the_least_that_so_many_do_not_exceed(
    values: list[float], percent: float
) -> None:
    """By definition of the nearest rank."""
    found = percentile(sorted(values), percent)

    assert found in values
    assert sum(v <= found for v in values) >= len(values) * percent / 100 - 1e-9
    assert sum(v < found for v in values) < len(values) * percent / 100 + 1e-9


def test_time_of_a_change_is_that_of_the_last_node() -> None:
    """Coverage is of nodes, percentiles are of changes."""
    seen = figures(run([100, 110, 150], [100, 120, 130]))

    assert (seen.p50_ms, seen.p99_ms, seen.max_ms) == (30, 50, 50)
    assert seen.p99_coverage_ms == {"50%": 20, "90%": 50, "99%": 50, "100%": 50}
    assert seen.delivered == 1
    assert seen.sends_per_change == 3
    assert seen.announcements_per_change == 4


def test_what_comes_late_or_never_is_not_delivered() -> None:
    """And null for programs, since JSON knows no infinity."""
    seen = figures(run([100, 110, math.inf], [100, 110, 5101]))

    assert seen.delivered == 0.5
    assert seen.as_json()["max_ms"] is None
    assert seen.as_json()["p99_coverage_ms"] == {
        "50%": 10,
        "90%": None,
        "99%": None,
        "100%": None,
    }


def test_crashed_nodes_do_not_count() -> None:
    """Neither as receivers nor as origins."""
    seen = figures(run([100, 110, math.inf], crashed=frozenset({2})))

    assert seen.max_ms == 10
    assert seen.delivered == 1
    with pytest.raises(ValueError, match="no node that survived made a change"):
        figures(run([100, 110, 120], crashed=frozenset({0})))
