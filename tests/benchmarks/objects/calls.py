"""
How fast objects of three nodes are: increments and reads, by one caller and by many.

Each increment is durable at two of three nodes before it is answered.  A read is
answered under the leader's lease, or, at nodes without leases, when a majority has
confirmed the lead by a round of messages, which reads that wait at the same time share.
A call of an object on another node, which its client does not know to lead, is sent on
by the node that is asked.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from kvnode.client import Client
from tests.benchmarks.fact import Fact
from tests.benchmarks.measurement import (
    Measurement,
    Operation,
    Section,
    closed_loop,
    summarize,
)
from tests.benchmarks.objects.three_nodes import client_of, leader_of, three_nodes
from tests.benchmarks.systems.etcd_cluster import etcd_subjects

CALLERS = (1, 32, 64)
MANY_OBJECTS = 100
WARM_UP_SECONDS = 0.5
SUBJECT = "kvnode, 3 nodes"
UNLEASED = "kvnode, 3 nodes, no leases"
ETCD = "etcd, 3 nodes"


def _names() -> list[str]:
    return [f"c{number}" for number in range(MANY_OBJECTS)]


_READS = (
    ("read, one object", ["c0"]),
    (f"read, {MANY_OBJECTS} objects", _names()),
)


async def measure_calls(directory: Path, *, seconds: float) -> list[Measurement]:
    """Return the rows of our nodes."""
    rows: list[Measurement] = []
    async with three_nodes(directory) as cluster:
        first = cluster.topology.names[0]
        leader = await leader_of(cluster, first, "c0")
        others = [name for name in cluster.topology.names if name != leader]
        async with client_of(cluster, leader, *others) as client:
            for callers in CALLERS:
                for what, names in (
                    ("increment, one object", ["c0"]),
                    (f"increment, {MANY_OBJECTS} objects", _names()),
                    *_READS,
                ):
                    operation = increment if what.startswith("inc") else _read
                    rows.append(
                        await _row(
                            client,
                            what,
                            operation,
                            names,
                            callers=callers,
                            seconds=seconds,
                        )
                    )
        # A client that knows one node alone, which does not lead.
        async with client_of(cluster, others[0]) as client:
            rows += [
                await _row(
                    client,
                    "increment, sent on",
                    increment,
                    ["c0"],
                    callers=callers,
                    seconds=seconds,
                )
                for callers in CALLERS
            ]
    return rows


async def measure_confirmed_reads(
    directory: Path, *, seconds: float
) -> list[Measurement]:
    """Return the rows of nodes that confirm each read by a round of messages."""
    async with three_nodes(directory, {"objects_lease_ms": 0}) as cluster:
        names = cluster.topology.names
        leader = await leader_of(cluster, names[0], "c0")
        others = [name for name in names if name != leader]
        async with client_of(cluster, leader, *others) as client:
            return [
                await _row(
                    client,
                    what,
                    _read,
                    counters,
                    callers=callers,
                    seconds=seconds,
                    subject=UNLEASED,
                )
                for callers in CALLERS
                for what, counters in _READS
            ]


def compared_with_leases(rows: Sequence[Measurement]) -> list[Fact]:
    """Return how reads by confirmation stand to reads under leases."""
    leased = {
        (row.operation, row.in_flight): row for row in rows if row.subject == SUBJECT
    }
    return [
        Fact(
            Section.OBJECTS,
            "no leases / leases",
            f"{row.operation}, {row.in_flight} callers, per second",
            round(row.per_second / other.per_second, 2),
            "x",
        )
        for row in rows
        if row.subject == UNLEASED
        and (other := leased.get((row.operation, row.in_flight))) is not None
    ]


async def measure_etcd_puts(directory: Path, *, seconds: float) -> list[Measurement]:
    """Return etcd's rows: puts of one key, with the client at the leader."""
    (three,) = (subject for subject in etcd_subjects() if subject.nodes > 1)
    rows: list[Measurement] = []
    async with three.open(directory) as store:
        for callers in CALLERS:
            put = partial(store.put, b"counter", b"1")
            await closed_loop([put] * callers, seconds=WARM_UP_SECONDS)
            spans = await closed_loop([put] * callers, seconds=seconds)
            rows.append(
                summarize(
                    spans,
                    section=Section.OBJECTS,
                    subject=ETCD,
                    operation="put, one key",
                    in_flight=callers,
                )
            )
    return rows


def compared_with_etcd(rows: Sequence[Measurement]) -> list[Fact]:
    """Return how our increments stand to etcd's puts, at the same number of callers."""
    puts = {row.in_flight: row for row in rows if row.subject == ETCD}
    return [
        Fact(
            Section.OBJECTS,
            f"{row.subject} / {ETCD}",
            f"{row.operation}, {row.in_flight} callers, per second",
            round(row.per_second / puts[row.in_flight].per_second, 2),
            "x",
        )
        for row in rows
        if row.subject == SUBJECT
        and row.operation.startswith("increment")
        and row.in_flight in puts
    ]


async def _row(
    client: Client,
    what: str,
    operation: Callable[[Client, Sequence[str]], Operation],
    names: Sequence[str],
    *,
    callers: int,
    seconds: float,
    subject: str = SUBJECT,
) -> Measurement:
    shares = [names[number % len(names) :: callers] for number in range(callers)]
    work = [operation(client, share or names) for share in shares]
    await closed_loop(work, seconds=WARM_UP_SECONDS)
    return summarize(
        await closed_loop(work, seconds=seconds),
        section=Section.OBJECTS,
        subject=subject,
        operation=what,
        in_flight=callers,
    )


def increment(client: Client, names: Sequence[str]) -> Operation:
    """Return an operation that increments one after another of the counters."""
    counters = [client.object("Counter", name) for name in names]
    turn = iter(range(1 << 62))

    async def increment_next() -> None:
        await counters[next(turn) % len(counters)].increment()

    return increment_next


def _read(client: Client, names: Sequence[str]) -> Operation:
    counters = [client.object("Counter", name) for name in names]
    turn = iter(range(1 << 62))

    async def read() -> None:
        await counters[next(turn) % len(counters)].value()

    return read
