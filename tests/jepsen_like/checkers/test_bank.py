"""Bank: totals and balances of what transactions read."""

import pytest

from jepsen_like.checkers import bank
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation, Outcome, Value
from jepsen_like.verdict import Verdict

ACCOUNTS = ("x", "y")


def read(x: Value, y: Value) -> Operation:
    """Return a read of both accounts."""
    result = (("r", "x", x), ("r", "y", y))
    asked = (("r", "x", None), ("r", "y", None))
    return Operation(0, "txn", None, asked, result, 0, 1, Outcome.OK)


@pytest.mark.parametrize(
    ("x", "y", "kind"),
    [
        (5, 6, "wrong total"),
        (5, 4, "wrong total"),
        (-1, 11, "negative balance"),
        (10, None, "no balance"),
        ("5", 5, "no balance"),
    ],
)
def test_wrong_balances_are_named(x: Value, y: Value, kind: str) -> None:
    """Each read of all accounts is judged alone."""
    judgement = bank.check(History.of([read(x, y)]), accounts=ACCOUNTS, total=10)

    assert judgement.witnesses[0].kind == kind


def test_right_balances_are_valid_however_they_are_spread() -> None:
    """Only the total counts."""
    history = History.of([read(x, 10 - x) for x in range(11)])

    assert bank.check(history, accounts=ACCOUNTS, total=10).verdict is Verdict.VALID


def test_overdrafts_may_be_allowed() -> None:
    """A negative balance is then one like others."""
    history = History.of([read(-5, 15)])

    judgement = bank.check(history, accounts=ACCOUNTS, total=10, overdrafts=True)

    assert judgement.verdict is Verdict.VALID


def test_partial_reads_writes_and_unopened_accounts_say_nothing() -> None:
    """They are not judged, and alone leave the verdict unknown."""
    partial = read(1, 1)._replace(result=(("r", "x", 1),))
    writing = read(1, 1)._replace(result=(("r", "x", 1), ("w", "y", 1)))
    failed = read(1, 1)._replace(outcome=Outcome.FAIL)
    history = History.of([partial, writing, failed, read(None, None)])

    assert bank.check(history, accounts=ACCOUNTS, total=10).verdict is Verdict.UNKNOWN


def test_bank_without_accounts_is_refused() -> None:
    """Nothing could be judged."""
    with pytest.raises(ValueError, match="at least one account"):
        bank.check(History(()), accounts=(), total=0)
