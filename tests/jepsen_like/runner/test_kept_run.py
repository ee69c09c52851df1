"""What was found of a run goes with its history."""

from jepsen_like.history import History
from jepsen_like.runner.judging import with_run
from jepsen_like.verdict import Judgement, Verdict


def test_judgement_of_the_run_is_kept_and_no_other() -> None:
    """The others can be found again from the operations."""
    run = Judgement("run", Verdict.UNKNOWN, "nothing was asked")
    judgements = [Judgement("durability", Verdict.VALID), run]

    assert with_run(History(()), judgements).run == run
    assert with_run(History(()), judgements[:1]).run is None
