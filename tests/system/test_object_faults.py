"""Objects of real nodes under the harness: three of them, killed and cut apart."""

import asyncio

import pytest

from jepsen_like import generator
from jepsen_like.runner.judging import judge_run
from jepsen_like.runner.worlds import run_plan_on
from jepsen_like.verdict import Verdict
from jepsen_like.workloads.workload import Extent

pytestmark = pytest.mark.system

EXTENT = Extent(operations=120, duration_ms=5_000)


@pytest.mark.parametrize(
    ("workload", "nemesis"), [("object-list-append", "partition,kill")]
)
async def test_objects_of_processes_are_linearizable(
    workload: str, nemesis: str
) -> None:
    """Whoever leads, and however often that changes."""
    nodes = generator.node_names(3)
    plan = generator.plan(workload, tuple(nemesis.split(",")), 5, nodes, EXTENT)

    made = await asyncio.to_thread(run_plan_on("processes"), plan)

    for judgement in judge_run(made, plan):
        assert judgement.verdict is Verdict.VALID, judgement.reason
