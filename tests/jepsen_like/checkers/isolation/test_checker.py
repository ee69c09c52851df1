"""Isolation levels on classical anomalies, and how they are explained."""

import pytest

from jepsen_like.checkers.isolation import LEVELS, check
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict
from tests.jepsen_like.checkers.isolation.histories import (
    Micro,
    history,
    of_operations,
    transaction,
)


def w(key: str, value: Value) -> Micro:
    """A write."""
    return ("w", key, value)


def r(key: str, value: Value) -> Micro:
    """A read."""
    return ("r", key, value)


def single(process: int, f: str, key: str, value: Value, at: int) -> Operation:
    """A plain operation."""
    asked, got = (None, value) if f == "read" else (value, None)
    return Operation(process, f, key, asked, got, at, at + 1, Outcome.OK)


def broken_levels(judged: History) -> set[str]:
    """The levels that *judged* does not satisfy."""
    return {lv for lv in LEVELS if check(judged, lv).verdict is Verdict.INVALID}


def judged_kind(judged: History, level: str = "read-committed") -> str:
    """The kind of the first witness."""
    judgement = check(judged, level)
    assert judgement.verdict is Verdict.INVALID, judgement
    return judgement.witnesses[0].kind


FRACTURED = history(
    (0, [w("x", 1), w("y", 1)]),
    (1, [w("x", 2), w("y", 2)]),
    (2, [r("x", 1), r("y", 2)]),
)
CAUSE_MISSED = history(
    (0, [w("x", 1)]),
    (0, [w("x", 2)]),
    (1, [r("x", 2), w("y", 1)]),
    (2, [r("y", 1)]),
    (2, [r("x", 1)]),
)
OPPOSITE_ORDERS = history(
    (0, [w("x", 1)]),
    (1, [w("x", 2)]),
    (0, [r("x", 2)]),
    (1, [r("x", 1)]),
)
LONG_FORK = history(
    (0, [w("x", 1)]),
    (1, [w("y", 1)]),
    (2, [r("x", 1), r("y", None)]),
    (3, [r("y", 1), r("x", None)]),
)
LOST_UPDATE = history(
    (0, [r("x", None), w("x", 1)]),
    (1, [r("x", None), w("x", 2)]),
    (0, [r("x", 1)]),
    (1, [r("x", 2)]),
)


@pytest.mark.parametrize(
    ("judged", "broken"),
    [
        (FRACTURED, {"read-atomic", "causal"}),
        (CAUSE_MISSED, {"causal", "weak-causal"}),
        (OPPOSITE_ORDERS, {"read-atomic", "causal"}),
        (LONG_FORK, set()),
        (LOST_UPDATE, set()),
        (
            history((0, [r("x", 1)]), (0, [w("y", 1)]), (1, [r("y", 1), w("x", 1)])),
            set(LEVELS),
        ),
        (
            history((0, [w("x", 1)]), (1, [w("x", 2)]), (2, [r("x", 1), r("x", 2)])),
            {"read-atomic", "causal"},
        ),
        (
            history(
                (0, [w("x", 1), w("y", 1)]),
                (1, [r("x", 1), r("y", None)]),
            ),
            set(LEVELS),
        ),
    ],
    ids=[
        "fractured reads",
        "cause missed",
        "opposite orders",
        "long fork",
        "lost update",
        "effect before its cause",
        "non-repeatable read",
        "half of a transaction",
    ],
)
def test_classical_histories_break_the_levels_that_forbid_them(
    judged: History, broken: set[str]
) -> None:
    """The literature says which levels forbid what."""
    assert broken_levels(judged) == broken


@pytest.mark.parametrize(
    ("judged", "kind"),
    [
        (history((0, [r("x", 7)])), "thin-air read"),
        (
            of_operations(
                [
                    transaction(0, [w("x", 1)], 0, Outcome.FAIL),
                    transaction(1, [r("x", 1)], 2),
                ]
            ),
            "aborted read (G1a)",
        ),
        (
            history((0, [w("x", 1), w("x", 2)]), (1, [r("x", 1)])),
            "intermediate read (G1b)",
        ),
        (history((0, [r("x", 1), w("x", 1)])), "future read"),
        (history((0, [r("x", 1), w("x", 1), w("x", 2)])), "future read"),
        (
            history((0, [w("x", 1)]), (1, [w("x", 2), r("x", 1)])),
            "own write missed",
        ),
        (history((0, [w("x", 1), w("x", 2), r("x", 1)])), "own write missed"),
    ],
)
def test_reads_that_no_level_allows_are_named(judged: History, kind: str) -> None:
    """Read consistency comes before any level."""
    assert broken_levels(judged) == set(LEVELS)
    assert judged_kind(judged) == kind


def test_open_transaction_counts_once_somebody_read_from_it() -> None:
    """It then comes after what its session did, but nothing comes after it."""
    pending = transaction(0, [w("x", 2)], 2, Outcome.INFO)
    first = transaction(0, [w("y", 1)], 0)
    later = transaction(0, [r("x", None)], 4)

    def with_reads(*reads: Micro) -> History:
        return of_operations([first, pending, later, transaction(1, reads, 6)])

    assert broken_levels(with_reads()) == set()
    assert broken_levels(with_reads(r("x", 2), r("y", 1))) == set()
    assert "causal" in broken_levels(with_reads(r("x", 2), r("y", None)))


