"""Failing plans are cut down to what it takes to fail."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsen_like.generator import plan_of
from jepsen_like.history.history import History
from jepsen_like.nemesis.faults import Cut, Fault, Heal, Kill, Start
from jepsen_like.nemesis.registry import NEMESES
from jepsen_like.nemesis.tidying import tidied
from jepsen_like.plan import Invoke, Plan, Strike
from jepsen_like.runner.judging import judge_run
from jepsen_like.runner.run import Run
from jepsen_like.shrinking import DoesNotFailError, Effort, Shrunk, shrink, symptom_of
from jepsen_like.verdict import Judgement, Verdict, Witness
from jepsen_like.workloads.workload import Extent
from tests.jepsen_like.examples import examples
from tests.jepsen_like.fakes import (
    NODES,
    FakeSystem,
    ForgetfulSystem,
    LastWrites,
    run_on,
)

EXTENT = Extent(operations=60, workers=4, keys=2, duration_ms=2_000)


def _judge(run: Run, plan: Plan) -> tuple[Judgement, ...]:
    return judge_run(run, plan, workload=LastWrites())


def _failing_plan(seed: int) -> Plan:
    nemeses = [NEMESES["kill"], NEMESES["partition"], NEMESES["clock-jump"]]
    return replace(plan_of(LastWrites(), nemeses, seed, NODES, EXTENT), settle=10)


def _shrunk(plan: Plan, **options: object) -> Shrunk:
    return shrink(
        plan,
        lambda candidate: run_on(ForgetfulSystem(), candidate),
        judge=_judge,
        **options,  # type: ignore[arg-type]  # options of shrink, passed on
    )


def test_planted_mistake_is_cut_down_to_what_it_needs() -> None:
    """One kill with its start, and two writes of one key, at one node by one worker."""
    shrunk = _shrunk(_failing_plan(1))

    assert shrunk.is_minimal
    assert shrunk.symptom == ("last-write", "lost write")
    assert shrunk.plan.nodes == ("n1",)
    strikes = [step for step in shrunk.plan.steps if isinstance(step, Strike)]
    asked = [step for step in shrunk.plan.steps if isinstance(step, Invoke)]
    assert [each.fault for each in strikes] == [Kill(("n1",)), Start(("n1",))]
    assert [(each.f, each.node, each.worker) for each in asked] == [
        ("write", "n1", 0)
    ] * 2
    assert asked[0].key == asked[1].key
    assert shrunk.plan.steps[-1].at <= 4


@given(seed=st.integers(0, 1000))
@settings(max_examples=examples(5), deadline=None)
def test_shrinking_gives_a_smaller_plan_that_fails_alike_and_always_the_same(
    seed: int,
) -> None:
    """Whatever the plan, the result fails by the same symptom."""
    plan = _failing_plan(seed)
    if symptom_of(_judge(run_on(ForgetfulSystem(), plan), plan)) is None:
        return
    shrunk = _shrunk(plan)

    again = run_on(ForgetfulSystem(), shrunk.plan)
    assert symptom_of(_judge(again, shrunk.plan)) == shrunk.symptom
    assert len(shrunk.plan.steps) <= 4
    assert _shrunk(plan).plan == shrunk.plan


def test_plan_that_does_not_fail_is_refused() -> None:
    """There is nothing to cut down to."""
    with pytest.raises(DoesNotFailError):
        shrink(
            _failing_plan(1),
            lambda candidate: run_on(FakeSystem(), candidate),
            judge=_judge,
        )


def test_bound_of_runs_is_kept_and_told() -> None:
    """After so many runs the best so far is the answer."""
    ran: list[Plan] = []

    def run(plan: Plan) -> Run:
        ran.append(plan)
        return run_on(ForgetfulSystem(), plan)

    shrunk = shrink(_failing_plan(1), run, judge=_judge, effort=Effort(runs=7))

    assert len(ran) == shrunk.runs == 7
    assert not shrunk.is_minimal


def _run_of_nothing(plan: Plan) -> Run:
    del plan
    return Run(History(()))


def test_streams_are_calmed_save_those_that_it_takes() -> None:
    """A failure that needs one stream's chance keeps exactly that one."""

    def judge(run: Run, plan: Plan) -> tuple[Judgement, ...]:
        del run
        if "disk" in plan.calm:
            return (Judgement("c", Verdict.VALID),)
        return (Judgement("c", Verdict.INVALID, "r", (Witness("k", "e"),)),)

    streams = ("network", "disk", "order", "clock")
    shrunk = shrink(_failing_plan(1), _run_of_nothing, judge=judge, streams=streams)

    assert shrunk.plan.calm == {"network", "order", "clock"}
    assert shrunk.plan.steps == ()


