"""
Plans as a Hypothesis strategy: operations and faults drawn together.

An example is a seed, the plan it stands for, and which of its steps are kept.
Hypothesis shrinks the last by leaving out more, of operations and faults alike, so
a failing example ends as a plan of a few steps.  A fault and what ends it go
together.  As everything is drawn before anything runs, an example is a `Plan` that
can be written to a file and replayed.  The phase `explain` of Hypothesis takes
longer than all shrinking, and tells of a plan only which numbers do not matter:
leave it out.

    @given(plan=plans(workload="register", nemeses=("kill", "partition")))
    def test_register_keeps_its_promise(plan):
        judgements = judge_run(run(plan), plan)
        assert combined(judgements) is not Verdict.INVALID

Hypothesis prints a failing plan as Python, a step a line.

References:
    MacIver & Donaldson, 2020.  Test-case reduction via test-case generation:
        insights from the Hypothesis reducer.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hypothesis import strategies as st

from jepsen_like import generator
from jepsen_like.nemesis.conditions import Condition, after, endings, is_ending
from jepsen_like.nemesis.tidying import tidied
from jepsen_like.plan import Plan, Step, Strike
from jepsen_like.workloads.workload import Extent

_SEEDS: Final = st.integers(0, 2**32 - 1)
_KEPT_OF: Final = 8
"""Of so many steps one is left out before shrinking; 0 means left out."""


def plans(
    workload: str = "register",
    nemeses: Sequence[str] = ("mixed",),
    *,
    nodes: int = 3,
    extent: Extent = Extent(operations=30),  # noqa: B008 - a value that never changes
) -> st.SearchStrategy[Plan]:
    """
    Return a strategy for plans.

    Args:
        workload: What clients ask for, by name.
        nemeses: What harm is done, by names.
        nodes: How many.
        extent: At most so much of it; tens of operations shrink quickly.

    Raises:
        ValueError: A name is not known, or there are too few nodes; raised here,
            not when an example is drawn.
    """
    names = generator.node_names(nodes)
    generator.plan(workload, nemeses, 0, names, extent)

    # A composite, because of what is mapped Hypothesis prints how it came to be, and
    # not what it is.
    @st.composite
    def drawn(draw: st.DrawFn) -> Plan:
        plan = generator.plan(workload, nemeses, draw(_SEEDS), names, extent)
        numbers = [
            1 if _is_ending(step) else draw(st.integers(0, _KEPT_OF - 1))
            for step in plan.steps
        ]
        return _with(plan, numbers)

    return drawn()


def _with(plan: Plan, numbers: Sequence[int]) -> Plan:
    """Return *plan* with the steps that have a number other than 0."""
    kept = (step for step, number in zip(plan.steps, numbers, strict=True) if number)
    steps = tidied(kept)
    # What ended a fault may itself be a fault that was left out: a kill ends a pause.
    wrong: list[Condition] = []
    for step in steps:
        if isinstance(step, Strike):
            wrong = after(wrong, step.fault)
    end = max((step.at for step in plan.steps), default=0)
    closing = tuple(Strike(end, fault) for fault in endings(wrong))
    return replace(plan, steps=(*steps, *closing))


def _is_ending(step: Step) -> bool:
    return isinstance(step, Strike) and is_ending(step.fault)
