"""Verdicts for people: operations are told so that the answer is seen."""

import pytest

from jepsen_like.cli.check import Checked
from jepsen_like.cli.verdict_text import answered_text, asked_text, show, value_text
from jepsen_like.history import (
    FOREVER,
    Header,
    History,
    Operation,
    Outcome,
    Value,
)
from jepsen_like.verdict import Judgement, Verdict, Witness


def _operation(
    f: str,
    argument: Value = None,
    result: Value = None,
    outcome: Outcome = Outcome.OK,
    error: str = "",
) -> Operation:
    ended = FOREVER if outcome is Outcome.INFO else 7_000_000
    return Operation(
        3, f, "x", argument, result, 5_000_000, ended, outcome, error=error
    )


@pytest.mark.parametrize(
    ("operation", "asked", "answered"),
    [
        (_operation("write", 3), "write x 3", "ok"),
        (_operation("read", None, 3), "read x", "3"),
        (_operation("read"), "read x", "nothing"),
        (_operation("final-read"), "final-read x", "nothing"),
        (_operation("acquire"), "acquire x", "ok"),
        (_operation("cas", (1, 2), result=False), "cas x (1, 2)", "false"),
        (_operation("get", None, "a b"), "get x", "'a b'"),
        (
            _operation("txn", (("r", 1, None),), (("r", 1, 5),)),
            "txn x ((r, 1, 5))",
            "ok",
        ),
        (
            _operation("write", 3, None, Outcome.INFO, "timed-out"),
            "write x 3",
            "may have happened timed-out",
        ),
        (_operation("write", 3, None, Outcome.FAIL), "write x 3", "did not happen"),
    ],
)
def test_operation_is_told_as_question_and_answer(
    operation: Operation, asked: str, answered: str
) -> None:
    """What was asked, and what came of it."""
    assert (asked_text(operation), answered_text(operation)) == (asked, answered)


def test_long_values_are_cut() -> None:
    """A list of ten thousand elements is no witness to look at."""
    text = answered_text(_operation("read", None, tuple(range(10_000))))

    assert len(text) < 130
    assert text.endswith("...")


def test_values_cannot_be_mistaken_for_each_other() -> None:
    """Text of digits is not a number."""
    values: list[Value] = [None, "nothing!", True, 1, "a 1", (1,), ((1,),)]
    texts = [value_text(value) for value in values]

    assert len(set(texts)) == len(texts)


def test_witness_is_shown_with_times_from_its_first_call(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In milliseconds, where the history has times."""
    read, lost = (
        _operation("read", None, 3),
        _operation("write", 9, None, Outcome.INFO),
    )
    witness = Witness("lost write", "The write of [9] is gone.", (lost, read), "x")
    judgement = Judgement("durable", Verdict.INVALID, "lost", (witness,) * 5, {"n": 2})
    history = History((lost, read), header=Header(timed=True))
    checked = Checked(
        "f[1]", "edn", "register", history, [judgement], Verdict.INVALID, 0.5
    )

    show(checked)

    text = capsys.readouterr().out
    assert "f[1]: invalid" in text
    assert "lost write, key x" in text
    assert "The write of [9] is gone." in text
    assert "and 2 more: --json has them all" in text
    (row,) = {line for line in text.splitlines() if "read x" in line}
    assert "0.000" in row
    assert "2.000" in row
    assert "never" in text
