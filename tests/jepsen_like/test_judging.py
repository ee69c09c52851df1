"""From models to judges: each is there, each gets what was asked for."""

from dataclasses import replace
from importlib import import_module

import pytest

from jepsen_like.checkers.budget import Budget
from jepsen_like.history import Header, History, Operation, Outcome, Value
from jepsen_like.judging import (
    MODELS,
    TRANSACTION_LEVELS,
    TRANSACTIONS,
    UnknownModelError,
    judge,
    overall,
)
from jepsen_like.verdict import Judgement, Verdict, Witness


def _history(*told: tuple[str, Value, Value]) -> History:
    """Operations (f, argument, result) of one process, one after the other."""
    return History.of(
        [
            Operation(0, f, None, argument, result, 2 * at, 2 * at + 1, Outcome.OK)
            for at, (f, argument, result) in enumerate(told)
        ],
        header=Header(timed=False),
    )


BAD: dict[str, History] = {
    "register": _history(("write", 1, None), ("read", None, 2)),
    "cas-register": _history(("write", 1, None), ("cas", (2, 3), True)),
    "restorable-register": _history(("restore", ("never", None), None)),
    "mutex": _history(("acquire", None, None), ("acquire", None, None)),
    "multi-register": _history(("txn", (), (("r", "x", 2),))),
    "key-value": _history(("append", "a", None), ("get", None, "b")),
    "set-linearizable": _history(("add", 1, None), ("read", None, ())),
    "queue": _history(("enqueue", 1, None), ("dequeue", None, 2)),
    "set": _history(("add", 1, None), ("read", None, ())),
    "counter": _history(("add", 1, None), ("read", None, 3)),
    "total-queue": _history(("enqueue", 1, None), ("dequeue", None, 2)),
    "list-append": _history(("txn", (), (("r", "x", (1, 1)),))),
    "rw-register": _history(
        ("txn", (("w", "x", 1),), (("w", "x", 1),)),
        ("txn", (), (("r", "x", None),)),
    ),
    "long-fork": _history(
        ("txn", (), (("r", "x", 1), ("r", "y", None))),
        ("txn", (), (("r", "x", None), ("r", "y", 1))),
    ),
    TRANSACTIONS: _history(("txn", (), (("r", "x", 9),))),
    "sessions": _history(("write", 1, None), ("read", None, None)),
}  # fmt: skip
"""A history for each model that it must not let pass."""


def test_every_model_has_an_example() -> None:
    """So that no model is without a test."""
    assert tuple(BAD) == MODELS


@pytest.mark.parametrize("model", MODELS)
def test_bad_history_is_found_by_the_judge_of_its_model(model: str) -> None:
    """The judge is there, and knows these names of operations."""
    judgements = judge(BAD[model], model, budget=Budget(10))

    assert overall(judgements, model) is Verdict.INVALID, judgements


@pytest.mark.parametrize("model", [each for each in MODELS if each != "sessions"])
def test_empty_history_is_never_invalid(model: str) -> None:
    """Nothing was promised to nobody."""
    judgements = judge(History(()), model)

    assert overall(judgements, model) is not Verdict.INVALID


def test_transactions_are_judged_at_every_level() -> None:
    """The strongest decides, unless another is asked for."""
    judgements = (
        Judgement("read-committed", Verdict.VALID),
        Judgement("read-atomic", Verdict.UNKNOWN, "too long"),
        Judgement("causal", Verdict.INVALID, "bad", (Witness("bad", "it is"),)),
    )

    assert overall(judgements, TRANSACTIONS) is Verdict.INVALID
    assert overall(judgements, TRANSACTIONS, "ra") is Verdict.UNKNOWN
    assert overall(judgements, TRANSACTIONS, "read-committed") is Verdict.VALID
    checkers = [each.checker for each in judge(BAD[TRANSACTIONS], TRANSACTIONS)]
    assert checkers == list(TRANSACTION_LEVELS.values())


def test_unknown_names_are_refused_with_those_there_are() -> None:
    """Also a level where there is none."""
    with pytest.raises(UnknownModelError, match="'horse': there are register, "):
        judge(History(()), "horse")
    with pytest.raises(UnknownModelError, match="has no levels"):
        judge(History(()), "mutex", level="rc")
    with pytest.raises(ValueError, match="no-such"):
        judge(History(()), TRANSACTIONS, level="no-such")
    with pytest.raises(ValueError, match="no-such"):
        judge(History(()), "list-append", level="no-such")


def test_near_linear_checkers_come_before_the_search() -> None:
    """For sets and queues of their form, under either name of an addition."""
    for f in ("add", "insert"):
        told = _history((f, 1, None), ("contains", 1, True), ("remove", 1, True))
        (found,) = judge(told, "set-linearizable")
        assert (found.checker, found.verdict) == ("linearizable set", Verdict.VALID)
    (found,) = judge(_history(("enqueue", 1, None), ("dequeue", None, 1)), "queue")
    assert (found.checker, found.verdict) == ("linearizable queue", Verdict.VALID)


def test_what_near_linear_checkers_hand_over_is_searched() -> None:
    """Lists of all members, a value that came twice, what was there at first."""
    handed_over = {
        "set-linearizable": _history(("insert", 1, None), ("members", None, (1,))),
        "queue": _history(("enqueue", 1, None), ("enqueue", 1, None)),
    }
    for model, history in handed_over.items():
        (found,) = judge(history, model)
        assert (found.checker, found.verdict) == ("linearizable", Verdict.VALID)
    for model in handed_over:
        (found,) = judge(replace(BAD[model], header=Header(initial=(2,))), model)
        assert found.checker == "linearizable"


@pytest.mark.parametrize("model", ["set-linearizable", "queue"])
def test_near_linear_checkers_do_not_take_true_for_one(model: str) -> None:
    """Python does; the search does not, and both must say the same."""
    histories = {
        "set-linearizable": _history(("add", 1, None), ("contains", True, True)),
        "queue": _history(("enqueue", 1, None), ("dequeue", None, True)),
    }

    assert overall(judge(histories[model], model), model) is Verdict.INVALID


@pytest.mark.parametrize(
    "model",
    ["set", "counter", "total-queue", "list-append", "rw-register", "long-fork"],
)
def test_history_of_other_operations_is_refused(model: str) -> None:
    """Judges that pass over what they do not know would call it valid."""
    with pytest.raises(ValueError, match=f"no operation of the model {model}"):
        judge(_history(("acquire", None, None)), model)


@pytest.mark.parametrize("model", ["register", "sessions", TRANSACTIONS])
def test_final_questions_are_known_to_every_judge_of_registers(model: str) -> None:
    """They are in every history of ours."""
    history = _history(
        ("write", 1, None), ("final-read", None, 1), ("final-conflicts", None, ())
    )

    assert overall(judge(history, model), model) is Verdict.VALID


def test_judging_knows_neither_store_nor_cluster() -> None:
    """The judge does not know the accused."""
    module = import_module("jepsen_like.judging")

    assert not {"kvnode", "cluster"} & vars(module).keys()
