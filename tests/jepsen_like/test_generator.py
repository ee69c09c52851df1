"""Plans are functions of their seeds."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsen_like.generator import QUIET_MS, node_names, plan_of
from jepsen_like.nemesis.conditions import Condition, after
from jepsen_like.nemesis.faults import (
    FlipBits,
    Flood,
    Garble,
    RestoreBackup,
    TakeBackup,
    Wipe,
)
from jepsen_like.nemesis.registry import NEMESES
from jepsen_like.plan import Invoke, Plan, Strike
from jepsen_like.plan_file import plan_text
from jepsen_like.workloads.workload import Extent
from tests.jepsen_like.examples import examples
from tests.jepsen_like.fakes import NODES, LastWrites

EXTENT = Extent(operations=100)

seeds = st.integers(0, 2**63)
chosen = st.lists(st.sampled_from(sorted(NEMESES)), min_size=1, max_size=3)


def _plan(seed: int, names: list[str], extent: Extent = EXTENT) -> Plan:
    return plan_of(LastWrites(), [NEMESES[name] for name in names], seed, NODES, extent)


def _asked(plan: Plan) -> list[Invoke]:
    return [step for step in plan.steps if isinstance(step, Invoke)]


@given(seed=seeds, names=chosen)
@settings(max_examples=examples(100), deadline=None)
def test_plan_holds_all_operations_in_order_and_is_the_same_again(
    seed: int, names: list[str]
) -> None:
    """Nothing is lost to the quiet, and nothing is drawn elsewhere."""
    plan = _plan(seed, names)

    assert plan == _plan(seed, names)
    times = [step.at for step in plan.steps]
    assert times == sorted(times)
    assert sorted(str(each.argument) for each in _asked(plan)) == sorted(
        str(number) for number in range(EXTENT.operations)
    )


@given(seed=seeds, names=chosen)
@settings(max_examples=examples(100), deadline=None)
def test_all_is_well_and_silent_before_data_is_taken_away(
    seed: int, names: list[str]
) -> None:
    """So what was acknowledged has time to reach others."""
    plan = _plan(seed, [*names, "wipe", "restore-backup"])

    wrong: list[Condition] = []
    last_busy = -1
    for step in plan.steps:
        if isinstance(step, Strike):
            if isinstance(step.fault, Wipe | RestoreBackup | FlipBits):
                assert wrong == []
                assert step.at - last_busy >= QUIET_MS
                last_busy = step.at
            elif not isinstance(step.fault, TakeBackup):
                last_busy = step.at if wrong else last_busy
            wrong = after(wrong, step.fault)
            last_busy = step.at if wrong else last_busy
        else:
            last_busy = step.at


@given(seed=seeds, names=chosen)
@settings(max_examples=examples(100), deadline=None)
def test_whatever_begins_ends(seed: int, names: list[str]) -> None:
    """Also what was planned for the quiet before data is taken away, and is moved."""
    wrong: list[Condition] = []

    for step in _plan(seed, [*names, "pause", "wipe"]).steps:
        if isinstance(step, Strike):
            wrong = list(after(wrong, step.fault))

    assert wrong == []


def test_nemesis_leaves_operations_as_they_were() -> None:
    """Streams of chance are apart: one more nemesis changes no operation."""
    assert _asked(_plan(7, ["kill"])) == _asked(_plan(7, ["kill", "partition"]))
    assert _asked(_plan(7, ["kill"])) != _asked(_plan(8, ["kill"]))


def test_plan_does_not_depend_on_the_hash_seed() -> None:
    """Another process, in which texts have other hashes, draws the same plan."""
    program = (
        "from tests.jepsen_like.test_generator import _plan, plan_text;"
        "print(plan_text(_plan(11, ['mixed', 'wipe'])), end='')"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }

    assert texts == {plan_text(_plan(11, ["mixed", "wipe"]))}


@pytest.mark.parametrize(
    ("nodes", "extent", "complaint"),
    [
        ((), EXTENT, "1 to 1000 nodes, not 0"),
        (("n1", "n1"), EXTENT, "different names"),
        (NODES, Extent(operations=0), "operations, workers, keys and time"),
        (NODES, Extent(duration_ms=5), "20 ms or more, not 5"),
        (("n1",), EXTENT, "nemesis partition needs 2 nodes"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    nodes: tuple[str, ...], extent: Extent, complaint: str
) -> None:
    """With the reason."""
    with pytest.raises(ValueError, match=complaint):
        plan_of(LastWrites(), [NEMESES["partition"]], 1, nodes, extent)


def test_nodes_are_numbered_from_one() -> None:
    """n1, n2, n3."""
    assert node_names(3) == ("n1", "n2", "n3")


@given(seed=seeds)
@settings(max_examples=examples(50), deadline=None)
def test_nobody_speaks_to_a_node_that_hears_nothing(seed: int) -> None:
    """A fault that cannot come to be is not planned."""
    plan = _plan(seed, ["garble", "flood", "kill", "pause"])

    wrong: list[Condition] = []
    for step in plan.steps:
        if isinstance(step, Strike):
            if isinstance(step.fault, Flood | Garble):
                assert Condition("down", step.fault.node) not in wrong
                assert Condition("paused", step.fault.node) not in wrong
            wrong = after(wrong, step.fault)
