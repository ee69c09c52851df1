"""The near-linear check of queues agrees with trying every order."""

from collections import deque
from collections.abc import Hashable
from random import Random

from jepsen_like.checkers import linearizable_queue
from jepsen_like.history.history import History
from jepsen_like.history.operation import FOREVER, Operation, Outcome, Value
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.brute_force import linearizable
from tests.jepsen_like.examples import examples


def step(state: Hashable, operation: Operation) -> list[Hashable]:
    """Return the queues after *operation*."""
    assert isinstance(state, tuple)
    if operation.f == "enqueue":
        return [(*state, operation.argument)]
    told = state[0] if state else None
    if operation.outcome is Outcome.INFO or operation.result == told:
        return [state[1:]]
    return []


def drawn(random: Random) -> History:
    """Return the history of a queue that may err, seen from outside."""
    held: deque[int] = deque()
    operations = []
    now, value = 0, 0
    error = random.choice([0.0, 0.5, 0.5])
    for process in range(random.randrange(1, 10)):
        now += random.randrange(1, 4)
        result: Value = None
        argument: Value = None
        if random.random() < 0.5:
            f, argument = "enqueue", value
            held.append(value)
            value += 1
        else:
            f = "dequeue"
            if random.random() < error:
                held.rotate(random.choice([-1, 1]))
            result = held.popleft() if held else None
            if random.random() < error / 3:
                result = random.choice([None, value, 0])
        called, returned = now - random.randrange(4), now + random.randrange(1, 5)
        outcome = Outcome.OK
        if random.random() < 0.12:
            outcome, returned, result = Outcome.INFO, FOREVER, None
        operations.append(
            Operation(process, f, "q", argument, result, called, returned, outcome)
        )
    return History.of(operations)


def test_verdict_is_that_of_trying_every_order() -> None:
    """Whatever is not handed over is judged right, pending operations too."""
    judged = {Verdict.VALID: 0, Verdict.INVALID: 0}
    handed_over = 0
    for seed in range(examples(5000)):
        history = drawn(Random(seed))
        judgement = linearizable_queue.check(history)
        if judgement is None:
            handed_over += 1
            continue
        judged[judgement.verdict] += 1
        expected = linearizable(history.operations, (), step)
        assert (judgement.verdict is Verdict.VALID) == expected, history.operations
        for witness in judgement.witnesses:
            alone = linearizable(witness.operations, (), step)
            assert not alone, "the witness contradicts itself without the rest"
    assert min(judged.values()) > examples(5000) // 12
    assert handed_over < examples(5000) // 5


def test_empty_covered_by_two_values_names_both() -> None:
    """No single value was there all the time, and yet the queue was never empty."""
    history = History.of(
        [
            Operation(0, "enqueue", "q", 1, None, 0, 1, Outcome.OK),
            Operation(1, "enqueue", "q", 2, None, 2, 5, Outcome.OK),
            Operation(2, "dequeue", "q", None, None, 3, 12, Outcome.OK),
            Operation(0, "dequeue", "q", None, 1, 8, 10, Outcome.OK),
        ]
    )

    judgement = linearizable_queue.check(history)

    assert judgement is not None
    assert judgement.verdict is Verdict.INVALID
    assert set(judgement.witnesses[0].operations) == set(history.operations)


def test_order_is_judged_when_a_value_never_came_out() -> None:
    """Overtaking is seen though the overtaken value is still there."""
    history = History.of(
        [
            Operation(0, "enqueue", "q", 1, None, 0, 1, Outcome.OK),
            Operation(0, "enqueue", "q", 2, None, 2, 3, Outcome.OK),
            Operation(0, "dequeue", "q", None, 2, 4, 5, Outcome.OK),
        ]
    )

    judgement = linearizable_queue.check(history)

    assert judgement is not None
    assert judgement.witnesses[0].kind == "out of order"


def test_what_is_outside_of_its_form_is_handed_over() -> None:
    """A value enqueued twice, and other operations."""
    enqueue = Operation(0, "enqueue", "q", 1, None, 0, 1, Outcome.OK)
    again = enqueue._replace(called=2, returned=3)
    drain = Operation(0, "drain", "q", None, (1,), 4, 5, Outcome.OK)

    assert linearizable_queue.check(History.of([enqueue, again])) is None
    assert linearizable_queue.check(History.of([enqueue, drain])) is None
