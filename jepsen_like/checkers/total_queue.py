"""
Queues as a whole: what goes in comes out, once, in whatever order.

    lost         acknowledged, and never dequeued though the queue was drained
    duplicated   dequeued more often than it was enqueued
    unexpected   dequeued, and nobody had tried to enqueue it
    recovered    dequeued, and its enqueue had not been acknowledged; no fault

A dequeue that was never answered may have taken any one value, a drain any number:
what is missing may have gone that way.  Nothing is missing that may still be in
the queue: someone must have found it empty, or drained it, after the last enqueue.

Reference:
    Kingsbury, 2013-.  Jepsen: checker/total-queue.
"""

from collections import Counter
from itertools import islice
from typing import NamedTuple

from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict, Witness

NAME = "total queue"

WITNESSES_MAX = 20
"""More values of one kind and key are only counted."""


class _Tally(NamedTuple):
    """What went into one queue and came out."""

    attempted: Counter[Value]
    acknowledged: Counter[Value]
    dequeued: Counter[Value]


def check(history: History) -> Judgement:
    """
    Judge each queue as a multiset.

    Operations are `enqueue` of a value, `dequeue`, which returns one or None if
    there is none, and `drain`, which returns all that is there.

    Returns:
        UNKNOWN if values are missing that may still be there, or may have been
        taken by operations that were never answered.  Costs O(n).
    """
    witnesses: list[Witness] = []
    doubts: list[str] = []
    figures: Counter[str] = Counter()
    by_key = history.by_key()
    for key, operations in by_key.items():
        tally = _tallied(operations)
        lost = tally.acknowledged - tally.dequeued
        recovered = (tally.dequeued - tally.acknowledged) & (
            tally.attempted - tally.acknowledged
        )
        surplus = tally.dequeued - tally.attempted
        witnesses += [
            _surplus(key, value, tally, operations)
            for value in islice(surplus, WITNESSES_MAX)
        ]
        doubt = _doubt(operations, lost.total()) if lost else ""
        if doubt:
            doubts.append(f"{lost.total()} values are missing at {key!r}, but {doubt}")
        else:
            witnesses += [
                _lost(key, value, operations) for value in islice(lost, WITNESSES_MAX)
            ]
        figures.update(
            acknowledged=tally.acknowledged.total(),
            dequeued=tally.dequeued.total(),
            missing=lost.total(),
            surplus=surplus.total(),
            recovered=recovered.total(),
        )
    if witnesses:
        reason = (
            f"{figures['surplus']} values came out too often or from nowhere, and"
            f" {figures['missing']} are missing"
        )
        return Judgement(NAME, Verdict.INVALID, reason, tuple(witnesses), figures)
    if doubts:
        return Judgement(NAME, Verdict.UNKNOWN, doubts[0], figures=figures)
    return Judgement(NAME, Verdict.VALID, figures=figures)


def _tallied(operations: list[Operation]) -> _Tally:
    tally = _Tally(Counter(), Counter(), Counter())
    for operation in operations:
        if operation.outcome is Outcome.FAIL:
            continue
        done = operation.outcome is Outcome.OK
        if operation.f == "enqueue":
            tally.attempted[operation.argument] += 1
            tally.acknowledged[operation.argument] += done
        elif done:
            tally.dequeued.update(taken_by(operation))
    return tally


def taken_by(operation: Operation) -> tuple[Value, ...]:
    """Return the values that a dequeue or drain took out."""
    if operation.f == "drain":
        return operation.result if isinstance(operation.result, tuple) else ()
    if operation.f == "dequeue" and operation.result is not None:
        return (operation.result,)
    return ()


def _doubt(operations: list[Operation], missing: int) -> str:
    """Return why what is missing need not be lost; empty if it must be."""
    unanswered = [each for each in operations if each.outcome is Outcome.INFO]
    if any(each.f == "drain" for each in unanswered):
        return "a drain was never answered"
    dequeues = sum(each.f == "dequeue" for each in unanswered)
    if dequeues >= missing:
        return f"{dequeues} dequeues were never answered"
    last = max(
        each.returned
        for each in operations
        if each.f == "enqueue" and each.outcome is Outcome.OK
    )
    emptied = any(
        each.outcome is Outcome.OK
        and each.called > last
        and (each.f == "drain" or (each.f == "dequeue" and each.result is None))
        for each in operations
    )
    return "" if emptied else "the queue was not drained after the last enqueue"


def _surplus(
    key: Key, value: Value, tally: _Tally, operations: list[Operation]
) -> Witness:
    evidence = tuple(
        each
        for each in operations
        if (each.f == "enqueue" and each.argument == value)
        or (each.outcome is Outcome.OK and value in taken_by(each))
    )
    times = tally.dequeued[value]
    enqueued = tally.attempted[value]
    kind = "duplicated" if enqueued else "unexpected"
    how = f"enqueued {enqueued} times at most" if enqueued else "never enqueued"
    explanation = f"{value!r} came out of {key!r} {times} times and was {how}."
    return Witness(kind, explanation, evidence, key)


def _lost(key: Key, value: Value, operations: list[Operation]) -> Witness:
    evidence = tuple(
        each for each in operations if each.f == "enqueue" and each.argument == value
    )
    explanation = (
        f"The enqueue of {value!r} into {key!r} was acknowledged, and it never came"
        " out, though the queue was emptied."
    )
    return Witness("lost", explanation, evidence, key)
