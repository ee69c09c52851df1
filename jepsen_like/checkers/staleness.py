"""
Staleness: how old was what each read returned, and were bounds kept?

A read is stale by the time from when its value had been overwritten until the
read was asked for.  It had been overwritten when the first acknowledgement of a
write came back that the value cannot have won against; a value that is current,
or was overwritten while the read was on its way, is stale by nothing.  So each
figure is a lower bound of the true one, by the time that acknowledgements take.

Which writes does a value not win against?

    versions    those with larger versions, where versions can be compared
    real time   otherwise those asked for after its own write had returned.
                A store whose clocks are wrong may rank them the other way, so
                this is good for figures only
    certain     those asked for, after its own write had returned, by the same
                session or of the same node

A read that asked for a bound, with the argument ("max_staleness_ms", n), has
broken it if its value had been overwritten for more than n ms, plus the slack
given, by versions or else for certain.  From the first fault of a clock on, bounds
are counted and not judged, for stores that measure them with the clocks of nodes:
what a wrong clock has said outlasts it.  Of a store that claims to keep them
nevertheless they are judged with a slack of their own.  All times are the recorder's.

References:
    Terry, Prabhakaran, Kotla, Balakrishnan, Aguilera & Abu-Libdeh, 2013.
        Consistency-based service level agreements for cloud storage.
    Golab, Li & Shah, 2011.  Analyzing consistency properties for fun and profit:
        delta-atomicity.
    Rule S3 of the replication design.
"""

from bisect import bisect_right
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from jepsen_like.checkers.access import (
    Access,
    OrderOf,
    is_final,
    reads_of,
    writes_of,
)
from jepsen_like.checkers.losses import Losses
from jepsen_like.history.history import History
from jepsen_like.history.operation import (
    FOREVER,
    Key,
    Operation,
    Outcome,
    Value,
)
from jepsen_like.verdict import Judgement, Verdict, Witness

NAME = "staleness"

NANOSECONDS_PER_MS = 1_000_000

WITNESSES_MAX = 20
"""More broken bounds than these are only counted."""

_INITIAL = -1
"""Before any operation: when what was there at the beginning was written."""

RankT = TypeVar("RankT", int, str)


class _Overwrites(Generic[RankT]):
    """Of a set of writes: which of those above a rank was acknowledged first?"""

    def __init__(self, writes: list[tuple[RankT, Operation]]) -> None:
        ordered = sorted(writes, key=lambda each: each[0])
        self._ranks: list[RankT] = [rank for rank, _ in ordered]
        self._first = [operation for _, operation in ordered]
        for place in range(len(ordered) - 2, -1, -1):
            if self._first[place + 1].returned < self._first[place].returned:
                self._first[place] = self._first[place + 1]

    def above(self, rank: RankT) -> Operation | None:
        place = bisect_right(self._ranks, rank)
        return self._first[place] if place < len(self._first) else None


class _Overwritten(NamedTuple):
    """What overwrote a value: probably, and for certain."""

    probably: Operation | None
    certainly: Operation | None


@dataclass(slots=True)
class _Write:
    """A write, and when it had certainly been done: acknowledged, or first read."""

    operation: Operation
    done: int


