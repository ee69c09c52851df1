"""Long forks: against comparing all pairs, and on the smallest cases."""

from random import Random

import pytest

from jepsen_like.checkers.elle import check_long_fork
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation, Outcome, Value
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.elle.histories import EXAMPLES


def read(process: int, **values: int | None) -> Operation:
    """A read of some keys at once."""
    asked: Value = tuple(("r", key, None) for key in values)
    got: Value = tuple(("r", key, value) for key, value in values.items())
    times = 10 * process, 10 * process + 5
    return Operation(process, "read", None, asked, got, *times, Outcome.OK)


def write(process: int, key: str) -> Operation:
    """A write of 1 to one key."""
    steps: Value = (("w", key, 1),)
    times = 10 * process, 10 * process + 5
    return Operation(process, "write", None, steps, steps, *times, Outcome.OK)


def test_two_reads_that_see_writes_in_opposite_order_are_a_fork() -> None:
    """One saw z but not y, the other y but not z; the order of keys means nothing."""
    past = History.of((read(1, x=1, y=1, z=None), read(2, z=1, x=1, y=None)))

    judgement = check_long_fork(past, group_size=3)

    assert judgement.verdict is Verdict.INVALID
    assert judgement.witnesses[0].kind == "long-fork"
    assert judgement.witnesses[0].operations == past.operations


def test_reads_that_grow_are_no_fork() -> None:
    """Each sees all that the smaller one saw; repeated states are one."""
    past = History.of(
        (
            write(0, "x"),
            write(1, "y"),
            read(2, x=None, y=None),
            read(3, x=1, y=None),
            read(4, x=1, y=None),
            read(5, x=1, y=1),
        )
    )

    assert check_long_fork(past).verdict is Verdict.VALID


def test_reads_of_other_groups_are_not_compared() -> None:
    """Only reads of the same keys can contradict each other here."""
    past = History.of((read(1, x=1, y=None), read(2, y=1, z=None)))

    assert check_long_fork(past).verdict is Verdict.VALID


def test_read_that_failed_says_nothing() -> None:
    """Only answers count."""
    failed = read(2, x=None, y=1)._replace(outcome=Outcome.FAIL)

    past = History.of((read(1, x=1, y=None), failed))

    assert check_long_fork(past).verdict is Verdict.VALID


@pytest.mark.parametrize(
    ("operations", "group_size", "reason"),
    [
        ((write(0, "x"), write(1, "x")), None, "several transactions"),
        ((read(0, x=1), read(1, x=2)), None, "written once"),
        ((read(0, x=1, y=1),), 3, "2 keys"),
    ],
)
def test_history_of_another_kind_makes_the_verdict_unknown(
    operations: tuple[Operation, ...], group_size: int | None, reason: str
) -> None:
    """What the checker must assume is checked."""
    judgement = check_long_fork(History.of(operations), group_size=group_size)

    assert judgement.verdict is Verdict.UNKNOWN
    assert reason in judgement.reason


def test_group_without_keys_is_an_error() -> None:
    """A size of zero would compare nothing."""
    with pytest.raises(ValueError, match="at least one"):
        check_long_fork(History(()), group_size=0)


def test_verdict_equals_comparing_all_pairs_of_reads() -> None:
    """Neighbours by size are enough to find out whether there is a fork."""
    found = 0
    for seed in range(3000 * EXAMPLES):
        rng = Random(seed)
        rows = [
            {key: rng.choice((1, 1, None)) for key in "wxyz"[: rng.choice((2, 3))]}
            for _ in range(rng.randint(2, 5))
        ]
        past = History.of(read(number, **row) for number, row in enumerate(rows))
        forked = any(
            one.keys() == other.keys()
            and any(one[key] and not other[key] for key in one)
            and any(other[key] and not one[key] for key in one)
            for one in rows
            for other in rows
        )
        found += forked
        assert (check_long_fork(past).verdict is Verdict.INVALID) is forked, seed
    assert 0 < found < 3000 * EXAMPLES
