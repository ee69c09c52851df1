"""What the nodes still cannot do: a plan that fails, so that nobody forgets."""

from pathlib import Path

import pytest

from jepsen_like.adapters import kvnode_simulated
from jepsen_like.plan_file import read_plan
from jepsen_like.runner.judging import judge_run
from jepsen_like.verdict import Verdict, combined

PLAN = Path(__file__).parent / "plans" / "dead-identity.json"


@pytest.mark.xfail(
    strict=True,
    reason="nobody covers the last writes of an identity that is gone for good until"
    " members can be declared dead (docs/operations.md)",
)
def test_entries_of_an_identity_that_is_gone_are_covered_by_those_who_have_them() -> (
    None
):
    """A node gets its backup just after a write that peers saw and did not cover."""
    plan = read_plan(PLAN)

    judgements = judge_run(kvnode_simulated.run(plan), plan)

    assert combined(judgements) is Verdict.VALID
