"""Many seeds, in order, whoever runs them."""

import pytest

from jepsen_like.runner.exploring import Sweep, explore, explore_seed
from jepsen_like.runner.worlds import UnknownWorldError
from jepsen_like.verdict import Verdict
from jepsen_like.workloads.workload import Extent
from tests.jepsen_like.fakes import NODES

FAKES = "tests.jepsen_like.fakes"


def _sweep(system: str) -> Sweep:
    return Sweep("register", ("kill",), NODES, Extent(40, 4, 2, 1_000), system)


def test_two_processes_find_what_one_finds_in_the_same_order() -> None:
    """A result depends on its seed alone."""
    sweep = _sweep(f"{FAKES}:forgetful")
    one = list(explore(sweep, range(12)))

    assert list(explore(sweep, range(12), jobs=2)) == one
    assert [each.seed for each in one] == list(range(12))
    assert {each.verdict for each in one} >= {Verdict.INVALID}
    assert all(each.elapsed_ms >= 900 and each.operations > 40 for each in one)


def test_good_system_is_valid_at_every_seed() -> None:
    """And says no reason."""
    found = list(explore(_sweep(f"{FAKES}:linearizable"), range(5)))

    assert {(each.verdict, each.symptom, each.reason) for each in found} == {
        (Verdict.VALID, None, "")
    }


def test_seed_whose_run_breaks_is_unknown_with_the_reason() -> None:
    """The others go on."""
    explored = explore_seed(_sweep(f"{FAKES}:broken"), 3)

    assert explored.verdict is Verdict.UNKNOWN
    assert explored.reason == "ZeroDivisionError: a mistake in the simulation"


def test_no_seed_is_begun_after_the_time() -> None:
    """With no time at all, there is nothing."""
    sweep = _sweep(f"{FAKES}:linearizable")

    assert list(explore(sweep, range(5), seconds_max=-1.0)) == []
    assert list(explore(sweep, range(5), jobs=2, seconds_max=-1.0)) == []


def test_unknown_system_is_told_before_the_first_seed() -> None:
    """Not as two thousand unknown results."""
    with pytest.raises(UnknownWorldError):
        list(explore(_sweep("nowhere:x"), range(5)))
