"""
Closed loops and what they yield.

In a closed loop each caller sends its next operation when the last one has been
answered, as a request handler does.  So the number of callers is the number of
operations in flight, and throughput x mean latency = callers (Little, 1961).  A
closed loop hides queueing that an open one would show; figures of two systems
are comparable only at an equal number of callers, which is why every row of the
report has it.

Reference: Schroeder, Wierman & Harchol-Balter, 2006.  Open versus closed: a
    cautionary tale.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from time import perf_counter_ns

from tests.benchmarks.processor_time import ProcessorTime

Operation = Callable[[], Awaitable[None]]
"""One operation of one caller: sends, waits for the answer, judges it."""

NANOS_PER_SECOND = 1_000_000_000


class Section(StrEnum):
    """A part of the benchmark that can be asked for by name."""

    GETS = "gets"
    PUTS = "puts"
    BULK = "bulk"
    CEILINGS = "ceilings"
    SCALE = "scale"
    PROPAGATION = "propagation"
    CATCH_UP = "catch-up"
    BOOTSTRAP = "bootstrap"
    COSTS = "costs"
    OBJECTS = "objects"


class WrongAnswerError(Exception):
    """A store returned something other than what was put into it."""


@dataclass(frozen=True, slots=True)
class Spans:
    """What one loop took: each call, ascending, and all of it; in ns."""

    calls: tuple[int, ...]
    elapsed: int

    def quantile_micros(self, percent: int) -> int:
        """
        Return the smallest span that *percent* % of the calls stayed within.

        Args:
            percent: 1 to 100.

        Returns:
            Whole microseconds.
        """
        assert self.calls, "a loop makes at least one call"
        assert 1 <= percent <= 100, "a share of the calls"
        rank = -(-percent * len(self.calls) // 100)
        return self.calls[rank - 1] // 1000


@dataclass(frozen=True, slots=True)
class Measurement:
    """One row: what was done, by how many at once, and how fast it went."""

    section: Section
    subject: str
    operation: str
    in_flight: int  # calls, whatever the number of operations in one
    per_second: int  # operations
    p50_micros: int  # of a call
    p99_micros: int  # of a call
    calls: int
    processor: ProcessorTime | None = None  # of one operation, if measured
    note: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """A subject without figures, and why."""

    section: Section
    subject: str
    reason: str
    failed: bool  # rather than not installed


def summarize(
    spans: Spans,
    *,
    section: Section,
    subject: str,
    operation: str,
    in_flight: int,
    operations_per_call: int = 1,
    used: ProcessorTime | None = None,
    note: str = "",
) -> Measurement:
    """Return the row for *spans*."""
    operations = len(spans.calls) * operations_per_call
    return Measurement(
        section=section,
        subject=subject,
        operation=operation,
        in_flight=in_flight,
        per_second=operations * NANOS_PER_SECOND // spans.elapsed,
        p50_micros=spans.quantile_micros(50),
        p99_micros=spans.quantile_micros(99),
        calls=len(spans.calls),
        processor=None if used is None else used.for_each_of(operations),
        note=note,
    )


def median_rows(rows: Iterable[Measurement]) -> list[Measurement]:
    """
    Return one row for each thing measured: its median by rate, as it was.

    Of an even number of rounds it is the slower one of the middle two.
    """
    rounds: dict[tuple[Section, str, str, int], list[Measurement]] = {}
    for row in rows:
        what = (row.section, row.subject, row.operation, row.in_flight)
        rounds.setdefault(what, []).append(row)
    by_rate = attrgetter("per_second")
    return [sorted(same, key=by_rate)[(len(same) - 1) // 2] for same in rounds.values()]


async def closed_loop(callers: Sequence[Operation], *, seconds: float) -> Spans:
    """
    Let every caller repeat its operation for *seconds*; return the spans.

    Every caller makes at least one call, and none is cut off: the loop ends
    when the last answer is there.
    """
    began = perf_counter_ns()
    until = began + int(seconds * NANOS_PER_SECOND)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_repeat(caller, until)) for caller in callers]
    elapsed = perf_counter_ns() - began
    calls = sorted(span for task in tasks for span in task.result())
    return Spans(tuple(calls), elapsed)


async def _repeat(operation: Operation, until: int) -> list[int]:
    spans: list[int] = []
    now = perf_counter_ns()
    while now < until or not spans:
        began = now
        await operation()
        now = perf_counter_ns()
        spans.append(now - began)
    return spans


async def all_at_most(operations: Sequence[Operation], *, in_flight: int) -> Spans:
    """Run each of *operations* once, *in_flight* at a time; return the spans."""
    waiting = iter(operations)

    async def take() -> list[int]:
        spans: list[int] = []
        for operation in waiting:
            began = perf_counter_ns()
            await operation()
            spans.append(perf_counter_ns() - began)
        return spans

    began = perf_counter_ns()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(take()) for _ in range(in_flight)]
    elapsed = perf_counter_ns() - began
    calls = sorted(span for task in tasks for span in task.result())
    return Spans(tuple(calls), elapsed)
