"""
Histories too large for the twin, whose verdict is known by how they were made.

Made by an object that is right, they are linearizable; broken in a way that is
wrong whatever else happened, they are not; rewritten without a change of meaning,
they are what they were.
"""

from collections.abc import Callable
from random import Random

import pytest

from jepsen_like.checkers.budget import Budget
from jepsen_like.checkers.linearizable import check
from jepsen_like.history import FOREVER, Header, History, Key, Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict
from tests.jepsen_like.checkers.linearizable.histories import (
    DRAWS,
    broken,
    real_history,
)
from tests.jepsen_like.examples import examples

MODELS = list(DRAWS)
HISTORIES_EACH = 30
REWRITTEN_EACH = 40


def _large(random: Random, model: str, pending: float = 0.03) -> History:
    # The states of a queue are all orders of what is in it.
    count = 30 if model == "queue" else 120
    return real_history(
        random, model, count=count, workers=4, keys=("a", "b"), pending=pending
    )


def _verdict(history: History, model: str) -> Verdict:
    return check(history, model, budget=Budget(None, 500_000)).verdict


@pytest.mark.parametrize("model", MODELS)
def test_history_of_a_right_object_is_valid(model: str) -> None:
    """Each operation took effect at an instant between call and return."""
    for seed in range(examples(HISTORIES_EACH)):
        history = _large(Random(f"{model} {seed}"), model)

        assert _verdict(history, model) is Verdict.VALID, seed


def _did(f: str, argument: Value, result: Value = None, *, at: int) -> Operation:
    """Return an operation of a client of its own, from *at* until right after."""
    return Operation(98, f, "a", argument, result, at, at + 1, Outcome.OK)


IMPOSSIBLE: dict[str, tuple[Operation, ...]] = {
    "register": (
        _did("write", 1, at=1),
        _did("write", 77, at=3),
        _did("write", 78, at=5),
        _did("read", None, 77, at=7),
    ),
    "cas-register": (
        _did("write", 77, at=1),
        _did("cas", (77, 78), result=True, at=3),
        _did("cas", (77, 79), result=True, at=5),
    ),
    "restorable-register": (
        _did("write", 77, at=1),
        _did("bookmark", "seventy-seven", at=3),
        _did("write", 78, at=5),
        _did("restore", ("seventy-seven", "seventy-eight"), at=7),
        _did("read", None, 78, at=9),
    ),
    "counter": (_did("read", None, 100_000, at=3),),
    "key-value": (
        _did("put", "p", at=1),
        _did("append", "q", at=3),
        _did("append", "r", at=5),
        _did("get", None, "prq", at=7),
    ),
    "set": (
        _did("add", 77, at=1),
        _did("contains", 77, result=False, at=3),
    ),
    "queue": (
        _did("enqueue", 77, at=1),
        _did("dequeue", None, 78, at=3),
    ),
    "multi-register": (
        _did("write", (("x", 77), ("y", 77)), at=1),
        _did("write", (("x", 78), ("y", 78)), at=3),
        _did("read", None, (("x", 77), ("y", 78)), at=5),
    ),
}
"""What no object can do, whatever operations without an answer still do."""


@pytest.mark.parametrize("model", IMPOSSIBLE)
@pytest.mark.parametrize("late", [True, False])
def test_impossible_answers_are_found_wherever_they_are(
    model: str, *, late: bool
) -> None:
    """At the end of a good history or before it; the witness is about that key."""
    for seed in range(examples(8)):
        history = _large(Random(f"{model} {seed}"), model, pending=0.0)
        shift = 10 * len(history.operations) if late else -100
        impossible = [
            operation._replace(
                called=operation.called + shift, returned=operation.returned + shift
            )
            for operation in IMPOSSIBLE[model]
        ]
        whole = History.of([*history.operations, *impossible], header=history.header)

        judgement = check(whole, model)

        assert judgement.verdict is Verdict.INVALID, seed
        assert judgement.witnesses[0].key == "a"


