"""A run that once left writes of a lost identity covered by nobody; see decision 15."""

from pathlib import Path

from jepsen_like.adapters import kvnode_simulated
from jepsen_like.plan_file import read_plan
from jepsen_like.runner.judging import judge_run
from jepsen_like.verdict import Verdict, combined

PLAN = Path(__file__).parent / "plans" / "dead-identity.json"


def test_entries_of_an_identity_that_is_gone_are_covered_by_those_who_have_them() -> (
    None
):
    """A node gets its backup just after a write that peers saw and did not cover."""
    plan = read_plan(PLAN)

    judgements = judge_run(kvnode_simulated.run(plan), plan)

    assert combined(judgements) is Verdict.VALID
