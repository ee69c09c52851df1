"""Session guarantees on histories by hand, and how broken ones are explained."""

from collections.abc import Callable
from functools import partial

import pytest

from jepsen_like.checkers.sessions import GUARANTEES, check
from jepsen_like.history.history import FaultSpan, History
from jepsen_like.history.operation import Operation, Outcome
from jepsen_like.verdict import Judgement, Verdict
from tests.jepsen_like.checkers.sessions.histories import (
    history,
    of_operations,
    operation,
)

OWN_WRITE_MISSED = history((0, "write", "x", 1), (0, "read", "x", None))
WENT_BACK = history((0, "write", "x", 1), (1, "read", "x", 1), (1, "read", "x", None))
SECOND_WITHOUT_FIRST = history(
    (0, "write", "x", 1),
    (0, "write", "y", 2),
    (1, "read", "y", 2),
    (1, "read", "x", None),
)
EFFECT_WITHOUT_CAUSE = history(
    (0, "write", "x", 1),
    (1, "read", "x", 1),
    (1, "write", "y", 2),
    (2, "read", "y", 2),
    (2, "read", "x", None),
)
EITHER = history(
    (0, "write", "x", 1),
    (0, "write", "x", 2),
    (1, "read", "x", 2),
    (1, "read", "x", 1),
)
LONG_FORK = history(
    (0, "write", "x", 1),
    (1, "write", "y", 2),
    (2, "read", "x", 1),
    (2, "read", "y", None),
    (3, "read", "y", 2),
    (3, "read", "x", None),
)


def broken(judged: History) -> set[str]:
    """The guarantees that are broken."""
    found = check(judged)
    assert tuple(one.checker for one in found) == GUARANTEES
    return {one.checker for one in found if one.verdict is Verdict.INVALID}


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        (OWN_WRITE_MISSED, {"read-your-writes"}),
        (WENT_BACK, {"monotonic-reads"}),
        (SECOND_WITHOUT_FIRST, {"monotonic-writes"}),
        (EFFECT_WITHOUT_CAUSE, {"writes-follow-reads"}),
        (EITHER, {"monotonic-reads", "monotonic-writes"}),
        (LONG_FORK, set()),
    ],
)
def test_each_guarantee_is_broken_by_its_anomaly(
    judged: History, expected: set[str]
) -> None:
    """The anomalies of the literature, one guarantee each where that is certain."""
    assert broken(judged) == expected


def test_ranks_tell_which_of_two_guarantees_is_broken() -> None:
    """The store's order of the two writes decides."""
    places = {1: 10, 2: 20}

    def verdict(*, second_later: bool) -> set[str]:
        def order_of(one: Operation) -> int:
            value = one.argument if one.f == "write" else one.result
            assert isinstance(value, int)
            return places[value] if second_later else -places[value]

        found = check(EITHER, order_of=order_of)
        return {one.checker for one in found if one.verdict is Verdict.INVALID}

    assert verdict(second_later=True) == {"monotonic-reads"}
    assert verdict(second_later=False) == {"monotonic-writes"}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([(0, "write", "x", 1), (0, "delete", "x", None)], set()),
        ([(0, "write", "x", 1), (0, "read", "x", 1), (1, "delete", "x", None)], set()),
        (
            [(0, "delete", "x", None), (1, "write", "x", 1), (0, "read", "x", 1)],
            {"read-your-writes", "monotonic-reads"},
        ),
        (
            [(0, "delete", "x", None), (0, "write", "x", 1)],
            {"read-your-writes", "monotonic-writes"},
        ),
        ([(0, "write", "x", 1), (1, "delete", "x", None)], set()),
        ([(0, "write", "x", 1), (1, "delete", "y", None)], {"read-your-writes"}),
    ],
    ids=[
        "own delete",
        "delete of somebody after a read",
        "own delete seen overwritten",
        "own delete before",
        "delete of somebody",
        "delete of another key",
    ],
)
def test_absent_key_is_explained_by_a_delete_or_missed(
    told: list[tuple[int, str, str, int | None]], expected: set[str]
) -> None:
    """Any delete of the key that may come after what was seen is an explanation."""
    assert broken(history(*told, (0, "read", "x", None))) == expected


def test_unanswered_write_need_not_be_seen() -> None:
    """Nobody was told that it happened; what its session did before it was told."""
    pending = operation(0, "write", "y", 2, 2)._replace(outcome=Outcome.INFO)
    first = operation(0, "write", "x", 1, 0)
    unseen = operation(0, "read", "y", None, 4)
    shown = operation(1, "read", "y", 2, 6)
    missed = operation(1, "read", "x", None, 8)

    assert broken(of_operations([first, pending, unseen])) == set()
    assert broken(of_operations([first, pending, shown, missed])) == {
        "monotonic-writes"
    }


def _place(one: Operation) -> int | None:
    value = one.argument if one.f == "write" else one.result
    assert isinstance(value, int | None)
    return value


