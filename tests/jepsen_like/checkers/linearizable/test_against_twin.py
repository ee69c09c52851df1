"""The checker against the dumb twin, on tens of thousands of small histories."""

from random import Random

import pytest

from jepsen_like.checkers.linearizable import check
from jepsen_like.history import History, Operation, Outcome
from jepsen_like.verdict import Judgement, Verdict
from tests.jepsen_like.checkers.linearizable.histories import (
    random_history,
    real_history,
)
from tests.jepsen_like.checkers.linearizable.twin import STEPS, is_linearizable
from tests.jepsen_like.examples import examples

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

HISTORIES_EACH = 2_200
UNIQUE_HISTORIES = 4_000


def _agrees(history: History, model: str) -> tuple[bool, Judgement]:
    """Return whether twin and checker agree, also on the witness."""
    judgement = check(history, model)
    expected = Verdict.VALID if is_linearizable(history, model) else Verdict.INVALID
    if judgement.verdict is not expected:
        return False, judgement
    witnesses = [
        History.of(witness.operations, header=history.header)
        for witness in judgement.witnesses
    ]
    return not any(is_linearizable(each, model) for each in witnesses), judgement


@pytest.mark.parametrize("model", STEPS)
def test_checker_agrees_with_trying_every_order(model: str) -> None:
    """And each witness contradicts itself, by the same measure."""
    found: set[Verdict] = set()
    for seed in range(examples(HISTORIES_EACH)):
        history = random_history(Random(f"{model} {seed}"), model)

        agrees, judgement = _agrees(history, model)

        found.add(judgement.verdict)
        assert agrees, (seed, judgement, history)
    assert found == {Verdict.VALID, Verdict.INVALID}, "both were tried"


def _unique_history(random: Random) -> History:
    """Return a history of a register whose writes and compare-and-sets are unique."""
    written = 10
    share = random.choice([0.0, 0.3, 0.6])

    def draw(random: Random) -> tuple[str, int | tuple[int, int] | None]:
        nonlocal written
        written += 1
        chance = random.random()
        if chance < 0.35:
            return "read", None
        if chance < 0.35 + share:
            expected = random.choice([0, *range(max(11, written - 4), written)])
            return "cas", (expected, written)
        return "write", written

    history = real_history(
        random,
        "cas-register",
        count=random.randint(2, 10),
        workers=random.randint(1, 6),
        draw=draw,
        pending=random.choice([0.0, 0.1, 0.4]),
    )
    operations = list(history.operations)
    for _ in range(random.choice([0, 1, 1, 2])):
        place = random.randrange(len(operations))
        operations[place] = _changed(random, operations[place], written)
    return History.of(operations, header=history.header)


def _changed(random: Random, operation: Operation, written: int) -> Operation:
    if operation.outcome is not Outcome.OK:
        return operation
    if operation.f == "read":
        return operation._replace(result=random.choice([0, *range(11, written + 1)]))
    if operation.f == "cas":
        return operation._replace(result=not operation.result)
    return operation._replace(called=max(1, operation.called - random.randint(0, 5)))


def test_zones_agree_with_trying_every_order() -> None:
    """Chains of compare-and-sets, lost answers and failed comparisons included."""
    by_zones = {Verdict.VALID: 0, Verdict.INVALID: 0}
    count = examples(UNIQUE_HISTORIES)
    for seed in range(count):
        history = _unique_history(Random(f"unique {seed}"))

        agrees, judgement = _agrees(history, "cas-register")

        assert agrees, (seed, judgement, history)
        if judgement.figures["method"] == "zones (1)":
            by_zones[judgement.verdict] += 1
    assert sum(by_zones.values()) > 0.9 * count, "zones were asked at all"
    assert min(by_zones.values()) > 0.1 * count, "and not for one verdict only"
