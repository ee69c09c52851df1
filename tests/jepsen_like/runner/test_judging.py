"""When a run proves something, and when it does not."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from jepsen_like.history.history import FaultSpan, History
from jepsen_like.history.operation import FOREVER, Operation, Outcome
from jepsen_like.nemesis.faults import Kill
from jepsen_like.nemesis.spans import Struck
from jepsen_like.plan import Invoke, Plan, Strike
from jepsen_like.runner.judging import judge_run, run_judgement, succeeded_share
from jepsen_like.runner.run import Run, Unsettled
from jepsen_like.verdict import Verdict, combined
from tests.jepsen_like.fakes import (
    NODES,
    DividedSystem,
    FakeSystem,
    LastWrites,
    run_on,
)


def _operation(place: int, outcome: Outcome) -> Operation:
    returned = FOREVER if outcome is Outcome.INFO else 10 * place + 5
    return Operation(place, "read", "x", None, None, 10 * place, returned, outcome)


def _run(*outcomes: Outcome) -> Run:
    """A run of operations called at 0, 10, 20, ..."""
    return Run(
        History.of(_operation(place, outcome) for place, outcome in enumerate(outcomes))
    )


OK, FAIL, INFO = Outcome.OK, Outcome.FAIL, Outcome.INFO


@given(
    outcomes=st.lists(st.sampled_from(Outcome), min_size=1, max_size=20),
    needed=st.floats(0, 1),
)
def test_run_without_faults_is_valid_iff_enough_succeeded(
    outcomes: list[Outcome], needed: float
) -> None:
    """The share is that of OK among all."""
    judgement = run_judgement(_run(*outcomes), needed)

    is_enough = outcomes.count(OK) / len(outcomes) >= needed
    assert judgement.verdict is (Verdict.VALID if is_enough else Verdict.UNKNOWN)


def test_operations_that_met_a_fault_do_not_count() -> None:
    """Unless a fault was always there."""
    run = _run(OK, FAIL, FAIL, FAIL, OK)
    faults = (FaultSpan("kill", 9, 31),)

    assert succeeded_share(run) == 0.4
    assert succeeded_share(replace(run, history=_with(run, faults))) == 1.0
    always = (FaultSpan("kill", 0, 100),)
    assert succeeded_share(replace(run, history=_with(run, always))) == 0.4


def _with(run: Run, faults: tuple[FaultSpan, ...]) -> History:
    return replace(run.history, faults=faults)


def test_operations_left_out_count_as_not_succeeded() -> None:
    """They were not even asked."""
    assert succeeded_share(replace(_run(OK), left_out=3)) == 0.25


def test_run_that_asked_nothing_is_unknown() -> None:
    """An empty history contradicts nothing."""
    judgement = run_judgement(Run(History(())))

    assert (judgement.verdict, judgement.reason) == (
        Verdict.UNKNOWN,
        "nothing was asked",
    )


def test_planned_fault_that_never_came_makes_a_run_unknown() -> None:
    """With its reason."""
    struck = Struck(Strike(7, Kill(("n1",))), 0, 1, "not possible: no processes")
    judgement = run_judgement(replace(_run(OK), struck=(struck,)))

    assert judgement.verdict is Verdict.UNKNOWN
    assert "the first, kill at 7 ms: not possible: no processes" in judgement.reason


def test_error_of_the_harness_makes_a_run_unknown_even_if_not_at_rest() -> None:
    """What was not healed cannot have recovered."""
    late = Unsettled("n1 ...", ())
    run = replace(_run(OK), errors=("ending all faults failed",), unsettled=late)

    assert run_judgement(run).verdict is Verdict.UNKNOWN


def test_violation_that_the_system_saw_makes_a_run_invalid() -> None:
    """Whatever else may be said of it."""
    run = replace(_run(FAIL), violations=("two leaders",), errors=("x",))
    judgement = run_judgement(run)

    assert judgement.verdict is Verdict.INVALID
    assert judgement.witnesses[0].kind == "broken promise"
    assert judgement.reason == "two leaders"


def test_run_of_a_divided_system_is_invalid_and_shows_the_finals() -> None:
    """Its nodes never came to rest."""
    plan = Plan("w", 1, NODES, (Invoke(0, 0, "n1", "write", "x", 1),), 100)
    run = run_on(DividedSystem(), plan)
    judgement = run_judgement(run)

    assert judgement.verdict is Verdict.INVALID
    assert judgement.witnesses[0].kind == "not at rest"
    shown = judgement.witnesses[0].operations
    assert [(each.f, each.node) for each in shown] == [
        ("final-read", "n1"),
        ("final-read", "n2"),
    ]


def test_judging_joins_what_the_workload_says() -> None:
    """The workload's checkers first, the run itself last."""
    plan = Plan("w", 1, NODES, (Invoke(0, 0, "n1", "write", "x", 1),), 100)
    judgements = judge_run(run_on(FakeSystem(), plan), plan, workload=LastWrites())

    assert [each.checker for each in judgements] == ["last-write", "run"]
    assert combined(judgements) is Verdict.VALID
    assert judgements[-1].figures["ok"] == 1


def test_commonest_error_is_told_when_too_few_succeeded() -> None:
    """So one sees what was wrong without opening the history."""
    run = _run(FAIL, FAIL, OK)
    told = [each._replace(error="no route") for each in run.history.operations[:2]]
    run = replace(run, history=History((*told, run.history.operations[2])))

    assert "most said: no route" in run_judgement(run).reason


def test_error_of_operations_that_met_a_fault_is_not_told() -> None:
    """They do not count, so they are not why too few succeeded."""
    run = _run(FAIL, FAIL, FAIL)
    errors = ("refused", "killed", "killed")
    told = [
        each._replace(error=error)
        for each, error in zip(run.history.operations, errors, strict=True)
    ]
    history = History(tuple(told), faults=(FaultSpan("kill", 9, 31),))

    assert "most said: refused" in run_judgement(replace(run, history=history)).reason
