"""Writes that may be gone with a store, and who must be shown them until then."""

import pytest

from jepsen_like.checkers.sessions import check
from jepsen_like.checkers.sessions.phases import MOMENTS_MAX
from jepsen_like.history.history import FaultSpan, History
from jepsen_like.history.operation import FOREVER, Operation, Outcome
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.sessions.histories import operation

NODE = "a"


def wiped(at: int, until: int | None = None) -> FaultSpan:
    """Return what is told of NODE when it is wiped."""
    return FaultSpan("wipe", at, at if until is None else until, (NODE,))


def at_node(asked: Operation, node: str = NODE) -> Operation:
    """Return *asked* as one that NODE, or another node, was asked for."""
    return asked._replace(node=node)


def broken(operations: list[Operation], *faults: FaultSpan) -> set[str]:
    """Return which guarantees a history breaks."""
    judgements = check(History.of(operations, faults))
    return {one.checker for one in judgements if one.verdict is Verdict.INVALID}


WRITE = at_node(operation(0, "write", "x", 1, at=0))
ELSEWHERE = at_node(operation(0, "read", "x", None, at=10), "b")
"""The session that wrote it does not find it there."""


@pytest.mark.parametrize(("at", "missed"), [(9, False), (11, False), (12, True)])
def test_write_is_due_until_the_answer_came_before_the_loss(
    at: int, *, missed: bool
) -> None:
    """The store may be gone while the read is under way, and not before it is."""
    assert broken([WRITE, ELSEWHERE], wiped(at)) == (
        {"read-your-writes"} if missed else set()
    )


def test_each_loss_excuses_what_comes_after_it_alone() -> None:
    """A second one, at the end of the history, is no reason for what was before."""
    again = at_node(operation(0, "write", "y", 2, at=20))
    missed = at_node(operation(0, "read", "y", None, at=30), "b")

    assert not broken([WRITE, ELSEWHERE, again, missed], wiped(5), wiped(25))
    assert broken([WRITE, ELSEWHERE, again, missed], wiped(5), wiped(40))
    assert broken([WRITE, ELSEWHERE, again, missed], wiped(15), wiped(25))


def test_write_made_after_the_loss_is_due() -> None:
    """It was made in the new store."""
    assert broken([WRITE, ELSEWHERE], wiped(-5)) == {"read-your-writes"}


def test_write_made_while_the_fault_lasts_may_be_gone() -> None:
    """As one of a node that was removed and goes on."""
    assert not broken([WRITE, ELSEWHERE], wiped(-5, until=5))


def test_write_that_was_read_elsewhere_is_due() -> None:
    """It is not gone, whatever became of the node that took it."""
    reader = at_node(operation(1, "read", "x", 1, at=4), "b")

    assert broken([WRITE, reader, ELSEWHERE], wiped(6)) == {"read-your-writes"}


def test_write_of_which_nobody_knows_who_took_it_is_due() -> None:
    """A read shows its rank, and no operation of the history wrote it."""
    ranks = {4: 5, 10: 4, 14: 1, 16: 2}
    history = History.of(
        [
            at_node(operation(1, "read", "x", 7, at=4)),
            at_node(operation(1, "read", "x", 8, at=10), "b"),
            at_node(operation(2, "write", "x", 7, at=14)),
            at_node(operation(2, "write", "x", 8, at=16)),
        ],
        [wiped(8)],
    )

    judgements = check(history, order_of=lambda one: ranks.get(one.called))

    invalid = {one.checker for one in judgements if one.verdict is Verdict.INVALID}
    assert invalid == {"monotonic-reads"}


def test_read_that_was_under_way_at_the_loss_is_judged_with_it() -> None:
    """So is a write that was not answered yet: it may have happened or not."""
    late = WRITE._replace(returned=7)
    open_read = ELSEWHERE._replace(called=8, returned=30)

    assert not broken([late, open_read], wiped(5))
    assert not broken([late, open_read], wiped(20))
    assert broken([late, open_read], wiped(31))


def test_unanswered_write_stays_unanswered() -> None:
    """Whether it happened or not, no loss makes it due."""
    pending = WRITE._replace(returned=FOREVER, outcome=Outcome.INFO)

    assert not broken([pending, ELSEWHERE], wiped(20))


def test_more_losses_than_can_be_told_apart_are_no_verdict() -> None:
    """Each costs a walk over the history."""
    count = MOMENTS_MAX + 1
    operations = [
        at_node(operation(0, "write", f"{n}", n, at=10 * n)) for n in range(count)
    ]
    faults = [wiped(10 * n + 5) for n in range(count)]

    few = check(History.of(operations[:-1], faults[:-1]))
    many = check(History.of(operations, faults))

    assert {one.verdict for one in few} == {Verdict.VALID}
    assert {one.verdict for one in many} == {Verdict.UNKNOWN}
