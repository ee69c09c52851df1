"""
The arithmetic of tests/benchmarks, whose own folder pytest does not enter.

A figure that is computed wrongly is worse than none.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.aims import judge
from tests.benchmarks.dataset import draw
from tests.benchmarks.measurement import (
    Measurement,
    Section,
    Spans,
    all_at_most,
    closed_loop,
    median_rows,
    summarize,
)
from tests.benchmarks.systems.subject import Family, Store, Subject

MICRO = 1000

spans_in_micros = st.lists(st.integers(0, 10**6), min_size=1, max_size=200)


@given(micros=spans_in_micros, percent=st.integers(1, 100))
def test_quantile_is_the_smallest_span_that_covers_its_share(
    micros: list[int], percent: int
) -> None:
    """The rank formula equals counting."""
    spans = Spans(tuple(sorted(one * MICRO for one in micros)), elapsed=1)

    naive = min(
        one
        for one in micros
        if 100 * sum(other <= one for other in micros) >= percent * len(micros)
    )

    assert spans.quantile_micros(percent) == naive


@settings(max_examples=20, deadline=None)  # thousands of draws for each caller
@given(callers=st.integers(1, 50))
def test_callers_never_share_a_key(callers: int) -> None:
    """Else the last value of a key would depend on who was faster."""
    dataset = draw("test", 50)

    owned = [set(dataset.order(caller, callers)) for caller in range(callers)]

    assert sum(map(len, owned)) == len(set().union(*owned))


def test_dataset_is_the_same_every_time() -> None:
    """Two runs measure the same."""
    assert draw("test", 10) == draw("test", 10)
    assert draw("test", 10).keys != draw("other", 10).keys


async def test_closed_loop_keeps_as_many_in_flight_as_there_are_callers() -> None:
    """Neither fewer nor more, and every call is counted."""
    in_flight: list[int] = []
    current = 0

    async def operation() -> None:
        nonlocal current
        current += 1
        in_flight.append(current)
        await asyncio.sleep(0)
        current -= 1

    spans = await closed_loop([operation] * 7, seconds=0.01)

    assert max(in_flight) == 7
    assert len(spans.calls) == len(in_flight)


async def test_load_runs_every_operation_once() -> None:
    """However few take turns at it."""
    done: list[int] = []

    def operation(number: int) -> "asyncio.Future[None]":
        done.append(number)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    operations = [lambda number=number: operation(number) for number in range(10)]
    spans = await all_at_most(operations, in_flight=3)

    assert sorted(done) == list(range(10))
    assert len(spans.calls) == 10


def test_rate_counts_operations_rather_than_calls() -> None:
    """Two calls of 50 operations in one second are 100 a second."""
    row = summarize(
        Spans((400_000_000, 600_000_000), elapsed=1_000_000_000),
        section=Section.BULK,
        subject="anything",
        operation="load",
        in_flight=1,
        operations_per_call=50,
    )

    assert (row.per_second, row.calls) == (100, 2)


def test_median_is_one_of_the_rounds_and_keeps_other_rows_apart() -> None:
    """Its quantiles belong to its rate."""
    etcd, redis = _subject(Family.ETCD, 3), _subject(Family.REDIS, 1)
    rounds = [_get_row(etcd, rate) for rate in (30, 10, 20)]

    rows = median_rows([*rounds, _get_row(redis, 5)])

    assert rows == [rounds[2], _get_row(redis, 5)]


@asynccontextmanager
async def _never_opened(directory: Path) -> AsyncIterator[Store]:
    msg = f"nothing is started in {directory}"
    raise AssertionError(msg)
    yield


def _subject(family: Family, nodes: int, durability: str = "fsync") -> Subject:
    return Subject(family, nodes, durability, (100,), _never_opened)


def _get_row(subject: Subject, per_second: int, operation: str = "get") -> Measurement:
    return Measurement(
        Section.GETS,
        subject.name,
        operation,
        in_flight=64,
        per_second=per_second,
        p50_micros=1,
        p99_micros=1,
        calls=1,
    )


@pytest.mark.parametrize(
    ("ours", "expected"),
    [(49, [False, True]), (50, [True, True]), (29, [False, False])],
)
def test_aim_is_judged_against_the_rivals_best_row(
    ours: int, expected: list[bool]
) -> None:
    """Etcd's weaker reads and Redis without fsync count if they are faster."""
    kvnode, etcd = _subject(Family.KVNODE, 3), _subject(Family.ETCD, 3)
    etcd_alone = _subject(Family.ETCD, 1)
    redis, redis_fast = (_subject(Family.REDIS, 1, one) for one in ("fsync", "no"))
    rows = [
        _get_row(kvnode, ours),
        _get_row(etcd, 5),
        _get_row(etcd, 10, "get (serializable)"),
        _get_row(etcd_alone, 1000),
        _get_row(redis, 2),
        _get_row(redis_fast, 10),
    ]
    subjects = {one.name: one for one in (kvnode, etcd, etcd_alone, redis, redis_fast)}

    verdicts = judge(rows, subjects)

    assert [verdict.is_met for verdict in verdicts] == expected


def test_aim_without_a_rival_is_not_judged() -> None:
    """A missing program is neither a pass nor a miss."""
    kvnode = _subject(Family.KVNODE, 3)

    assert judge([_get_row(kvnode, 100)], {kvnode.name: kvnode}) == []