@pytest.mark.parametrize("order_of", [None, _place], ids=["no order", "order shown"])
@pytest.mark.parametrize(
    ("judged", "missed"),
    [
        (OWN_WRITE_MISSED, "read-your-writes"),
        (WENT_BACK, "monotonic-reads"),
        (SECOND_WITHOUT_FIRST, "monotonic-writes"),
        (EFFECT_WITHOUT_CAUSE, "writes-follow-reads"),
    ],
)
def test_write_may_be_gone_with_the_only_store_that_had_it(
    judged: History, missed: str, order_of: Callable[[Operation], int | None] | None
) -> None:
    """But not one that another node has shown, nor one made afterwards, nor before."""
    taken = {0: "a"}  # the write of x, and below the read of it
    if judged in {WENT_BACK, EFFECT_WITHOUT_CAUSE}:
        taken[2] = "a"

    def found(
        nodes: dict[int, str],
        *,
        lost_at: int,
        kind: str = "wipe",
        removed_at: int | None = None,
    ) -> set[str]:
        told = tuple(
            one._replace(node=nodes.get(one.called, "b")) for one in judged.operations
        )
        faults = [FaultSpan(kind, lost_at, lost_at, ("a",))]
        if removed_at is not None:
            faults.append(FaultSpan("removal", removed_at, removed_at, ("a",)))
        judgements = check(History.of(told, faults), order_of=order_of)
        return {one.checker for one in judgements if one.verdict is Verdict.INVALID}

    last = judged.operations[-1].called
    over = judged.operations[-1].returned + 1
    assert found(taken, lost_at=last) == set()
    assert found(taken, lost_at=-1) == {missed}
    assert found(taken, lost_at=over) == {missed}
    assert found({}, lost_at=last) == {missed}
    by_itself = partial(found, taken, lost_at=last, kind="start over")
    assert by_itself() == {missed}
    assert by_itself(removed_at=over) == {missed}
    assert by_itself(removed_at=-1) == set()
    if 2 in taken:
        assert found({0: "a"}, lost_at=last) == {missed}


def only(judged: History) -> Judgement:
    """The judgement of all four when they are alike."""
    found = check(judged)
    assert len({(one.verdict, one.reason) for one in found}) == 1
    return found[0]


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        (history((0, "read", "x", 7)), "1 reads returned what nothing"),
        (history((0, "read", "x", 1), (0, "write", "x", 1)), "nothing before them"),
        (
            history((0, "write", "x", 1), (1, "write", "x", 1), (2, "read", "x", 1)),
            "written more than once",
        ),
        (history((0, "cas", "x", 1)), "'cas'"),
    ],
)
def test_what_cannot_be_judged_is_unknown_with_a_reason(
    judged: History, said: str
) -> None:
    """Unknown is no success."""
    judgement = only(judged)

    assert judgement.verdict is Verdict.UNKNOWN
    assert said in judgement.reason


def test_versions_tell_equal_values_apart() -> None:
    """A read that shows its version is placed, whatever its value."""

    def versioned(process: int, f: str, at: int, version: str) -> Operation:
        return operation(process, f, "x", 1, at)._replace(version=version)

    told = [versioned(0, "write", 0, "a"), versioned(0, "write", 2, "b")]
    good = [*told, versioned(0, "read", 4, "b")]
    bad = [*told, versioned(0, "read", 4, "b"), versioned(0, "read", 6, "a")]

    assert broken(of_operations(good)) == set()
    assert only(of_operations(good)).verdict is Verdict.VALID
    assert "read-your-writes" in broken(of_operations(bad))


def test_results_may_hold_more_than_the_value() -> None:
    """Such as the timestamp by which the store decides."""
    judged = of_operations(
        [
            operation(0, "write", "x", 1, 0),
            operation(1, "write", "x", 2, 2),
            operation(2, "read", "x", (2, 200), 4),
            operation(2, "read", "x", (1, 100), 6),
        ]
    )

    def value_of(one: Operation) -> int | None:
        assert isinstance(one.result, tuple)
        value = one.result[0]
        assert isinstance(value, int | None)
        return value

    def order_of(one: Operation) -> int | None:
        if not isinstance(one.result, tuple):
            return None
        place = one.result[1]
        assert isinstance(place, int)
        return place

    found = check(judged, order_of=order_of, value_of=value_of)

    assert {one.checker for one in found if one.verdict is Verdict.INVALID} == {
        "monotonic-reads"
    }


def test_witness_says_which_read_missed_which_write() -> None:
    """And how the session had come to see what follows it."""
    found = {one.checker: one for one in check(EFFECT_WITHOUT_CAUSE)}

    (witness,) = found["writes-follow-reads"].witnesses

    assert witness.kind == "write seen without what its session had read"
    assert witness.key == "x"
    assert witness.operations == EFFECT_WITHOUT_CAUSE.operations
    assert witness.explanation == (
        "x=1 of process 0 must come before the initial state: process 2 read x and got"
        " the initial state, although it had been shown y=2 of process 1, written when"
        " its process had read x=1 of process 0.\n"
        "Nothing comes before the initial state."
    )


def test_witness_says_when_either_of_two_guarantees_is_broken() -> None:
    """Nothing in the history tells which."""
    found = {one.checker: one for one in check(EITHER)}

    (witness,) = found["monotonic-reads"].witnesses

    assert witness.operations == EITHER.operations
    assert witness.explanation.endswith(
        "monotonic-reads or monotonic-writes is broken, and nothing tells which."
    )