def test_initial_value_is_the_one_of_the_header() -> None:
    """Zero is there in the beginning if the history says so."""
    operations = history((0, [r("x", 0)]), (1, [w("x", 1)])).operations

    assert broken_levels(of_operations(operations, initial=0)) == set()
    assert judged_kind(of_operations(operations)) == "thin-air read"


def test_plain_operations_are_transactions_of_one_step() -> None:
    """A delete writes what was there in the beginning."""
    good = [
        single(0, "write", "x", 1, 0),
        single(0, "delete", "x", None, 2),
        single(0, "read", "x", None, 4),
    ]
    bad = [good[0], single(0, "read", "x", None, 2)]

    assert check(of_operations(good), "causal").verdict is Verdict.VALID
    assert check(of_operations(bad), "causal").verdict is Verdict.INVALID


def test_value_written_twice_is_judged_over_all_its_sources() -> None:
    """One choice that fits is enough; if none does, that is said."""
    twice = [(0, [w("x", 1)]), (0, [w("x", 2)]), (1, [w("x", 1)])]

    good = check(history(*twice, (0, [r("x", 1)])), "causal")
    bad = check(
        history((0, [w("x", 1)]), (0, [w("x", 1)]), (0, [w("x", 2)]), (0, [r("x", 1)])),
        "causal",
    )

    assert good.verdict is Verdict.VALID
    assert bad.verdict is Verdict.INVALID
    assert "no other choice" in bad.reason


def many_open_reads(count: int) -> History:
    """Readers that each may have read either of two equal writes, and must disagree."""
    operations = [
        transaction(0, [w("x", 1)], 0),
        transaction(1, [w("x", 1)], 2),
        *(
            transaction(2 + reader, [w("x", 2 + reader)], 4 + 2 * reader)
            for reader in range(count)
        ),
        *(
            transaction(2 + reader, [r("x", 1)], 100 + 2 * reader)
            for reader in range(count)
        ),
    ]
    return of_operations(operations)


def test_budget_that_is_spent_is_unknown_with_a_reason() -> None:
    """It is no success, and the reason says what to do."""
    judged = history(
        (0, [w("x", 1)]), (0, [w("x", 1)]), (0, [w("x", 2)]), (0, [r("x", 1)])
    )

    judgement = check(judged, "causal", budget=1e-9)

    assert judgement.verdict is Verdict.UNKNOWN
    assert "written more than once" in judgement.reason


def test_many_open_reads_are_decided_together() -> None:
    """Each contradiction rules out only the choices on which it rests."""
    judgement = check(many_open_reads(20), "causal")

    assert judgement.verdict is Verdict.VALID


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        (Operation(0, "cas", "x", (1, 2), None, 0, 1, Outcome.OK), "'cas'"),
        (Operation(0, "txn", None, None, None, 0, 1, Outcome.OK), "without a tuple"),
        (
            transaction(0, [("append", "x", 1)], 0),
            "('append', 'x', 1)",
        ),
    ],
)
def test_other_operations_are_not_judged(operation: Operation, said: str) -> None:
    """The reason names what it was."""
    judgement = check(of_operations([operation]), "causal")

    assert judgement.verdict is Verdict.UNKNOWN
    assert said in judgement.reason


def test_unknown_level_is_an_error() -> None:
    """It names those that there are."""
    with pytest.raises(ValueError, match="read-atomic"):
        check(history(), "serializable")


def explained(judged: History, level: str) -> Judgement:
    """A judgement that must be invalid."""
    judgement = check(judged, level)
    assert judgement.verdict is Verdict.INVALID
    return judgement


def test_witness_is_the_shortest_cycle_and_gives_every_reason() -> None:
    """A person can follow it without the history."""
    padding = [(9, [w("z", number)]) for number in range(50)]
    judged = history(
        *padding,
        (0, [w("x", 1)]),
        (0, [w("x", 2)]),
        (1, [r("x", 2), w("y", 1)]),
        (2, [r("y", 1)]),
        (2, [r("x", 1)]),
    )

    (witness,) = explained(judged, "causal").witnesses

    assert witness.kind == "overwritten value read (WriteCORead)"
    assert witness.key == "x"
    assert witness.operations == judged.operations[50:]
    assert (
        "T51 committed before T50 because T54 read x=1 from T50, although it had seen"
        " T51, which wrote x=2: T52 read x=2 from T51, T53 read y=1 from T52, process 2"
        " ran T53 first."
    ) in witness.explanation
    assert "T50 committed before T51 because process 0 ran T50 first" in (
        witness.explanation
    )


def test_witness_of_a_missed_write_shows_the_initial_value() -> None:
    """Nothing commits before the initial transaction."""
    judged = history((0, [w("x", 1)]), (0, [r("x", None)]))

    (witness,) = explained(judged, "weak-causal").witnesses

    assert witness.kind == "initial value read after a write (WriteCOInitRead)"
    assert (
        "T0 committed before the initial values because T1 read x=None, the initial"
        " value, although it had seen T0, which wrote x=1: process 0 ran T0 first."
    ) in witness.explanation
