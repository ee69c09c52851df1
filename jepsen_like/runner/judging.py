"""
Judging a run: what clients saw, and whether the run could have shown anything.

A history without a contradiction proves nothing if the planned faults never came
to be, or if hardly any operation succeeded: then the verdict of the check `run` is
`unknown`.  It is `invalid` if the system saw itself break a promise, or had not
come to rest in time after all faults were over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation, Outcome
from jepsen_like.history.run_line import CHECKER
from jepsen_like.nemesis.conditions import kind
from jepsen_like.plan import Plan
from jepsen_like.runner.run import Run
from jepsen_like.runner.settling import FINAL_PREFIX
from jepsen_like.verdict import Judgement, Verdict, Witness
from jepsen_like.workloads import workload_named
from jepsen_like.workloads.workload import Workload

SUFFICIENT_SHARE: Final = 0.5
"""Of the operations asked while no fault was there, or of all if one always was."""


def judge_run(
    run: Run,
    plan: Plan,
    *,
    workload: Workload | None = None,
    sufficient_share: float = SUFFICIENT_SHARE,
) -> tuple[Judgement, ...]:
    """
    Return what the workload's checkers say, and last what the run itself does.

    Args:
        run: What was done.
        plan: What was to be done.
        workload: Whose operations they are, if it is not one that has a name.
        sufficient_share: With fewer successes the run is `unknown`, 0 to 1.
    """
    chosen = workload or workload_named(plan.workload)
    return (*chosen.judge(run.history), run_judgement(run, sufficient_share))


def with_run(history: History, judgements: Iterable[Judgement]) -> History:
    """Return *history* with what *judgements* say of the run itself, to be kept."""
    found = [each for each in judgements if each.checker == CHECKER]
    return replace(history, run=found[-1] if found else None)


def run_judgement(run: Run, sufficient_share: float = SUFFICIENT_SHARE) -> Judgement:
    """Return what can be said of *run* without knowing what was asked."""
    witnesses = _witnesses(run)
    doubts = _doubts(run, sufficient_share)
    figures = _figures(run)
    if witnesses:
        reason = witnesses[0].explanation
        return Judgement(CHECKER, Verdict.INVALID, reason, witnesses, figures)
    if doubts:
        return Judgement(CHECKER, Verdict.UNKNOWN, "; ".join(doubts), (), figures)
    return Judgement(CHECKER, Verdict.VALID, figures=figures)


def succeeded_share(run: Run) -> float | None:
    """
    Return the share of successes that counts, 0 to 1; None if nothing was asked.

    Operations called while a fault was there count only if one was always there.
    """
    counted = _counted(run)
    total = len(counted) + run.left_out
    if not total:
        return None
    return sum(each.outcome is Outcome.OK for each in counted) / total


def _witnesses(run: Run) -> tuple[Witness, ...]:
    broken = tuple(Witness("broken promise", told) for told in run.violations)
    if run.unsettled is None or run.errors:
        return broken  # what the harness failed to end, nobody can recover from
    reason, operations = run.unsettled
    return (*broken, Witness("not at rest", reason, operations))


def _doubts(run: Run, sufficient_share: float) -> list[str]:
    doubts = [*run.errors[:3]]
    if missing := [each for each in run.struck if not each.came]:
        first = missing[0]
        doubts.append(
            f"{len(missing)} of {len(run.struck)} planned faults never came to be;"
            f" the first, {kind(first.strike.fault)} at {first.strike.at} ms:"
            f" {first.error}"
        )
    share = succeeded_share(run)
    if share is None:
        doubts.append("nothing was asked")
    elif share < sufficient_share:
        doubts.append(
            f"only {share:.0%} of the operations that met no fault succeeded,"
            f" and {sufficient_share:.0%} are needed{_commonest_error(run)}"
        )
    return doubts


def _figures(run: Run) -> dict[str, int | float | str]:
    asked = _asked(run)
    share = succeeded_share(run)
    return {
        "operations": len(asked),
        **{
            outcome.value: sum(each.outcome is outcome for each in asked)
            for outcome in Outcome
        },
        "left out": run.left_out,
        "share succeeded": 0.0 if share is None else round(share, 3),
        "faults": len(run.history.faults),
        "seconds": run.elapsed_ms / 1000,
    }


def _asked(run: Run) -> Sequence[Operation]:
    return [
        each for each in run.history.operations if not each.f.startswith(FINAL_PREFIX)
    ]


def _counted(run: Run) -> Sequence[Operation]:
    """Return what was asked while no fault was there, or all if one always was."""
    asked = _asked(run)
    return [each for each in asked if not _is_troubled(each, run)] or asked


def _is_troubled(operation: Operation, run: Run) -> bool:
    return any(
        span.began <= operation.called <= span.ended for span in run.history.faults
    )


def _commonest_error(run: Run) -> str:
    counts: dict[str, int] = {}
    for each in _counted(run):
        if each.error:
            counts[each.error] = counts.get(each.error, 0) + 1
    if not counts:
        return ""
    return f"; most said: {max(counts, key=lambda error: counts[error])}"
