"""
The harness bites where objects break a rule, and does not where they keep all.

Each broken one is looked for in at most 100 seeds.  The true ones get a seed of every
nemesis that they can suffer here, and thousands by the command in docs/harness.md.
"""

import os

import pytest

from jepsen_like import generator
from jepsen_like.adapters import kvnode_objects_simulated
from jepsen_like.plan import Plan
from jepsen_like.runner.judging import judge_run
from jepsen_like.verdict import Judgement, Verdict
from jepsen_like.workloads import WORKLOADS, asks_objects
from jepsen_like.workloads.workload import Extent
from tests.jepsen_like.broken_objects import BROKEN_OBJECTS, NODES, BrokenObjects

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

SEEDS_MAX = 100
TRUE_SEEDS = int(os.environ.get("HARNESS_EXAMPLES", "1"))
OF_OBJECTS = [name for name in WORKLOADS if asks_objects(name)]
HARMS = (
    ("partition", "kill"),
    ("pause", "clock-drift"),
    ("disorder",),
    ("wipe",),
    ("restart-storm", "clock-jump"),
    ("disk-slow", "loss"),
    ("mixed-objects",),
)
"""As many as there are workloads, so that in as many seeds each meets each."""

FEW = Extent(operations=100, duration_ms=5_000)


def judged(plan: Plan) -> tuple[Judgement, ...]:
    """Run a plan in simulation, and judge it."""
    return judge_run(kvnode_objects_simulated.run(plan), plan)


@pytest.mark.parametrize("broken", BROKEN_OBJECTS.values(), ids=list(BROKEN_OBJECTS))
def test_broken_objects_are_found(
    broken: BrokenObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 100 seeds, from the one on that is known to show it."""
    broken.apply(monkeypatch)
    seeds = (*range(broken.seed, SEEDS_MAX), *range(broken.seed))

    assert any(
        judgement.verdict is Verdict.INVALID
        for seed in seeds
        for judgement in judged(broken.plan(seed))
    )


@pytest.mark.parametrize("number", range(len(HARMS)))
def test_true_objects_are_not_accused(number: int) -> None:
    """Whatever is done to them, and whatever is asked."""
    for seed in range(TRUE_SEEDS):
        workload = OF_OBJECTS[(number + seed) % len(OF_OBJECTS)]
        plan = generator.plan(workload, HARMS[number], seed, NODES, FEW)
        accused = [
            f"seed {seed}: {judgement.checker}: {judgement.reason}"
            for judgement in judged(plan)
            if judgement.verdict is not Verdict.VALID
        ]
        assert accused == []


@pytest.mark.parametrize(
    "name", [name for name, each in BROKEN_OBJECTS.items() if not each.is_drawn]
)
def test_plan_made_by_hand_accuses_no_true_objects(name: str) -> None:
    """It is the broken rule that it shows, and nothing else."""
    for judgement in judged(BROKEN_OBJECTS[name].plan(BROKEN_OBJECTS[name].seed)):
        assert judgement.verdict is Verdict.VALID, judgement.reason


def test_run_of_objects_repeats_itself() -> None:
    """The same plan, the same history."""
    plan = generator.plan("object-counter", ("wipe", "kill", "loss"), 3, NODES, FEW)

    first, second = (kvnode_objects_simulated.run(plan) for _ in range(2))

    assert first.history == second.history
    assert first.streams == second.streams
