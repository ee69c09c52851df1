"""
What LMDB itself does in one thread, with fsync, by operations a transaction.

A node puts all writes of a turn into one transaction (docs: "the road of one
put"), so its put rate lies between the rows for groups of 1 and of 1,000, less
what the rest of the road costs.  A read costs a look into a memory map.
"""

import asyncio
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from random import Random
from time import perf_counter_ns

import lmdb

from tests.benchmarks.dataset import SEED, Dataset
from tests.benchmarks.measurement import (
    NANOS_PER_SECOND,
    Measurement,
    Section,
    Spans,
    WrongAnswerError,
    summarize,
)

PUT_GROUPS = (1, 64, 1000)
GETS_PER_SNAPSHOT = (1, 64)
CALLS_PER_SPAN = 100  # reads are too short to be timed one by one
MAP_BYTES = 1 << 30
SUBJECT = "LMDB, one thread, fsync"


async def measure_lmdb(
    directory: Path, dataset: Dataset, *, seconds: float
) -> list[Measurement]:
    """Return rows for gets and puts, each measured for *seconds*."""
    return await asyncio.to_thread(_measure, directory, dataset, seconds=seconds)


def _measure(directory: Path, dataset: Dataset, *, seconds: float) -> list[Measurement]:
    with lmdb.open(str(directory), map_size=MAP_BYTES) as environment:
        puts = [
            _puts(environment, dataset, group=group, seconds=seconds)
            for group in PUT_GROUPS
        ]
        gets = [
            _gets(environment, dataset, group=group, seconds=seconds)
            for group in GETS_PER_SNAPSHOT
        ]
        return [*gets, *puts]


def _puts(
    environment: lmdb.Environment, dataset: Dataset, *, group: int, seconds: float
) -> Measurement:
    pairs = _shuffled(dataset)

    def put_group() -> None:
        with environment.begin(write=True) as transaction:
            for _ in range(group):
                transaction.put(*next(pairs))

    spans = _repeat(put_group, seconds=seconds)
    return summarize(
        spans,
        section=Section.CEILINGS,
        subject=SUBJECT,
        operation=f"put, {group} a transaction",
        in_flight=1,
        operations_per_call=group,
    )


def _gets(
    environment: lmdb.Environment, dataset: Dataset, *, group: int, seconds: float
) -> Measurement:
    pairs = _shuffled(dataset)
    with environment.begin(write=True) as transaction:
        for key, value in dataset.pairs():
            transaction.put(key, value)

    def get_groups() -> None:
        for _ in range(CALLS_PER_SPAN):
            with environment.begin() as snapshot:
                for _ in range(group):
                    key, value = next(pairs)
                    if snapshot.get(key) != value:
                        msg = f"LMDB returned something else for {key!r}"
                        raise WrongAnswerError(msg)

    spans = _repeat(get_groups, seconds=seconds)
    single = Spans(
        tuple(
            span // CALLS_PER_SPAN
            for span in spans.calls
            for _ in range(CALLS_PER_SPAN)
        ),
        spans.elapsed,
    )
    return summarize(
        single,
        section=Section.CEILINGS,
        subject=SUBJECT,
        operation=f"get, {group} a snapshot",
        in_flight=1,
        operations_per_call=group,
        note=f"quantiles of means of {CALLS_PER_SPAN}",
    )


def _shuffled(dataset: Dataset) -> Iterator[tuple[bytes, bytes]]:
    pairs = dataset.pairs()
    Random(SEED).shuffle(pairs)
    return cycle(pairs)


def _repeat(call: Callable[[], None], *, seconds: float) -> Spans:
    spans: list[int] = []
    began = now = perf_counter_ns()
    until = began + int(seconds * NANOS_PER_SECOND)
    while now < until:
        started = now
        call()
        now = perf_counter_ns()
        spans.append(now - started)
    return Spans(tuple(sorted(spans)), now - began)