class _Register:
    """The writes of one key, asked by its reads."""

    def __init__(self, history: History, order_of: OrderOf | None) -> None:
        self._initial = history.header.initial
        self._forgetful = Losses(history)
        self._order_of = order_of
        self._written: dict[Value, list[_Write]] = {}
        self._timed: list[tuple[int, Operation]] = []
        self._ranked: list[tuple[str, Operation]] = []
        self._groups: dict[Hashable, list[tuple[int, Operation]]] = {}
        self._by_time: _Overwrites[int] | None = None
        self._by_rank: _Overwrites[str] | None = None
        self._by_group: dict[Hashable, _Overwrites[int]] = {}
        self._hidden = False

    def add_write(self, operation: Operation, access: Access) -> None:
        """Note a write that was or may have been."""
        write = _Write(operation, operation.returned)
        self._written.setdefault(access.value, []).append(write)
        self._hidden |= access.value is None or operation.f == "write-expiring"
        if operation.outcome is not Outcome.OK:
            return
        self._timed.append((operation.called, operation))
        if self._order_of is not None and access.version:
            self._ranked.append((self._order_of(access.version), operation))
        for group in self._groups_of(operation):
            self._groups.setdefault(group, []).append((operation.called, operation))

    def _groups_of(self, operation: Operation) -> list[Hashable]:
        groups: list[Hashable] = [operation.process]
        if operation.node and operation.node not in self._forgetful:
            groups.append(operation.node)
        return groups

    def add_read(self, operation: Operation, access: Access) -> None:
        """Note that a value was there: its write had been done by then."""
        writer = self._writer(access)
        if writer is not None:
            writer.done = min(writer.done, operation.returned)

    def freeze(self) -> None:
        """Build what questions are answered from; nothing is added afterwards."""
        self._by_time = _Overwrites(self._timed)
        self._by_rank = _Overwrites(self._ranked)
        self._by_group = {
            group: _Overwrites(writes) for group, writes in self._groups.items()
        }

    def overwritten(self, access: Access) -> _Overwritten | None:
        """Return what overwrote the value of *access*; None if nobody can say."""
        assert self._by_time is not None, "questions come after freeze"
        assert self._by_rank is not None, "questions come after freeze"
        if self._order_of is not None and access.version:
            above = self._by_rank.above(self._order_of(access.version))
            return _Overwritten(above, above)
        writer = self._writer(access)
        if writer is not None:
            done = writer.done
            certain = [
                overwriter
                for group in self._groups_of(writer.operation)
                if group in self._by_group
                and (overwriter := self._by_group[group].above(done)) is not None
            ]
            first = min(certain, key=lambda each: each.returned, default=None)
            return _Overwritten(self._by_time.above(done), first)
        unwritten = access.value not in self._written
        if access.value == self._initial and unwritten and not self._hidden:
            above_all = self._by_time.above(_INITIAL)
            return _Overwritten(above_all, above_all)
        return None

    def _writer(self, access: Access) -> _Write | None:
        # Nothing being there may be the work of any delete, or of time.
        writers = self._written.get(access.value, [])
        return writers[0] if len(writers) == 1 and access.value is not None else None


class _Slack(NamedTuple):
    """By how much reads may pass their bounds, in ms; see `check`."""

    usual: int
    wrong_clock: int | None
    wrong_from: int

    def of(self, read: Operation) -> int | None:
        """Return how much *read* may; None if its bound promises nothing."""
        return self.wrong_clock if read.returned >= self.wrong_from else self.usual


def _wrong_from(history: History) -> int:
    """Return when a clock was first made wrong."""
    began = (span.began for span in history.faults if "clock" in span.kind)
    return min(began, default=FOREVER)


