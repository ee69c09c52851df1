"""
Linearizability of queues in O(n log n), when each value is enqueued once.

A complete history of a first-in first-out queue with distinct values is
linearizable if and only if none of four things is in it:

    fresh        a value was dequeued before it was enqueued, or without
    repeated     a value was dequeued twice
    order        v1 was enqueued before v2, and dequeued after it, or never while v2
                 was
    empty        a dequeue found nothing, though at each instant of it some value
                 was certainly there: its enqueue had returned and its dequeue had
                 not been called

`order` needs one sweep over enqueues in order of their calls, with the latest call
of a dequeue among those enqueued before; `empty` the union of the intervals in
which values were certainly there.

An enqueue that never returned is left out unless its value was dequeued.  A dequeue
that never returned may have taken any value that nobody else did.  If the history
is linearizable without it, it is; if not, and such values are left, it is handed
over.

References:
    Henzinger, Sezgin & Vafeiadis, 2013.  Aspect-oriented linearizability proofs.
    Bouajjani, Emmi, Enea & Hamza, 2015.  On reducing linearizability to state
        reachability.
    Lee & Mathur, 2025.  Efficient decrease-and-conquer linearizability monitoring.
"""

from bisect import bisect_left
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from jepsen_like.history.history import History
from jepsen_like.history.operation import FOREVER, Key, Operation, Outcome
from jepsen_like.models.model import exact
from jepsen_like.verdict import Judgement, Verdict, Witness

NAME = "linearizable queue"


class _Stay(NamedTuple):
    """A value's way through the queue; `dequeue` is None if it is still there."""

    enqueue: Operation
    dequeue: Operation | None

    @property
    def leaves(self) -> int:
        """When its dequeue was called; FOREVER if there was none."""
        return FOREVER if self.dequeue is None else self.dequeue.called


class _Queue(NamedTuple):
    """
    The operations of one key.

    Attributes:
        enqueues: By their values; not those that failed.
        dequeues: That returned a value.
        empty: Dequeues that found nothing.
        pending: Dequeues that never returned.
    """

    enqueues: dict[Hashable, Operation]
    dequeues: list[Operation]
    empty: list[Operation]
    pending: list[Operation]


def check(history: History) -> Judgement | None:
    """
    Judge a history of queues, one a key, that are empty at first.

    Operations are `enqueue` of a value and `dequeue`, which returns one or None.

    Returns:
        None if another checker must judge: a value was enqueued twice, there are
        other operations, or it hangs on dequeues that never returned.
        Costs O(n log n).
    """
    if history.header.initial not in {None, ()}:
        return None
    queues: dict[Key, _Queue] = {}
    for operation in history.operations:
        queue = queues.setdefault(operation.key, _Queue({}, [], [], []))
        if operation.outcome is not Outcome.FAIL and not _noted(queue, operation):
            return None
    witnesses: list[Witness] = []
    undecided = False
    for key, queue in queues.items():
        witness = _judged(key, queue)
        if witness is None:
            continue
        if queue.pending and witness.kind in {_ORDER, _EMPTY} and _has_left(queue):
            undecided = True
        else:
            witnesses.append(witness)
    if undecided and not witnesses:
        return None
    values = sum(len(queue.enqueues) for queue in queues.values())
    figures = {"queues": len(queues), "values": values}
    if witnesses:
        reason = f"{len(witnesses)} of {len(queues)} queues have no order"
        return Judgement(NAME, Verdict.INVALID, reason, tuple(witnesses), figures)
    return Judgement(NAME, Verdict.VALID, figures=figures)


_FRESH, _REPEATED = "dequeued before enqueued", "dequeued twice"
_ORDER, _EMPTY = "out of order", "empty though it was not"


def _noted(queue: _Queue, operation: Operation) -> bool:
    """Add *operation* to *queue*; False if this checker cannot judge it."""
    done = operation.outcome is Outcome.OK
    if operation.f == "enqueue":
        value = exact(operation.argument)
        if value is None or value in queue.enqueues:
            return False
        queue.enqueues[value] = operation
        return True
    if operation.f != "dequeue":
        return False
    if not done:
        queue.pending.append(operation)
    elif operation.result is None:
        queue.empty.append(operation)
    else:
        queue.dequeues.append(operation)
    return True


