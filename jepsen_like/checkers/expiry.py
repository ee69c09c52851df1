"""
Expiry: a value is not read after its deadline, nor missed before it.

A write with a time to live took effect between its call and its return, so its
deadline lies between `called` + ttl and `returned` + ttl by the recorder's clock.
The node that sets the deadline and the one that hides the value go by clocks of
their own, which differ by at most the error given.

    late     a read asked for after the latest possible deadline, plus the error,
             returned the value
    early    a read that had returned before the earliest possible deadline, less
             the error, found nothing, though the reader knew the write: it was of
             the same session, or acknowledged by the same node before.  Unless
             something that the write did not certainly overwrite may have taken
             it away: a delete, or a value that may have expired by then

What was written or read at a node while a clock fault was there is not judged.

Reference:
    Rule R6 of the replication design.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jepsen_like.checkers.access import FINAL, writes_of
from jepsen_like.checkers.losses import Losses
from jepsen_like.checkers.staleness import NANOSECONDS_PER_MS
from jepsen_like.history.history import FaultSpan, History
from jepsen_like.history.operation import FOREVER, Key, Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict, Witness

NAME = "expiry"


class _Write(NamedTuple):
    """
    A write that was or may have been.

    Attributes:
        operation: Of which it is.
        value: What it left; None if it is a delete.
        ttl: In ns; FOREVER if it does not expire.
        timely: No clock fault was at its node.
    """

    operation: Operation
    value: Value
    ttl: int
    timely: bool


def _called(write: _Write) -> int:
    return write.operation.called


class _Clock:
    """How far clocks can be trusted."""

    def __init__(self, history: History, error_ms: int) -> None:
        self.error = error_ms * NANOSECONDS_PER_MS
        self._faults = [span for span in history.faults if "clock" in span.kind]

    def trusted(self, operation: Operation) -> bool:
        """Tell whether the clock of its node was right during *operation*."""
        return not any(self._met(span, operation) for span in self._faults)

    @staticmethod
    def _met(span: FaultSpan, operation: Operation) -> bool:
        met = not span.nodes or not operation.node or operation.node in span.nodes
        during = span.began <= operation.returned and operation.called <= span.ended
        return met and during


def check(history: History, *, clock_error_ms: int = 0) -> Judgement:
    """
    Judge each read of a key by the times to live of what was written there.

    Args:
        history: With times in nanoseconds; `write-expiring` has (value, ttl in
            ms) as argument.
        clock_error_ms: By so much two nodes' clocks differ at most, >= 0.

    Returns:
        UNKNOWN if the history has no times.  Costs O(n) for each key and process,
        and for each absent read a look at what may have removed the value.
    """
    if clock_error_ms < 0:
        msg = f"clocks differ by 0 ms or more, not {clock_error_ms}"
        raise ValueError(msg)
    if not history.header.timed:
        reason = "the history has no times, only an order"
        return Judgement(NAME, Verdict.UNKNOWN, reason)
    clock, losses = _Clock(history, clock_error_ms), Losses(history)
    witnesses: list[Witness] = []
    expiring = reads = 0
    for key, operations in history.by_key().items():
        writes = list(_writes(operations, clock))
        expiring += sum(write.ttl != FOREVER for write in writes)
        register = _Register(key, writes, clock, losses)
        for read in _reads(operations):
            reads += 1
            found = register.late(read) or register.early(read)
            if found is not None and clock.trusted(read):
                witnesses.append(found)
    figures = {"expiring writes": expiring, "reads": reads}
    if witnesses:
        reason = f"{len(witnesses)} of {reads} reads were too late or too early"
        return Judgement(NAME, Verdict.INVALID, reason, tuple(witnesses), figures)
    if not expiring or not reads:
        reason = "nothing that expires was written and read"
        return Judgement(NAME, Verdict.UNKNOWN, reason, figures=figures)
    return Judgement(NAME, Verdict.VALID, figures=figures)


def _reads(operations: Sequence[Operation]) -> Iterator[Operation]:
    for operation in operations:
        if operation.outcome is Outcome.OK and operation.f in {"read", f"{FINAL}read"}:
            yield operation


def _writes(operations: Sequence[Operation], clock: _Clock) -> Iterator[_Write]:
    for operation in operations:
        if operation.outcome is Outcome.FAIL or operation.f == "txn":
            continue
        for access in writes_of(operation):
            ttl = FOREVER
            if operation.f == "write-expiring":
                ttl = _ttl(operation)
            yield _Write(operation, access.value, ttl, clock.trusted(operation))


def _ttl(operation: Operation) -> int:
    match operation.argument:
        case (_, int(ttl_ms)) if ttl_ms > 0:
            return ttl_ms * NANOSECONDS_PER_MS
        case _:
            msg = f"the argument is (value, ttl in ms > 0): {operation}"
            raise ValueError(msg)


class _Register:
    """What was written to one key."""

    def __init__(
        self, key: Key, writes: list[_Write], clock: _Clock, losses: Losses
    ) -> None:
        self._key = key
        self._clock = clock
        self._losses = losses
        self._writes = writes
        self._by_value: dict[Value, list[_Write]] = {}
        self._known: dict[object, list[_Write]] = {}
        for write in writes:
            self._by_value.setdefault(write.value, []).append(write)
            operation = write.operation
            if operation.outcome is Outcome.OK and write.value is not None:
                self._known.setdefault(operation.process, []).append(write)
                if operation.node:
                    self._known.setdefault(operation.node, []).append(write)

    def late(self, read: Operation) -> Witness | None:
        """Return what is wrong if *read* shows a value past its deadline."""
        writes = self._by_value.get(read.result, [])
        if read.result is None or len(writes) != 1 or not writes[0].timely:
            return None
        operation, ttl = writes[0].operation, writes[0].ttl
        if FOREVER in {ttl, operation.returned}:
            return None
        over = read.called - operation.returned - ttl
        if over <= self._clock.error:
            return None
        explanation = (
            f"{read.result!r} was written to {self._key!r} to live for"
            f" {ttl / NANOSECONDS_PER_MS:g} ms, and {read.node or 'a node'} still"
            f" showed it {over / NANOSECONDS_PER_MS:.3f} ms after its deadline."
        )
        return Witness("expired value read", explanation, (operation, read), self._key)

    def early(self, read: Operation) -> Witness | None:
        """Return what is wrong if *read* lacks a value before its deadline."""
        if read.result is not None:
            return None
        for group in (read.process, read.node):
            write = self._last_known(group, read)
            if write is not None and self._due(write) > read.returned:
                return self._missed(write, read)
        return None

    def _last_known(self, group: object, read: Operation) -> _Write | None:
        writes = self._known.get(group, [])
        begun = bisect_left(writes, read.called, key=_called)
        for place in range(begun - 1, -1, -1):
            write = writes[place]
            operation = write.operation
            if operation.returned >= read.called:
                continue  # it was still under way
            if self._losses.may_have_taken(operation) or not write.timely:
                return None
            return write
        return None

    def _due(self, write: _Write) -> int:
        """Return the earliest time at which *write* may be hidden."""
        if write.ttl == FOREVER:
            return FOREVER
        if not write.timely:
            return 0
        return write.operation.called + write.ttl - self._clock.error

    def _missed(self, write: _Write, read: Operation) -> Witness | None:
        begun = bisect_right(self._writes, read.returned, key=_called)
        # What explains it has mostly happened just before.
        for place in range(begun - 1, -1, -1):
            other = self._writes[place]
            removes = other.value is None or self._due(other) <= read.returned
            if removes and not self._certainly_before(other, write):
                return None
        left = "and does not expire"
        if write.ttl != FOREVER:
            left = f"to live for {write.ttl / NANOSECONDS_PER_MS:g} ms"
        explanation = (
            f"{write.value!r} was written to {self._key!r}, {left}, and a read of"
            f" process {read.process} at {read.node or 'its node'}, which knew it,"
            " found nothing, though nothing can have taken it away by then."
        )
        evidence = (write.operation, read)
        return Witness("expired early", explanation, evidence, self._key)

    def _certainly_before(self, other: _Write, write: _Write) -> bool:
        """Tell whether *write* certainly overwrote *other*."""
        first, second = other.operation, write.operation
        if first.returned >= second.called:
            return False
        epochs = self._losses.epoch(first), self._losses.epoch(second)
        same_place = bool(first.node) and first.node == second.node
        return first.process == second.process or (
            same_place and epochs[0] is not None and epochs[0] == epochs[1]
        )
