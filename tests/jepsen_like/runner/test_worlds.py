"""Systems by name, and one's own."""

import pytest

from jepsen_like import generator
from jepsen_like.runner.judging import judge_run
from jepsen_like.runner.run import Progress
from jepsen_like.runner.worlds import UnknownWorldError, run_plan_on
from jepsen_like.verdict import Verdict, combined
from jepsen_like.workloads.workload import Extent
from tests.jepsen_like.fakes import NODES

PLAN = generator.plan("register", (), 1, NODES, Extent(20, 3, 2, 50))


def test_own_system_is_run_in_real_time() -> None:
    """It is set up, asked, judged and told about."""
    told: list[Progress] = []
    run = run_plan_on("tests.jepsen_like.fakes:in_real_time", progress=told.append)(
        PLAN
    )

    assert combined(judge_run(run, PLAN)) is Verdict.VALID
    assert told[-1].done == 20


def test_own_run_is_taken_as_it_is() -> None:
    """For those who have a loop of their own."""
    run = run_plan_on("tests.jepsen_like.fakes:divided")(PLAN)

    assert run.unsettled is not None


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("no_such_module:x", "No module named 'no_such_module'"),
        ("tests.jepsen_like.fakes:nothing", "has no attribute 'nothing'"),
        ("tests.jepsen_like.fakes:NODES", "is not callable"),
        (":x", "no system can be made of :x"),
    ],
)
def test_what_is_no_system_is_refused(name: str, complaint: str) -> None:
    """Before anything runs."""
    with pytest.raises(UnknownWorldError, match=complaint):
        run_plan_on(name)
