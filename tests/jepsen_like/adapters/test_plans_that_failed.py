"""Runs that once failed, cut down to what they need: each must be valid now."""

from pathlib import Path

import pytest

from jepsen_like.adapters import kvnode_simulated
from jepsen_like.plan_file import read_plan
from jepsen_like.runner.judging import judge_run
from jepsen_like.verdict import Verdict, combined

PLANS = Path(__file__).parent / "plans"


@pytest.mark.parametrize(
    "name",
    [
        # A node gets its backup, tells a write to one peer, and starts over for
        # another that has not heard of it: what it puts aside it must not claim.
        "rescued-writes",
        # A bootstrap from an old backup brings what the donor does not cover, and
        # begins anew: the judge wanted to see that rescued, and the donor has it.
        "bootstrap-from-backup",
        # To a wiped node is repeated what a peer had said and pushed since it was new:
        # it starts over for what the push has left, which the judge did not look at.
        "repeated-past",
    ],
)
def test_plan_that_once_failed_is_valid(name: str) -> None:
    """The cases say what went wrong."""
    plan = read_plan(PLANS / f"{name}.json")

    judgements = judge_run(kvnode_simulated.run(plan), plan)

    assert combined(judgements) is Verdict.VALID
