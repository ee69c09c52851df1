"""Final answers of nodes that agree, differ, or are not there."""

from jepsen_like.checkers import convergence
from jepsen_like.history.history import Header, History
from jepsen_like.history.operation import Operation, Outcome
from jepsen_like.verdict import Judgement, Verdict
from tests.jepsen_like.checkers.registers import final, logged, write


def judged(*operations: Operation) -> Judgement:
    """Judge a run on two nodes."""
    return convergence.check(History.of(operations, header=Header(nodes=("a", "b"))))


def test_equal_answers_are_valid_and_different_ones_are_not() -> None:
    """The witness is the two answers that differ."""
    same = judged(final(1, "a"), final(1, "b"))
    other = judged(final(1, "a"), final(2, "b"), final(3, "a", key="y"))

    assert same.verdict is Verdict.VALID
    assert other.verdict is Verdict.INVALID
    assert other.witnesses[0].operations == (final(1, "a"), final(2, "b"))


def test_equal_values_of_different_versions_differ() -> None:
    """They are of different writes."""
    one, two = final(1, "a")._replace(version="1"), final(1, "b")._replace(version="2")

    assert judged(one, two).verdict is Verdict.INVALID


def test_missing_answer_is_unknown() -> None:
    """A node that was not asked or did not answer may hold anything."""
    silent = final(None, "b")._replace(outcome=Outcome.FAIL)

    assert judged(final(1, "a")).verdict is Verdict.UNKNOWN
    assert judged(final(1, "a"), silent).verdict is Verdict.UNKNOWN
    assert judged(write(0, 1, 0)).verdict is Verdict.UNKNOWN


def test_conflict_logs_may_differ() -> None:
    """A log is kept where the conflict was noticed."""
    finals = [final(1, "a"), final(1, "b"), logged((), "a"), logged(("2",), "b")]

    assert judged(*finals).verdict is Verdict.VALID
