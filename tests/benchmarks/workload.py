"""
The same work for every store: gets, puts, and a bulk load, each judged.

Every get must return the value that was put.  After the puts, and after the
load, the last value of each key must be found at every node; for a store that
replicates in the background, the time until it is found is a note on the row.
"""

import asyncio
from collections.abc import Collection, Sequence
from itertools import cycle
from time import perf_counter_ns

from tests.benchmarks.dataset import KEY_COUNT, Dataset, draw
from tests.benchmarks.measurement import (
    NANOS_PER_SECOND,
    Measurement,
    Operation,
    Section,
    WrongAnswerError,
    all_at_most,
    closed_loop,
    summarize,
)
from tests.benchmarks.processor_time import processor_time
from tests.benchmarks.systems.subject import Read, Store, Subject

CALLERS = (1, 64)
BULK_PAIRS = 50_000
BULK_IN_FLIGHT = 4
SAMPLE_SIZE = 500
READ_BACK_IN_FLIGHT = 64
WARM_UP_SECONDS = 0.5
CONVERGENCE_SECONDS_MAX = 30.0
POLL_SECONDS = 0.001


async def measure_store(
    subject: Subject, store: Store, sections: Collection[Section], *, seconds: float
) -> list[Measurement]:
    """
    Return the rows of *sections* for one open store.

    Raises:
        WrongAnswerError: The store lost or changed a value.
    """
    rows: list[Measurement] = []
    dataset = draw("bench", KEY_COUNT)
    await _load(store, dataset, batch_size=subject.batch_sizes[0])
    if Section.GETS in sections:
        rows += await _gets(subject, store, dataset, seconds=seconds)
    if Section.PUTS in sections:
        rows += await _puts(subject, store, dataset, seconds=seconds)
    if Section.BULK in sections:
        rows += [await _bulk(subject, store, size) for size in subject.batch_sizes]
    return rows


async def _load(store: Store, dataset: Dataset, *, batch_size: int) -> None:
    for batch in _batches(dataset, batch_size):
        await store.put_many(batch)
    await _found_everywhere(store, _sampled_pairs(dataset))


def _sampled_pairs(dataset: Dataset) -> list[tuple[bytes, bytes]]:
    indexes = dataset.sample(SAMPLE_SIZE)
    return [(dataset.keys[index], dataset.values[index]) for index in indexes]


async def _gets(
    subject: Subject, store: Store, dataset: Dataset, *, seconds: float
) -> list[Measurement]:
    rows = []
    for name, read in store.reads.items():
        for callers in CALLERS:
            readers = [
                _reader(read, dataset, dataset.order(caller, callers))
                for caller in range(callers)
            ]
            await closed_loop(readers, seconds=WARM_UP_SECONDS)
            before = processor_time(store.server_pids)
            spans = await closed_loop(readers, seconds=seconds)
            after = processor_time(store.server_pids)
            row = summarize(
                spans,
                section=Section.GETS,
                subject=subject.name,
                operation=name,
                in_flight=callers,
                used=after.since(before),
            )
            rows.append(row)
    return rows


def _reader(read: Read, dataset: Dataset, order: Sequence[int]) -> Operation:
    pairs = cycle([(dataset.keys[index], dataset.values[index]) for index in order])

    async def get() -> None:
        key, expected = next(pairs)
        if await read(key) != expected:
            msg = f"{key!r} does not hold what was put"
            raise WrongAnswerError(msg)

    return get


async def _puts(
    subject: Subject, store: Store, dataset: Dataset, *, seconds: float
) -> list[Measurement]:
    rows = []
    for callers in CALLERS:
        last = dict(dataset.pairs())
        writers = [
            _writer(store, dataset, dataset.order(caller, callers), last)
            for caller in range(callers)
        ]
        await closed_loop(writers, seconds=WARM_UP_SECONDS)
        before = processor_time(store.server_pids)
        spans = await closed_loop(writers, seconds=seconds)
        after = processor_time(store.server_pids)
        expected = [(key, last[key]) for key, _ in _sampled_pairs(dataset)]
        note = await _found_everywhere(store, expected)
        row = summarize(
            spans,
            section=Section.PUTS,
            subject=subject.name,
            operation="put",
            in_flight=callers,
            used=after.since(before),
            note=note,
        )
        rows.append(row)
        await _load(store, dataset, batch_size=subject.batch_sizes[0])
    return rows


def _writer(
    store: Store, dataset: Dataset, order: Sequence[int], last: dict[bytes, bytes]
) -> Operation:
    """Put other keys' values, and note in *last* what each key must hold now."""
    keys = cycle([dataset.keys[index] for index in order])
    values = cycle(dataset.values[:-1])  # a length that the order's does not divide

    async def put() -> None:
        key, value = next(keys), next(values)
        await store.put(key, value)
        last[key] = value

    return put


async def _bulk(subject: Subject, store: Store, batch_size: int) -> Measurement:
    dataset = draw(f"bulk-{batch_size}", BULK_PAIRS)
    loads = [_loader(store, batch) for batch in _batches(dataset, batch_size)]
    before = processor_time(store.server_pids)
    spans = await all_at_most(loads, in_flight=BULK_IN_FLIGHT)
    after = processor_time(store.server_pids)
    note = await _found_everywhere(store, _sampled_pairs(dataset))
    return summarize(
        spans,
        section=Section.BULK,
        subject=subject.name,
        operation=f"load, {batch_size} a batch",
        in_flight=BULK_IN_FLIGHT,
        operations_per_call=batch_size,
        used=after.since(before),
        note=note,
    )


def _loader(store: Store, batch: Sequence[tuple[bytes, bytes]]) -> Operation:
    async def load() -> None:
        await store.put_many(batch)

    return load


def _batches(dataset: Dataset, batch_size: int) -> list[Sequence[tuple[bytes, bytes]]]:
    pairs = dataset.pairs()
    return [
        pairs[first : first + batch_size] for first in range(0, len(pairs), batch_size)
    ]


def _checker(read: Read, key: bytes, value: bytes, deadline: int) -> Operation:
    async def check() -> None:
        while await read(key) != value:
            if perf_counter_ns() > deadline:
                msg = f"{key!r} does not hold what was put last"
                raise WrongAnswerError(msg)
            await asyncio.sleep(POLL_SECONDS)

    return check


async def _found_everywhere(store: Store, pairs: Sequence[tuple[bytes, bytes]]) -> str:
    """
    Wait until every node returns all of *pairs*; return a note on how long.

    Raises:
        WrongAnswerError: One does not within 30 s.
    """
    began = perf_counter_ns()
    deadline = began + int(CONVERGENCE_SECONDS_MAX * NANOS_PER_SECOND)
    for read in store.replicas:
        checks = [_checker(read, key, value, deadline) for key, value in pairs]
        await all_at_most(checks, in_flight=READ_BACK_IN_FLIGHT)
    millis = (perf_counter_ns() - began) // 1_000_000
    nodes = len(store.replicas)
    return f"read back at {nodes} nodes within {millis} ms" if nodes > 1 else ""
