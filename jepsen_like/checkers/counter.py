"""
Counters: each read lies between what must and what may have been added.

An increment counts certainly once it was acknowledged before the read was asked
for; it may count if it was asked for before the read returned.  So a read is at
least the acknowledged increments plus all decrements that may count, and at most
the increments that may count plus the acknowledged decrements.  These bounds are
necessary for linearizability, not sufficient.

A counter that merges concurrent additions, and is read from lagging nodes, keeps
this at the quiet end only.  There the value must be all that was acknowledged
plus some of what may have been added, to the unit.

References:
    Kingsbury, 2013-.  Jepsen: checker/counter.
    Shapiro, Preguica, Baquero & Zawirski, 2011.  A comprehensive study of
        convergent and commutative replicated data types.  Specification 7.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate

from jepsen_like.checkers.access import FINAL
from jepsen_like.checkers.convergence import final_values
from jepsen_like.checkers.losses import Losses
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome
from jepsen_like.verdict import Judgement, Verdict, Witness

NAME = "counter"

FINAL_NAME = "counter at the end"

SUMS_MAX = 4_000_000
"""Sums of uncertain additions are told apart in a range so wide: 0.5 MB of bits."""

_READS = ("value", "read", f"{FINAL}value", f"{FINAL}read")


class _Sums:
    """How much had been added by a time, over events in any order."""

    def __init__(self, events: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(events)
        self._times = [at for at, _ in ordered]
        self._sums = [0, *accumulate(amount for _, amount in ordered)]

    def before(self, at: int) -> int:
        """Return the sum of what happened before *at*."""
        return self._sums[bisect_left(self._times, at)]

    def until(self, at: int) -> int:
        """Return the sum of what happened before or at *at*."""
        return self._sums[bisect_right(self._times, at)]


class _Counter:
    """The bounds of one counter at any time."""

    def __init__(self, additions: list[Operation], initial: int) -> None:
        self._initial = initial
        amounts = [(operation, amount_of(operation)) for operation in additions]
        attempted = [(op.called, amount) for op, amount in amounts]
        acknowledged = [
            (op.returned, amount) for op, amount in amounts if op.outcome is Outcome.OK
        ]
        self._may_raise = _Sums((at, n) for at, n in attempted if n > 0)
        self._may_lower = _Sums((at, n) for at, n in attempted if n < 0)
        self._must_raise = _Sums((at, n) for at, n in acknowledged if n > 0)
        self._must_lower = _Sums((at, n) for at, n in acknowledged if n < 0)

    def bounds(self, read: Operation) -> tuple[int, int]:
        """Return the least and the largest value that *read* may have returned."""
        certainly, possibly = read.called, read.returned
        least = self._must_raise.before(certainly) + self._may_lower.until(possibly)
        largest = self._may_raise.until(possibly) + self._must_lower.before(certainly)
        return self._initial + least, self._initial + largest


def check(history: History) -> Judgement:
    """
    Judge each read of each counter by its bounds.

    Additions are `add` with the amount as argument, reads are `value` or `read`.
    Costs O(n log n).

    Raises:
        ValueError: An amount, a value or the initial value is no integer.
    """
    counters = {
        key: _Counter(additions, initial_of(history))
        for key, additions in _additions(history).items()
    }
    witnesses: list[Witness] = []
    reads = 0
    widest = 0
    for read in history.operations:
        if read.f not in _READS or read.outcome is not Outcome.OK:
            continue
        reads += 1
        counter = counters.get(read.key) or _Counter([], initial_of(history))
        least, largest = counter.bounds(read)
        widest = max(widest, largest - least)
        if not least <= _integer(read.result, read) <= largest:
            explanation = (
                f"A read of {read.key!r} returned {read.result}, but what was"
                f" acknowledged before and asked for by then allows {least} to"
                f" {largest} only."
            )
            witnesses.append(
                Witness("counter out of bounds", explanation, (read,), read.key)
            )
    figures = {"reads": reads, "widest bounds": widest}
    return _judgement(NAME, witnesses, reads, figures)


def check_final(history: History) -> Judgement:
    """
    Judge what each counter is at the quiet end, on each node.

    Costs O(n) and, if additions are uncertain, the range of their sums / 64 for
    each; past SUMS_MAX only the bounds of the sums are judged.

    Raises:
        ValueError: An amount, a value or the initial value is no integer.
    """
    finals = final_values(history, "value")
    additions, losses = _additions(history), Losses(history)
    witnesses: list[Witness] = []
    for key, answers in finals.items():
        own = additions.get(key, [])
        uncertain = [
            each
            for each in own
            if each.outcome is Outcome.INFO or losses.may_have_taken(each)
        ]
        doubtful = frozenset(uncertain)
        acknowledged = [each for each in own if each not in doubtful]
        certain = initial_of(history) + sum(map(amount_of, acknowledged))
        for value, answer in {_integer(a.result, a): a for a in answers}.items():
            if not _is_some_sum(value - certain, [amount_of(a) for a in uncertain]):
                witnesses.append(_final_witness(answer, certain, own, uncertain))
                break
    figures = {"counters": len(finals)}
    return _judgement(FINAL_NAME, witnesses, len(finals), figures)


def amount_of(operation: Operation) -> int:
    """Return how much an `add` adds."""
    return _integer(operation.argument, operation)


def initial_of(history: History) -> int:
    """Return what every counter is before anything is added: 0 if nothing is said."""
    initial = history.header.initial
    if initial is None:
        return 0
    if isinstance(initial, bool) or not isinstance(initial, int):
        msg = f"a counter begins with an integer, not {initial!r}"
        raise ValueError(msg)  # noqa: TRY004 - a history is data from outside
    return initial


def _additions(history: History) -> dict[Key, list[Operation]]:
    found: dict[Key, list[Operation]] = {}
    for operation in history.operations:
        if operation.f == "add" and operation.outcome is not Outcome.FAIL:
            found.setdefault(operation.key, []).append(operation)
    return found


def _integer(value: object, operation: Operation) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"a counter deals in integers, not {value!r} as in {operation}"
        raise ValueError(msg)  # noqa: TRY004 - a history is data from outside
    return value


def _is_some_sum(difference: int, amounts: list[int]) -> bool:
    """Tell whether some of *amounts* add up to *difference*."""
    lowest = sum(amount for amount in amounts if amount < 0)
    highest = sum(amount for amount in amounts if amount > 0)
    if not lowest <= difference <= highest:
        return False
    if highest - lowest > SUMS_MAX:
        return True
    # Bit i says that the sum lowest + i can be made.
    reachable = 1 << -lowest
    for amount in amounts:
        shifted = reachable << amount if amount > 0 else reachable >> -amount
        reachable |= shifted
    return bool(reachable >> (difference - lowest) & 1)


def _final_witness(
    answer: Operation, certain: int, own: list[Operation], uncertain: list[Operation]
) -> Witness:
    return Witness(
        "wrong count",
        f"{answer.node} counts {answer.result} at {answer.key!r} in the end, but"
        f" {certain} was acknowledged, and no choice of the {len(uncertain)} additions"
        " that may have happened makes up the difference.",
        (*own, answer),
        answer.key,
    )


def _judgement(
    name: str, witnesses: list[Witness], reads: int, figures: dict[str, int]
) -> Judgement:
    if witnesses:
        reason = f"{len(witnesses)} of {reads} reads are impossible"
        return Judgement(name, Verdict.INVALID, reason, tuple(witnesses), figures)
    if not reads:
        reason = "no counter was read, so nothing shows what they hold"
        return Judgement(name, Verdict.UNKNOWN, reason, figures=figures)
    return Judgement(name, Verdict.VALID, figures=figures)
