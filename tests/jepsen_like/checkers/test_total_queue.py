"""Queues as multisets: what went in and what came out."""

from random import Random

import pytest

from jepsen_like.checkers import total_queue
from jepsen_like.history.history import History
from jepsen_like.history.operation import FOREVER, Operation, Outcome, Value
from jepsen_like.verdict import Verdict
from tests.jepsen_like.examples import examples


def enqueue(value: int, at: int, outcome: Outcome = Outcome.OK) -> Operation:
    """Return an enqueue."""
    returned = FOREVER if outcome is Outcome.INFO else at + 1
    return Operation(0, "enqueue", "q", value, None, at, returned, outcome)


def dequeue(value: int | None, at: int) -> Operation:
    """Return a dequeue."""
    return Operation(1, "dequeue", "q", None, value, at, at + 1, Outcome.OK)


def drain(values: tuple[Value, ...], at: int) -> Operation:
    """Return a drain."""
    return Operation(1, "drain", "q", None, values, at, at + 1, Outcome.OK)


def true_run(random: Random) -> list[Operation]:
    """Return a run of a bag that loses and repeats nothing, drained at the end."""
    held: list[int] = []
    operations: list[Operation] = []
    for at in range(0, 60, 2):
        if held and random.random() < 0.4:
            operations.append(dequeue(held.pop(random.randrange(len(held))), at))
        elif random.random() < 0.2:
            operations.append(enqueue(at, at, Outcome.INFO))
            if random.random() < 0.5:
                held.append(at)
        else:
            operations.append(enqueue(at, at))
            held.append(at)
    return [*operations, drain(tuple(held), 100)]


def test_true_bag_is_never_accused_and_mutations_are_found() -> None:
    """Losing, repeating or inventing one value flips the verdict."""
    for seed in range(examples(400)):
        random = Random(seed)
        good = true_run(random)
        assert total_queue.check(History.of(good)).verdict is Verdict.VALID, seed
        acknowledged = [
            each.argument
            for each in good
            if each.f == "enqueue" and each.outcome is Outcome.OK
        ]
        victim = random.choice(acknowledged)
        assert isinstance(victim, int)
        without = [
            drain(
                tuple(v for v in total_queue.taken_by(each) if v != victim), each.called
            )
            if each.f == "drain"
            else each
            for each in good
            if not (each.f == "dequeue" and each.result == victim)
        ]
        twice = [*good, dequeue(victim, 110)]
        invented = [*good, dequeue(-1, 110)]
        for bad in (without, twice, invented):
            judgement = total_queue.check(History.of(bad))
            assert judgement.verdict is Verdict.INVALID, seed
            assert judgement.witnesses[0].operations


@pytest.mark.parametrize(
    "rest",
    [
        [],
        [drain((), 1)],
        [drain((), 10)._replace(outcome=Outcome.INFO, returned=FOREVER)],
        [
            dequeue(None, 8)._replace(outcome=Outcome.INFO, returned=FOREVER),
            drain((), 10),
        ],
    ],
)
def test_missing_value_that_may_be_elsewhere_is_unknown(rest: list[Operation]) -> None:
    """Not drained, drained too early, or taken by something never answered."""
    history = History.of([enqueue(1, 0), *rest])

    assert total_queue.check(history).verdict is Verdict.UNKNOWN
