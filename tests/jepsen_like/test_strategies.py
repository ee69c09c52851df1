"""Plans drawn by Hypothesis run, and shrink."""

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from jepsen_like import generator
from jepsen_like.nemesis.conditions import Condition, after, is_ending
from jepsen_like.nemesis.faults import Kill, Pause, Resume
from jepsen_like.plan import Invoke, Plan, Strike
from jepsen_like.plan_file import parse_plan, plan_text
from jepsen_like.runner.judging import judge_run
from jepsen_like.strategies import _with, plans
from jepsen_like.verdict import Verdict, combined
from jepsen_like.workloads.workload import Extent
from tests.jepsen_like.examples import examples
from tests.jepsen_like.fakes import forgetful

EXTENT = Extent(operations=12, workers=3, keys=2, duration_ms=1_000)


@given(plan=plans(nemeses=("mixed", "kill"), extent=EXTENT))
@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_drawn_plan_is_one_that_files_hold_and_ends_what_it_begins(plan: Plan) -> None:
    """Whatever is left out, faults stay with their endings."""
    assert parse_plan(plan_text(plan)) == plan
    wrong: list[Condition] = []
    for step in plan.steps:
        if isinstance(step, Strike):
            assert not is_ending(step.fault) or wrong
            wrong = after(wrong, step.fault)
    assert wrong == []


def test_failing_example_shrinks_to_a_few_steps() -> None:
    """The planted mistake takes a kill, its start and two writes, and no more."""

    def fails(plan: Plan) -> bool:
        return combined(judge_run(forgetful(plan), plan)) is Verdict.INVALID

    plan = find(
        plans(nemeses=("kill",), extent=EXTENT),
        fails,
        settings=settings(
            max_examples=500,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
        ),
    )

    asked = [step for step in plan.steps if isinstance(step, Invoke)]
    kills = [
        step
        for step in plan.steps
        if isinstance(step, Strike) and isinstance(step.fault, Kill)
    ]
    assert [each.f for each in asked] == ["write", "write"]
    assert len(kills) == 1
    assert len(plan.steps) == 4


@pytest.mark.parametrize(
    ("workload", "nemeses", "nodes"),
    [("nothing", ("kill",), 3), ("register", ("kil",), 3), ("register", ("one",), 3)],
)
def test_unknown_names_are_refused_at_once(
    workload: str, nemeses: tuple[str, ...], nodes: int
) -> None:
    """Not when the first example is drawn."""
    with pytest.raises(ValueError, match=r"there is no workload|no nemesis is called"):
        plans(workload, nemeses, nodes=nodes)


def test_failing_plan_is_printed_a_step_a_line() -> None:
    """And not as the numbers that it was drawn from."""

    @settings(database=None, deadline=None, phases=(Phase.generate, Phase.shrink))
    @given(plan=plans(nemeses=("kill",), extent=EXTENT))
    def never_asks_and_kills(plan: Plan) -> None:
        kinds = {type(step) for step in plan.steps}
        assert len(kinds) < 2

    with pytest.raises(AssertionError) as failed:
        never_asks_and_kills()

    told = "\n".join(failed.value.__notes__).splitlines()
    assert any("plan=Plan(workload='register'," in line for line in told)
    steps = [line.strip() for line in told if " at=" in line or "(at=" in line]
    assert len(steps) == 3, told
    assert sum("Invoke(" in line for line in steps) == 1


def test_plans_is_a_strategy() -> None:
    """It can be joined with others."""
    assert isinstance(plans(extent=EXTENT) | st.none(), st.SearchStrategy)


def test_pause_whose_end_was_a_kill_that_is_left_out_ends_all_the_same() -> None:
    """Found by the test of drawn plans, with this seed."""
    names = generator.node_names(3)
    plan = generator.plan("register", ("mixed", "kill"), 84714698, names, EXTENT)
    numbers = [
        int(isinstance(step, Strike) and isinstance(step.fault, Pause | Resume))
        for step in plan.steps
    ]

    wrong: list[Condition] = []
    for step in _with(plan, numbers).steps:
        assert isinstance(step, Strike)
        wrong = after(wrong, step.fault)

    assert any(numbers)
    assert wrong == []
