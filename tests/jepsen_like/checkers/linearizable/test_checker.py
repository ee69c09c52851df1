"""The dispatcher: which way parts go, that all get a turn, and what it reports."""

import gc
from random import Random

import pytest

from jepsen_like.checkers.budget import Budget
from jepsen_like.checkers.linearizable import check
from jepsen_like.history import FOREVER, Header, History, Key, Operation, Outcome, Value
from jepsen_like.models import ModelError
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.linearizable.histories import real_history


def did(f: str, key: Key, argument: Value, result: Value, at: int) -> Operation:
    """Return an operation that was answered at once."""
    return Operation(at, f, key, argument, result, at, at + 1, Outcome.OK)


def explosive(key: Key) -> list[Operation]:
    """Return queue operations with more configurations than anybody can visit."""
    enqueues = [
        Operation(at, "enqueue", key, at, None, at, 1_000, Outcome.OK)
        for at in range(40)
    ]
    dequeues = [
        Operation(100 + at, "dequeue", key, None, at, 2_000 + at, 9_000, Outcome.OK)
        for at in range(40)
    ]
    wrong = did("dequeue", key, None, "never enqueued", 10_000)
    return [*enqueues, *dequeues, wrong]


def test_unique_values_need_no_search() -> None:
    """Each key goes its own way."""
    operations = [
        did("write", "unique", 1, None, 1),
        did("read", "unique", None, 1, 3),
        did("write", "repeated", 1, None, 5),
        did("write", "repeated", 1, None, 7),
        did("read", "repeated", None, 1, 9),
    ]

    judgement = check(History.of(operations), "register")

    assert judgement.verdict is Verdict.VALID
    assert judgement.figures["method"] == "zones (1) and search (1)"
    assert judgement.figures["operations"] == 5
    assert judgement.figures["keys"] == 2


def test_empty_history_is_valid() -> None:
    """Nothing went wrong."""
    assert check(History(()), "cas-register").verdict is Verdict.VALID


def test_failed_operations_do_not_count() -> None:
    """They certainly did not happen, and neither did the value that they wrote."""
    failed = did("write", None, 1, None, 1)._replace(outcome=Outcome.FAIL)
    seen = did("read", None, None, 1, 3)

    assert check(History.of([failed]), "register").verdict is Verdict.VALID
    assert check(History.of([failed, seen]), "register").verdict is Verdict.INVALID


def test_key_that_explodes_does_not_hide_one_that_is_wrong() -> None:
    """Turns grow, so the wrong one is found soon although it comes last."""
    wrong = [did("dequeue", "last", None, 1, 5)]
    history = History.of([*explosive("first"), *explosive("second"), *wrong])

    judgement = check(history, "queue", budget=Budget(None, 100_000))

    assert judgement.verdict is Verdict.INVALID
    assert judgement.witnesses[0].key == "last"


def test_spent_budget_is_unknown_with_the_reason() -> None:
    """Unknown is no success, and says why."""
    judgement = check(History.of(explosive("q")), "queue", budget=Budget(None, 20_000))

    assert judgement.verdict is Verdict.UNKNOWN
    assert judgement.reason == "no answer within 20,000 states"
    assert judgement.figures["method"] == "search (1)"


def test_budget_also_ends_what_needs_no_search() -> None:
    """A million operations take their time, too."""
    operations = [did("write", key, 1, None, 10 * key) for key in range(30)]

    judgement = check(History.of(operations), "register", budget=Budget(None, 20))

    assert judgement.verdict is Verdict.UNKNOWN


def test_initial_value_is_of_every_key() -> None:
    """As the header says."""
    reads = [did("read", key, None, 7, 10 * key) for key in range(3)]
    header = Header(initial=7)

    assert check(History.of(reads, header=header), "register").verdict is Verdict.VALID
    assert check(History.of(reads), "register").verdict is Verdict.INVALID


def test_truth_is_not_one() -> None:
    """Python thinks so; a store that mixes them up is wrong."""
    operations = [
        did("write", None, 1, None, 1),
        did("read", None, None, True, 3),  # noqa: FBT003 - an answer
    ]

    assert check(History.of(operations), "register").verdict is Verdict.INVALID


@pytest.mark.parametrize("f", ["append", "frob"])
def test_operation_of_no_model_is_refused(f: str) -> None:
    """Better than a verdict on something else."""
    history = History.of([did(f, None, "x", None, 1)])

    with pytest.raises(ModelError, match=f"the model register has no operation '{f}'"):
        check(history, "register")


def test_unknown_model_is_refused() -> None:
    """With the names of those there are."""
    with pytest.raises(ModelError, match="there is no model 'list'"):
        check(History(()), "list")


def test_collector_is_left_as_it_was() -> None:
    """Also if the check fails."""
    bad = History.of([did("frob", None, None, None, 1)])
    good = real_history(Random(1), "register", count=20)

    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        try:
            check(good, "register")
            with pytest.raises(ModelError):
                check(bad, "register")
            assert gc.isenabled() is enabled
        finally:
            gc.enable()


def test_many_lost_answers_do_not_hide_a_linearization() -> None:
    """A narrow search finds one where all configurations are too many."""
    lost = [
        Operation(
            at, "cas", None, (at % 5, at * 7 % 5), None, at, FOREVER, Outcome.INFO
        )
        for at in range(60)
    ]
    lost += [
        Operation(100 + at, "write", None, at % 5, None, at, FOREVER, Outcome.INFO)
        for at in range(40)
    ]
    random = Random(4)
    reads = [
        did("read", None, None, random.randrange(5), 100 + 3 * at) for at in range(30)
    ]
    history = History.of([*lost, *reads], header=Header(initial=0))

    judgement = check(history, "cas-register", budget=Budget(None, 200_000))

    assert judgement.verdict is Verdict.VALID
