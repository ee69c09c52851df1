"""How old reads were, and whether they kept their bounds."""

from random import Random

import pytest

from jepsen_like.checkers import staleness
from jepsen_like.history.history import FaultSpan, Header, History
from jepsen_like.history.operation import Operation, Outcome
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.registers import (
    MS,
    delete,
    read,
    unanswered,
    write,
)
from tests.jepsen_like.examples import examples


def bounded(operation: Operation, bound_ms: int) -> Operation:
    """Return a read that asks for bounded staleness."""
    return operation._replace(argument=("max_staleness_ms", bound_ms))


def naive_age(history: History, seen: Operation) -> int:
    """Return the age of a read by looking at every write."""
    own = next(
        each
        for each in history.operations
        if each.f == "write" and each.argument == seen.result
    )
    done = min(
        [own.returned]
        + [
            each.returned
            for each in history.operations
            if each.f == "read" and each.result == seen.result
        ]
    )
    overwritten = [
        each.returned
        for each in history.operations
        if each.f == "write" and each.outcome is Outcome.OK and each.called > done
    ]
    return max([0, *(seen.called - at for at in overwritten)])


def test_ages_are_those_of_looking_at_every_write() -> None:
    """The sweep finds the same first overwrite for each read."""
    for seed in range(examples(300)):
        random = Random(seed)
        operations: list[Operation] = []
        for value in range(random.randrange(1, 12)):
            at = random.randrange(60)
            wrote = write(value, value, at)._replace(
                returned=(at + random.randrange(1, 20)) * MS
            )
            operations.append(unanswered(wrote) if random.random() < 0.2 else wrote)
        for process in range(random.randrange(1, 8)):
            value = random.randrange(len(operations))
            at = random.randrange(60, 90)
            operations.append(read(50 + process, operations[value].argument, at))
        operations = [
            each for each in operations if each.f == "write" or each.result is not None
        ]
        history = History.of(operations)
        reads = [each for each in history.operations if each.f == "read"]
        expected = [naive_age(history, each) / MS for each in reads]
        assert staleness.ages_ms(history) == expected, seed


def test_bound_is_judged_by_what_certainly_overwrote() -> None:
    """By the same session, the same place, or versions; not by time alone."""
    old, seen = write(0, 1, 0, "a"), bounded(read(5, 1, 50, "c"), 30)
    elsewhere = write(1, 2, 10, "b")

    def verdict(overwrite: Operation, *, slack_ms: int = 0) -> Verdict:
        history = History.of([old, overwrite, seen])
        return staleness.check(history, slack_ms=slack_ms).verdict

    assert verdict(elsewhere) is Verdict.VALID
    assert verdict(write(0, 2, 10, "b")) is Verdict.INVALID
    assert verdict(write(1, 2, 10, "a")) is Verdict.INVALID
    assert verdict(write(0, 2, 10, "b"), slack_ms=9) is Verdict.VALID
    assert verdict(write(0, 2, 19, "b")) is Verdict.VALID


def test_bound_is_judged_by_versions_where_they_compare() -> None:
    """A larger version that was acknowledged long ago breaks it, a smaller never."""
    seen = bounded(read(5, 1, 50, "c"), 30)._replace(version="2")
    old = write(0, 1, 0, "a")._replace(version="2")
    other = write(1, 2, 10, "b")

    def verdict(version: str) -> Verdict:
        history = History.of([old, other._replace(version=version), seen])
        return staleness.check(history, order_of=lambda text: text).verdict

    assert verdict("3") is Verdict.INVALID
    assert verdict("1") is Verdict.VALID


def test_overwrite_may_be_gone_with_its_nodes_store() -> None:
    """What a wiped node had acknowledged binds no other."""
    operations = [write(0, 1, 0, "a"), write(0, 2, 10, "b")]
    seen = bounded(read(5, 1, 50, "c"), 30)
    wiped = FaultSpan("wipe", 20 * MS, 21 * MS, ("b",))

    history = History.of([*operations, seen], [wiped])

    assert staleness.check(history).verdict is Verdict.VALID


def test_bounds_are_judged_until_a_clock_is_wrong() -> None:
    """Nodes measure them with their clocks; found by sessions, seed 20018."""
    operations = [write(0, 1, 0, "a"), write(0, 2, 10, "b")]
    seen = bounded(read(5, 1, 50, "c"), 30)

    def judged(*spans: FaultSpan) -> tuple[Verdict, object]:
        judgement = staleness.check(History.of([*operations, seen], spans))
        return judgement.verdict, judgement.figures["bounds not judged"]

    assert judged(FaultSpan("kill", 0, 20 * MS, ("c",))) == (Verdict.INVALID, 0)
    assert judged(FaultSpan("clock jump", 70 * MS, 80 * MS)) == (Verdict.INVALID, 0)
    assert judged(FaultSpan("clock jump", 20 * MS, 25 * MS)) == (Verdict.VALID, 1)


@pytest.mark.parametrize(
    ("slack", "verdict"), [(9, Verdict.INVALID), (10, Verdict.VALID)]
)
def test_store_that_trusts_no_clock_is_judged_with_a_slack_of_its_own(
    slack: int, verdict: Verdict
) -> None:
    """Its bounds may be as wrong as a report is long on its way."""
    operations = [write(0, 1, 0, "a"), write(0, 2, 10, "b")]
    seen = bounded(read(5, 1, 51, "c"), 30)
    jump = FaultSpan("clock jump", 20 * MS, 25 * MS)

    judgement = staleness.check(
        History.of([*operations, seen], [jump]), wrong_clock_slack_ms=slack
    )

    assert judgement.verdict is verdict
    assert judgement.figures["bounds not judged"] == 0


def test_absent_key_is_stale_since_the_first_write_unless_it_was_deleted() -> None:
    """With a delete about nobody can say since when nothing was there."""
    operations = [write(0, 1, 0), read(1, None, 11, "b")]

    assert staleness.ages_ms(History.of(operations)) == [10.0]
    assert staleness.ages_ms(History.of([*operations, delete(2, 5)])) == []


def test_figures_tell_the_distribution() -> None:
    """Percentiles are of all reads that can be measured."""
    reads = [read(2 + n, 1, 10 + n) for n in range(100)]
    history = History.of([write(0, 1, 0), write(0, 2, 5), *reads])

    figures = staleness.check(history).figures

    assert figures["reads measured"] == 100
    assert figures["p50 ms"] == 54.0
    assert figures["max ms"] == 103.0


def test_history_without_times_is_unknown_and_negative_slack_refused() -> None:
    """Positions in a log are no times."""
    untimed = History.of([write(0, 1, 0)], header=Header(timed=False))

    assert staleness.check(untimed).verdict is Verdict.UNKNOWN
    with pytest.raises(ValueError, match="slack must be 0 ms or more"):
        staleness.check(untimed, slack_ms=-1)