def _renamed(value: Value) -> Value:
    """Return another value for each."""
    if isinstance(value, tuple):
        return tuple(map(_renamed, value))
    return f"<{value}>" if isinstance(value, int) else value


def _values_renamed(history: History, model: str) -> History:
    if model not in {"register", "cas-register", "queue"}:
        return history  # elsewhere values mean something
    operations = [
        operation._replace(
            argument=_renamed(operation.argument),
            result=operation.result
            if isinstance(operation.result, bool)
            else _renamed(operation.result),
        )
        for operation in history.operations
    ]
    initial = _renamed(history.header.initial)
    return History.of(operations, header=Header(initial=initial))


def _names_changed(history: History, _: str) -> History:
    names: dict[Key, Key] = {"a": 17, "b": "other", None: "x"}
    operations = [
        operation._replace(process=1_000 - operation.process, key=names[operation.key])
        for operation in history.operations
    ]
    return History.of(operations, header=history.header)


def _times_stretched(history: History, _: str) -> History:
    times = {operation.called for operation in history.operations}
    times |= {operation.returned for operation in history.operations}
    random = Random(1)
    later: dict[int, int] = {}
    now = -(10**9)
    for time in sorted(times):
        now += random.randint(1, 10**6)
        later[time] = FOREVER if time == FOREVER else now
    operations = [
        operation._replace(
            called=later[operation.called], returned=later[operation.returned]
        )
        for operation in history.operations
    ]
    return History.of(operations, header=history.header)


def _records_shuffled(history: History, _: str) -> History:
    operations = list(history.operations)
    Random(2).shuffle(operations)
    return History.of(operations, header=history.header)


def _failures_added(history: History, _: str) -> History:
    """What failed did not happen: it may be repeated as often as one likes."""
    extra = [
        operation._replace(process=5_000 + place, result=None, outcome=Outcome.FAIL)
        for place, operation in enumerate(history.operations)
        if operation.returned != FOREVER
    ]
    return History.of([*history.operations, *extra], header=history.header)


def _adjacent_calls_swapped(history: History, _: str) -> History:
    """Which of two calls came first, with no return between, says nothing."""
    returns = {operation.returned for operation in history.operations}
    operations = list(history.operations)
    place = 0
    while place + 1 < len(operations):
        one, other = operations[place], operations[place + 1]
        if not any(one.called <= time <= other.called for time in returns):
            operations[place] = one._replace(called=other.called)
            operations[place + 1] = other._replace(called=one.called)
            place += 1
        place += 1
    return History.of(operations, header=history.header)


REWRITES: list[Callable[[History, str], History]] = [
    _values_renamed,
    _names_changed,
    _times_stretched,
    _records_shuffled,
    _failures_added,
    _adjacent_calls_swapped,
]


@pytest.mark.parametrize("model", MODELS)
def test_rewriting_without_a_change_of_meaning_changes_no_verdict(model: str) -> None:
    """Names, clocks, records of what did not happen, order of records."""
    for seed in range(examples(REWRITTEN_EACH)):
        random = Random(f"{model} {seed}")
        history = real_history(
            random, model, count=14, workers=4, keys=("a", "b"), pending=0.1
        )
        if seed % 2:
            history = broken(random, history)
        before = _verdict(history, model)

        for rewrite in REWRITES:
            after = _verdict(rewrite(history, model), model)

            assert after is before, (seed, rewrite)


def test_judgement_is_the_same_every_time() -> None:
    """Nothing of it depends on chance or on addresses."""
    history = broken(Random(3), _large(Random(3), "cas-register"))
    impossible = IMPOSSIBLE["cas-register"]
    late = [
        each._replace(called=9_000 + each.called, returned=9_000 + each.returned)
        for each in impossible
    ]
    history = History.of([*history.operations, *late], header=history.header)

    def told() -> Judgement:
        return check(history, "cas-register")

    assert told() == told()
