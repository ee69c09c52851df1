"""
The harness bites: nodes that break a rule are found, and the true ones are not.

Each broken node is looked for in at most 200 seeds.  The true protocol gets
seeds of every nemesis here, and thousands by the command in docs/harness.md.
"""

import os
from collections.abc import Iterable

import pytest

from jepsen_like import generator
from jepsen_like.adapters import kvnode_simulated
from jepsen_like.nemesis.registry import NEMESES
from jepsen_like.runner.judging import judge_run
from jepsen_like.verdict import Judgement, Verdict
from jepsen_like.workloads.workload import Extent
from tests.jepsen_like.broken_nodes import BROKEN, Broken

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

SEEDS_MAX = 200
NODES = ("n1", "n2", "n3")
SIMULATED = sorted(NEMESES.keys() - {"rolling-upgrade"})
"""Which takes a second version, and so processes: tests/system/test_version_faults."""
TRUE_SEEDS = int(os.environ.get("HARNESS_EXAMPLES", "1"))
WORKLOADS = (
    "register",
    "sessions",
    "deletes",
    "counter",
    "set",
    "document",
    "watch",
    "expiry",
    "cas-register",
)


def judged(
    workload: str, nemeses: tuple[str, ...], seed: int, extent: Extent
) -> tuple[Judgement, ...]:
    """Run one plan in simulation, and judge it."""
    plan = generator.plan(workload, nemeses, seed, NODES, extent)
    return judge_run(kvnode_simulated.run(plan), plan)


def found(broken: Broken, seeds: Iterable[int]) -> str:
    """Return which of *seeds* shows that a node is broken, and how."""
    for seed in seeds:
        for judgement in judged(broken.workload, broken.nemeses, seed, broken.extent):
            if judgement.verdict is Verdict.INVALID:
                return f"seed {seed}: {judgement.checker}: {judgement.reason}"
    return ""


@pytest.mark.parametrize("broken", BROKEN.values(), ids=list(BROKEN))
def test_broken_node_is_found(broken: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 200 seeds, from the one on that is known to show it."""
    broken.apply(monkeypatch)
    seeds = (*range(broken.seed, SEEDS_MAX), *range(broken.seed))

    how = found(broken, seeds)

    print(how)  # noqa: T201 -- `pytest -rP` shows it
    assert how


@pytest.mark.parametrize(("number", "nemesis"), list(enumerate(SIMULATED)))
def test_true_nodes_are_not_accused(number: int, nemesis: str) -> None:
    """Under every nemesis, and with every workload under some."""
    workload = WORKLOADS[number % len(WORKLOADS)]
    for seed in range(TRUE_SEEDS):
        accused = [
            f"seed {seed}: {judgement.checker}: {judgement.reason}"
            for judgement in judged(workload, (nemesis,), seed, Extent(operations=100))
            if judgement.verdict is not Verdict.VALID
        ]
        assert accused == []
