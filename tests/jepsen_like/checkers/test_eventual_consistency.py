"""Convergence, durability, conflicts and staleness on a store right and broken."""

from collections.abc import Callable

import pytest

from jepsen_like.checkers import conflicts, convergence, durability, staleness
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation, Value
from jepsen_like.verdict import Judgement, Verdict
from tests.jepsen_like.checkers.eventual_store import Defect, run
from tests.jepsen_like.examples import examples

EXAMPLES = examples(300)


def in_order(version: str) -> str:
    """Return by what the versions of the store compare."""
    return version


def all_of(history: History, *, ranked: bool) -> tuple[Judgement, ...]:
    """Return what all four say."""
    order_of = in_order if ranked else None
    return (
        convergence.check(history),
        durability.check(history, order_of=order_of),
        conflicts.check(history, losers_max=1000),
        staleness.check(history, order_of=order_of),
    )


@pytest.mark.parametrize("ranked", [True, False])
def test_true_store_is_never_accused(*, ranked: bool) -> None:
    """Whatever is lost by right is not called lost."""
    for seed in range(EXAMPLES):
        for judgement in all_of(run(seed, versions=ranked), ranked=ranked):
            assert judgement.verdict is Verdict.VALID, (seed, judgement)


@pytest.mark.parametrize(
    ("defect", "check", "share"),
    [
        (Defect.FORGETS, lambda h: durability.check(h, order_of=in_order), 0.07),
        (Defect.FORGETS, durability.check, 0.02),
        (Defect.BY_CLOCK, durability.check, 0.05),
        (Defect.RESURRECTS, lambda h: durability.check(h, order_of=in_order), 0.01),
        (Defect.SILENT, lambda h: conflicts.check(h, losers_max=1000), 0.04),
        (Defect.APART, convergence.check, 0.15),
    ],
)
def test_broken_store_is_found(
    defect: Defect, check: Callable[[History], Judgement], share: float
) -> None:
    """Each defect is seen in a fair share of short runs."""
    found = 0
    for seed in range(EXAMPLES):
        judgement = check(run(seed, defect, versions=check is not durability.check))
        if judgement.verdict is Verdict.INVALID:
            found += 1
            assert judgement.witnesses[0].operations
    assert found >= share * EXAMPLES


def renamed(history: History) -> History:
    """Return *history* under other names and at other times."""

    def value(old: Value) -> Value:
        return None if old is None else f"v{old}"

    def rename(operation: Operation) -> Operation:
        result = operation.result
        return operation._replace(
            process=operation.process * 7 + 1,
            key=f"key {operation.key}",
            node=f"node {operation.node}",
            argument=value(operation.argument),
            result=(
                tuple(map(value, result))
                if isinstance(result, tuple)
                else value(result)
            ),
            called=operation.called + 17,
            returned=operation.returned + (17 if operation.returned < 2**62 else 0),
        )

    header = history.header
    return History.of(
        map(rename, history.operations),
        header=type(header)(nodes=tuple(f"node {node}" for node in header.nodes)),
    )


@pytest.mark.parametrize("defect", list(Defect))
def test_renaming_changes_no_verdict(defect: Defect) -> None:
    """Names of nodes, keys, values and processes mean nothing, times only by order."""
    for seed in range(EXAMPLES // 10):
        history = run(seed, defect)
        before = [each.verdict for each in all_of(history, ranked=True)]
        after = [each.verdict for each in all_of(renamed(history), ranked=True)]
        assert before == after, seed