def _has_left(queue: _Queue) -> bool:
    """Tell whether a value that was certainly enqueued was never returned."""
    taken = {exact(dequeue.result) for dequeue in queue.dequeues}
    return any(
        value not in taken and enqueue.outcome is Outcome.OK
        for value, enqueue in queue.enqueues.items()
    )


def _judged(key: Key, queue: _Queue) -> Witness | None:
    stays: dict[Hashable, _Stay] = {}
    for dequeue in queue.dequeues:
        told, value = dequeue.result, exact(dequeue.result)
        enqueue = queue.enqueues.get(value)
        if enqueue is None or dequeue.returned < enqueue.called:
            evidence = [dequeue] if enqueue is None else [dequeue, enqueue]
            return _witness(_FRESH, f"{told!r} was dequeued too early.", evidence, key)
        if value in stays:
            both = (each for each in queue.dequeues if exact(each.result) == value)
            evidence = [enqueue, *both]
            return _witness(_REPEATED, f"{told!r} came out twice.", evidence, key)
        stays[value] = _Stay(enqueue, dequeue)
    for value, enqueue in queue.enqueues.items():
        if value not in stays and enqueue.outcome is Outcome.OK:
            stays[value] = _Stay(enqueue, None)
    return _out_of_order(key, list(stays.values())) or _not_empty(key, queue, stays)


def _out_of_order(key: Key, stays: Sequence[_Stay]) -> Witness | None:
    by_call = sorted(stays, key=lambda stay: stay.enqueue.called)
    by_return = sorted(stays, key=lambda stay: stay.enqueue.returned)
    latest: _Stay | None = None
    place = 0
    for second in by_call:
        while by_return[place].enqueue.returned < second.enqueue.called:
            first = by_return[place]
            if latest is None or first.leaves > latest.leaves:
                latest = first
            place += 1
        if latest is None or second.dequeue is None:
            continue
        if second.dequeue.returned < latest.leaves:
            return _order_witness(key, latest, second, second.dequeue)
    return None


def _order_witness(
    key: Key, first: _Stay, second: _Stay, overtaking: Operation
) -> Witness:
    one, other = first.enqueue.argument, second.enqueue.argument
    evidence = [first.enqueue, second.enqueue, overtaking]
    when = "never was"
    if first.dequeue is not None:
        evidence.append(first.dequeue)
        when = "was afterwards"
    explanation = (
        f"{one!r} was enqueued before {other!r}; {other!r} was dequeued, and {one!r}"
        f" {when}."
    )
    return _witness(_ORDER, explanation, evidence, key)


def _not_empty(
    key: Key, queue: _Queue, stays: Mapping[Hashable, _Stay]
) -> Witness | None:
    certain = sorted(
        (stay for stay in stays.values() if stay.enqueue.returned < stay.leaves),
        key=lambda stay: stay.enqueue.returned,
    )
    begins: list[int] = []
    ends: list[int] = []
    for stay in certain:
        # Where one leaves as the next has come there is an empty instant.
        if ends and stay.enqueue.returned < ends[-1]:
            ends[-1] = max(ends[-1], stay.leaves)
        else:
            begins.append(stay.enqueue.returned)
            ends.append(stay.leaves)
    for found_nothing in queue.empty:
        place = bisect_left(begins, found_nothing.called) - 1
        if place >= 0 and found_nothing.returned < ends[place]:
            evidence = [found_nothing]
            for stay in _cover(certain, found_nothing):
                evidence += [stay.enqueue, *([stay.dequeue] if stay.dequeue else [])]
            explanation = "A dequeue found nothing while a value was always there."
            return _witness(_EMPTY, explanation, evidence, key)
    return None


def _cover(certain: Sequence[_Stay], operation: Operation) -> list[_Stay]:
    """Return as few as can be of *certain*, in order, that cover *operation*."""
    cover: list[_Stay] = []
    reached, place = operation.called, 0
    while not cover or reached <= operation.returned:
        best: _Stay | None = None
        while place < len(certain) and certain[place].enqueue.returned < reached:
            if best is None or certain[place].leaves > best.leaves:
                best = certain[place]
            place += 1
        assert best is not None, "the operation is covered"
        cover.append(best)
        reached = best.leaves
    return cover


def _witness(
    kind: str, explanation: str, evidence: Sequence[Operation], key: Key
) -> Witness:
    ordered = tuple(sorted(evidence, key=lambda each: each.called))
    return Witness(kind, explanation, ordered, key)