def test_calm_names_only_streams_that_the_smallest_run_draws_from() -> None:
    """What a plan no longer has needs no calming; a reader is spared it."""

    def run(plan: Plan) -> Run:
        streams = tuple(f"flight {number}" for number in range(len(plan.steps)))
        return replace(_run_of_nothing(plan), streams=(*streams, "order"))

    def judge(run: Run, plan: Plan) -> tuple[Judgement, ...]:
        del run
        if len(plan.steps) < 2:
            return (Judgement("c", Verdict.VALID),)
        return (Judgement("c", Verdict.INVALID, "r", (Witness("k", "e"),)),)

    plan = replace(_failing_plan(1), calm=frozenset({"flight 9", "nothing"}))
    shrunk = shrink(plan, run, judge=judge)

    assert len(shrunk.plan.steps) == 2
    assert shrunk.plan.calm == {"flight 0", "flight 1", "order"}


@given(
    faults=st.lists(
        st.sampled_from((Heal(), Kill(("n1",)), Start(("n1",)), Cut((("n1", "n2"),)))),
        max_size=12,
    ),
    needed=st.sampled_from((Kill(("n1",)), Cut((("n1", "n2"),)))),
)
@settings(max_examples=examples(50), deadline=None)
def test_any_jumble_of_faults_is_cut_down_to_the_one_needed(
    faults: list[Fault], needed: Fault
) -> None:
    """Even when endings come twice, or before what they end."""
    plan = Plan("w", 1, NODES, tuple(Strike(0, each) for each in faults), 0)
    if needed not in faults:
        return

    def judge(run: Run, plan: Plan) -> tuple[Judgement, ...]:
        del run
        if Strike(0, needed) not in plan.steps:
            return (Judgement("c", Verdict.VALID),)
        return (Judgement("c", Verdict.INVALID, "r", (Witness("k", "e"),)),)

    shrunk = shrink(plan, _run_of_nothing, judge=judge)

    assert len(shrunk.plan.steps) <= 2
    assert shrunk.plan.steps[0] == Strike(0, needed)


def test_another_failure_is_not_taken_for_the_same() -> None:
    """A smaller plan that fails by another anomaly is no smaller form of this."""

    def judge(run: Run, plan: Plan) -> tuple[Judgement, ...]:
        del run
        kind = "first" if len(plan.steps) > 5 else "second"
        return (Judgement("c", Verdict.INVALID, "r", (Witness(kind, "e"),)),)

    shrunk = shrink(_failing_plan(1), _run_of_nothing, judge=judge)

    assert len(shrunk.plan.steps) == 6


def test_endings_go_with_what_they_end() -> None:
    """And a start names only those that are down."""
    steps = (
        Strike(1, Heal()),
        Strike(2, Kill(("n1",))),
        Strike(3, Start(("n1", "n2"))),
        Strike(4, Start(("n1",))),
        Strike(5, Cut((("n1", "n2"),))),
        Strike(6, Heal()),
    )

    assert tidied(steps) == (
        Strike(2, Kill(("n1",))),
        Strike(3, Start(("n1",))),
        Strike(5, Cut((("n1", "n2"),))),
        Strike(6, Heal()),
    )
