"""Counters: bounds hold for every true counter, and final sums are exact."""

from itertools import combinations
from random import Random

import pytest

from jepsen_like.checkers import counter
from jepsen_like.history.history import FaultSpan, History
from jepsen_like.history.operation import FOREVER, Operation, Outcome
from jepsen_like.verdict import Verdict
from tests.jepsen_like.examples import examples


def true_history(random: Random) -> History:
    """Return the history of a counter whose operations take effect at one instant."""
    total, now = 0, 20
    operations = []
    for process in range(random.randrange(1, 25)):
        now += random.randrange(1, 6)
        called, returned = now - random.randrange(10), now + random.randrange(1, 10)
        if random.random() < 0.4:
            f, argument, result = "value", None, total
        else:
            f, argument, result = "add", random.randrange(-4, 6), None
        outcome = Outcome.OK
        if f == "add" and random.random() < 0.2:
            outcome, returned = Outcome.INFO, FOREVER
        if f == "add" and (outcome is Outcome.OK or random.random() < 0.5):
            total += argument or 0
        operations.append(
            Operation(process, f, "c", argument, result, called, returned, outcome)
        )
    final = Operation(
        99, "final-value", "c", None, total, now + 50, now + 51, Outcome.OK
    )
    return History.of([*operations, final._replace(node="n1")])


def test_true_counter_is_never_accused() -> None:
    """Bounds and final sums admit whatever a linearizable counter does."""
    for seed in range(examples(1500)):
        history = true_history(Random(seed))
        assert counter.check(history).verdict is Verdict.VALID, seed
        assert counter.check_final(history).verdict is Verdict.VALID, seed


def test_final_value_is_some_sum_of_what_was_uncertain() -> None:
    """Every value is judged as by trying all choices of uncertain additions."""
    for seed in range(examples(300)):
        random = Random(seed)
        history = true_history(random)
        additions = [each for each in history.operations if each.f == "add"]
        certain = sum(
            counter.amount_of(each) for each in additions if each.outcome is Outcome.OK
        )
        open_amounts = [
            counter.amount_of(each)
            for each in additions
            if each.outcome is Outcome.INFO
        ]
        possible = {
            certain + sum(choice)
            for size in range(len(open_amounts) + 1)
            for choice in combinations(open_amounts, size)
        }
        for value in range(certain - 12, certain + 25):
            changed = [
                each._replace(result=value) if each.f == "final-value" else each
                for each in history.operations
            ]
            verdict = counter.check_final(History.of(changed)).verdict
            assert (verdict is Verdict.VALID) == (value in possible), (seed, value)


@pytest.mark.parametrize(
    ("value", "verdict"), [(4, Verdict.INVALID), (5, Verdict.VALID)]
)
def test_read_misses_no_increment_acknowledged_before(
    value: int, verdict: Verdict
) -> None:
    """A decrement under way may count or not, an old increment must."""
    operations = [
        Operation(0, "add", "c", 6, None, 0, 1, Outcome.OK),
        Operation(1, "add", "c", -1, None, 2, 9, Outcome.OK),
        Operation(2, "value", "c", None, value, 4, 5, Outcome.OK),
    ]

    assert counter.check(History.of(operations)).verdict is verdict


def test_addition_may_be_gone_with_its_nodes_store() -> None:
    """What a wiped node alone had acknowledged is uncertain."""
    operations = [
        Operation(0, "add", "c", 6, None, 0, 1, Outcome.OK, "n1"),
        Operation(1, "final-value", "c", None, 0, 50, 51, Outcome.OK, "n2"),
    ]
    wiped = FaultSpan("wipe", 10, 12, ("n1",))

    assert counter.check_final(History.of(operations)).verdict is Verdict.INVALID
    assert counter.check_final(History.of(operations, [wiped])).verdict is Verdict.VALID


def test_history_without_reads_is_unknown() -> None:
    """Additions alone show nothing."""
    add = Operation(0, "add", "c", 6, None, 0, 1, Outcome.OK)

    assert counter.check(History.of([add])).verdict is Verdict.UNKNOWN
    assert counter.check_final(History.of([add])).verdict is Verdict.UNKNOWN


def test_amount_that_is_no_integer_is_refused() -> None:
    """The message says what was wrong."""
    add = Operation(0, "add", "c", "six", None, 0, 1, Outcome.OK)

    with pytest.raises(ValueError, match="integers, not 'six'"):
        counter.check(History.of([add]))