def check(
    history: History,
    *,
    order_of: OrderOf | None = None,
    slack_ms: int = 0,
    wrong_clock_slack_ms: int | None = None,
) -> Judgement:
    """
    Measure how stale reads were, and judge whether bounds that they gave were kept.

    Args:
        history: With times in nanoseconds.
        order_of: How versions compare, if they do.
        slack_ms: So much more than its bound a read may be stale, >= 0.
        wrong_clock_slack_ms: The same from the first fault of a clock on; None if
            bounds promise nothing then.

    Returns:
        Figures: reads measured, stale ones, and in ms median, 99th percentile
        and maximum.  UNKNOWN if the history has no times.  Costs O(n log n).
    """
    for given in (slack_ms, wrong_clock_slack_ms):
        if given is not None and given < 0:
            msg = f"slack must be 0 ms or more, not {given}"
            raise ValueError(msg)
    if not history.header.timed:
        reason = "the history has no times, only an order"
        return Judgement(NAME, Verdict.UNKNOWN, reason)
    forgetful = Losses(history)
    ages: list[int] = []
    witnesses: list[Witness] = []
    bounded = [read for read in history.operations if _bound(read) is not None]
    slack = _Slack(slack_ms, wrong_clock_slack_ms, _wrong_from(history))
    broken = 0
    for read, overwritten in _measured(history, order_of):
        ages.append(_age(read, overwritten.probably))
        bound, certain, more = _bound(read), overwritten.certainly, slack.of(read)
        if bound is None or more is None or certain is None:
            continue
        if certain.node in forgetful:
            continue
        age = _age(read, certain)
        if age > (bound + more) * NANOSECONDS_PER_MS:
            broken += 1
            if len(witnesses) < WITNESSES_MAX:
                witnesses.append(_broken(read, certain, age, bound))
    figures = {
        **_figures(ages),
        "reads with a bound": len(bounded),
        "bounds not judged": sum(slack.of(read) is None for read in bounded),
        "bounds broken": broken,
    }
    if witnesses:
        reason = (
            f"{broken} of {len(bounded)} bounded reads were staler than their bound"
        )
        return Judgement(NAME, Verdict.INVALID, reason, tuple(witnesses), figures)
    return Judgement(NAME, Verdict.VALID, figures=figures)


def ages_ms(history: History, *, order_of: OrderOf | None = None) -> list[float]:
    """Return how stale each read was that can be measured, in ms, for a histogram."""
    return [
        _age(read, overwritten.probably) / NANOSECONDS_PER_MS
        for read, overwritten in _measured(history, order_of)
    ]


def _measured(
    history: History, order_of: OrderOf | None
) -> Iterator[tuple[Operation, _Overwritten]]:
    """Yield each read of which one can say by what its value was overwritten."""
    registers = _registers(history, order_of)
    for operation in history.operations:
        if not is_final(operation):
            for access in reads_of(operation):
                overwritten = registers[access.key].overwritten(access)
                if overwritten is not None:
                    yield operation, overwritten


def _registers(history: History, order_of: OrderOf | None) -> dict[Key, _Register]:
    registers: dict[Key, _Register] = {}
    reads: list[tuple[Operation, Access]] = []
    for operation in history.operations:
        for access in reads_of(operation):
            registers.setdefault(access.key, _Register(history, order_of))
            reads.append((operation, access))
        if operation.outcome is Outcome.FAIL:
            continue
        for access in writes_of(operation):
            register = registers.setdefault(access.key, _Register(history, order_of))
            register.add_write(operation, access)
    for operation, access in reads:
        registers[access.key].add_read(operation, access)
    for register in registers.values():
        register.freeze()
    return registers


def _bound(operation: Operation) -> int | None:
    match operation.argument:
        case ("max_staleness_ms", int(bound)) if operation.f == "read":
            return bound if operation.outcome is Outcome.OK else None
        case _:
            return None


def _age(read: Operation, overwriter: Operation | None) -> int:
    return 0 if overwriter is None else max(0, read.called - overwriter.returned)


def _figures(ages: list[int]) -> dict[str, int | float | str]:
    ordered = sorted(ages)
    figures: dict[str, int | float | str] = {
        "reads measured": len(ordered),
        "stale reads": len(ordered) - bisect_right(ordered, 0),
    }
    if ordered:
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
            place = min(len(ordered) - 1, int(share * len(ordered)))
            figures[f"{name} ms"] = round(ordered[place] / NANOSECONDS_PER_MS, 3)
    return figures


def _broken(read: Operation, overwriter: Operation, age: int, bound: int) -> Witness:
    return Witness(
        "bound broken",
        f"A read of {read.key!r} at {read.node or 'its node'} asked for at most"
        f" {bound} ms of staleness and returned {read.result!r}, which process"
        f" {overwriter.process} had overwritten {age / NANOSECONDS_PER_MS:.3f} ms"
        " before the read was asked for.",
        (overwriter, read),
        read.key,
    )
