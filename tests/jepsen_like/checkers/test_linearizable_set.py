"""The linear check of sets agrees with trying every order."""

from collections.abc import Hashable
from random import Random

from jepsen_like.checkers import linearizable_set
from jepsen_like.history.history import Header, History
from jepsen_like.history.operation import FOREVER, Operation, Outcome, Value
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.brute_force import linearizable
from tests.jepsen_like.examples import examples


def step(state: Hashable, operation: Operation) -> list[Hashable]:
    """Return the sets after *operation*."""
    assert isinstance(state, frozenset)
    member = operation.argument
    there = member in state
    after, told = {
        "insert": (state | {member}, not there),
        "remove": (state - {member}, there),
        "contains": (state, there),
    }[operation.f]
    open_result = operation.outcome is Outcome.INFO or operation.result is None
    return [after] if open_result or operation.result == told else []


def drawn(random: Random, *, answers: tuple[Value, ...]) -> History:
    """Return any history of a few operations on two members, mostly in form."""
    operations = []
    inserted: set[int] = set()
    for process in range(random.randrange(1, 8)):
        member = random.choice([1, 1, 2])
        fs = ["contains", "contains", "remove"]
        if member not in inserted or random.random() < 0.05:
            fs = ["insert", "insert", *fs]
        f = random.choice(fs)
        if f == "insert":
            inserted.add(member)
        called = random.randrange(12)
        returned = called + random.randrange(1, 6)
        result: Value = random.choice(answers)
        if f == "contains":
            result = random.choice([True, False])
        outcome = Outcome.OK
        if random.random() < 0.15:
            outcome, returned, result = Outcome.INFO, FOREVER, None
        operations.append(
            Operation(process, f, "s", member, result, called, returned, outcome)
        )
    return History.of(operations)


def test_verdict_is_that_of_trying_every_order() -> None:
    """Whatever is not handed over is judged right, pending operations too."""
    judged = {Verdict.VALID: 0, Verdict.INVALID: 0}
    for seed in range(examples(6000)):
        random = Random(seed)
        answers = random.choice([(True,), (None,), (True, False), (None, True, False)])
        history = drawn(random, answers=answers)
        judgement = linearizable_set.check(history)
        if judgement is None:
            continue
        judged[judgement.verdict] += 1
        expected = linearizable(history.operations, frozenset(), step)
        assert (judgement.verdict is Verdict.VALID) == expected, history.operations
        for witness in judgement.witnesses:
            assert witness.operations
    assert min(judged.values()) > examples(6000) // 10


def test_members_are_judged_each_for_itself_and_named() -> None:
    """The witness is about the member that has no order."""
    history = History.of(
        [
            Operation(0, "insert", "s", 1, None, 0, 1, Outcome.OK),
            Operation(0, "insert", "s", 2, None, 2, 3, Outcome.OK),
            Operation(
                process=1,
                f="contains",
                key="s",
                argument=1,
                result=False,
                called=4,
                returned=5,
                outcome=Outcome.OK,
            ),
        ]
    )

    judgement = linearizable_set.check(history)

    assert judgement is not None
    assert judgement.verdict is Verdict.INVALID
    assert "Member 1 of 's'" in judgement.witnesses[0].explanation
    assert {each.argument for each in judgement.witnesses[0].operations} == {1}


def test_what_is_outside_of_its_form_is_handed_over() -> None:
    """Reads of all members, a set not empty at first, and reinsertion."""
    read = Operation(0, "members", "s", None, (), 0, 1, Outcome.OK)
    insert = Operation(0, "insert", "s", 1, None, 2, 3, Outcome.OK)
    again = insert._replace(called=4, returned=5)

    assert linearizable_set.check(History.of([read])) is None
    assert linearizable_set.check(History.of([insert, again])) is None
    given = History.of([insert], header=Header(initial=(1,)))
    assert linearizable_set.check(given) is None
