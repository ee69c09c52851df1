"""Which losers must be in a conflict log."""

import pytest

from jepsen_like.checkers import conflicts
from jepsen_like.history.history import FaultSpan, Header, History
from jepsen_like.history.operation import Operation
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.registers import MS, delete, final, logged, write

NODES = ("a", "b")


def kinds(*operations: Operation, spans: tuple[FaultSpan, ...] = ()) -> list[str]:
    """Return what is found in a history of these operations."""
    history = History.of(operations, spans, Header(nodes=NODES))
    return [witness.kind for witness in conflicts.check(history).witnesses]


def ends(
    value: int | None, log_a: tuple[object, ...], log_b: tuple[object, ...]
) -> list[Operation]:
    """Return final answers of both nodes."""
    return [
        final(value, "a"),
        final(value, "b"),
        logged(tuple(map(str, log_a)), "a"),
        logged(tuple(map(str, log_b)), "b"),
    ]


def test_loser_that_nothing_can_have_built_on_must_be_listed_somewhere() -> None:
    """The winner had returned before the loser was asked for."""
    winner, loser = write(0, 1, 0, "a"), write(1, 2, 5, "b")

    assert kinds(winner, loser, *ends(1, (), ())) == ["silent loss"]
    assert kinds(winner, loser, *ends(1, (), (2,))) == []


def test_loser_need_not_be_listed_if_a_listed_or_final_write_may_have_built_on_it() -> (
    None
):
    """A write that returned later may have overwritten it."""
    winner, loser, later = write(0, 1, 0, "a"), write(1, 2, 5, "b"), write(2, 3, 9, "b")

    assert kinds(loser, later, *ends(3, (), ())) == []
    assert kinds(winner, loser, later, *ends(1, (3,), ())) == []
    assert kinds(winner, loser, later, *ends(1, (), ())) == ["silent loss"] * 2


def test_lost_delete_in_a_log_may_have_built_on_the_loser() -> None:
    """Logs show it as None, so it may be any delete."""
    winner, loser, gone = write(0, 1, 0, "a"), write(1, 2, 5, "b"), delete(1, 9, "b")
    operations = [winner, loser, gone, final(1, "a"), final(1, "b"), logged((), "a")]

    assert kinds(*operations, logged((None,), "b")) == []
    assert kinds(*operations, logged((), "b")) == ["silent loss"]


def test_full_log_proves_nothing() -> None:
    """The loser may have been dropped from it."""
    writes = [write(0, 1, 0, "a"), *(write(1, n, 5 * n, "b") for n in range(2, 8))]

    assert kinds(*writes, *ends(1, (4, 5, 6, 7), ())) == []
    assert kinds(*writes, *ends(1, (4, 5, 6), ())) == ["silent loss"]


def test_log_may_be_gone_with_its_store() -> None:
    """What was written before a node lost its store is not judged."""
    winner, loser = write(0, 1, 0, "a"), write(1, 2, 5, "b")
    wiped = FaultSpan("wipe", 20 * MS, 21 * MS, ("b",))

    assert kinds(winner, loser, *ends(1, (), ()), spans=(wiped,)) == []


def test_log_lists_neither_the_winner_nor_what_nobody_wrote() -> None:
    """Both are wrong even in a full log."""
    winner, loser = write(0, 1, 0, "a"), write(1, 2, 5, "b")

    assert kinds(winner, loser, *ends(1, (2, 1), ())) == ["winner lost"]
    assert kinds(winner, loser, *ends(1, (2,), (9,))) == ["phantom loser"]


def test_history_without_logs_is_unknown_and_a_bound_below_one_refused() -> None:
    """Final reads alone do not show where losers are."""
    history = History.of([write(0, 1, 0), final(1)])

    assert conflicts.check(history).verdict is Verdict.UNKNOWN
    with pytest.raises(ValueError, match="at least one loser"):
        conflicts.check(history, losers_max=0)
