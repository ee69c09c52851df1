"""All cities written in one place, and seen to arrive in the others."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from cluster.demo.cities import City
from cluster.demo.stage import Stage
from kvnode.client import Client, Put

WRITER = "tokyo"
BATCH_CITIES = 500
BATCHES_IN_FLIGHT = 4
POLL_SECONDS = 0.1
ARRIVAL_SECONDS = 60.0


async def load_cities(stage: Stage, cities: Sequence[City]) -> None:
    """Write *cities* at one node; wait until all nodes have as many entries more."""
    narrator = stage.narrator
    narrator.step(
        f"Load {len(cities):,} cities at {WRITER}",
        f"JSON values with metadata, in batches of {BATCH_CITIES}. {WRITER} answers"
        " when a batch is on its own disk; the others are told afterwards.",
    )
    began = monotonic()
    arrived: dict[str, float] = {}
    with _progress(stage) as progress:
        watching = [
            asyncio.create_task(
                _count_arrivals(
                    name,
                    client,
                    len(cities),
                    arrived,
                    progress,
                    progress.add_task(name, total=len(cities)),
                )
            )
            for name, client in stage.clients.items()
        ]
        try:
            await _write(stage, cities)
            written = monotonic() - began
            with suppress(TimeoutError):
                async with asyncio.timeout(ARRIVAL_SECONDS):
                    await asyncio.gather(*watching)
        finally:
            for task in watching:
                task.cancel()
    narrator.claim(
        f"{WRITER} took {len(cities):,} writes",
        f"{written:.1f} s, {len(cities) / written:,.0f} writes/s",
        holds=len(stage.acknowledged) == len(cities),
    )
    for name in stage.others(WRITER):
        there = name in arrived
        behind = f"{arrived[name] - began - written:+.2f} s" if there else "never"
        narrator.claim(
            f"all of them arrived in {name}",
            f"{behind} after the last acknowledgement",
            holds=there,
        )


def _progress(stage: Stage) -> Progress:
    return Progress(
        TextColumn("  {task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=stage.narrator.console,
    )


async def _write(stage: Stage, cities: Sequence[City]) -> None:
    """Write *cities* in batches, several in flight; note what is acknowledged."""
    starts = iter(range(0, len(cities), BATCH_CITIES))
    client = stage.clients[WRITER]

    async def work() -> None:
        for start in starts:
            batch = cities[start : start + BATCH_CITIES]
            await client.batch(
                [Put(city.key, city.value, metadata=city.metadata) for city in batch]
            )
            stage.acknowledged.update(
                (city.key.encode(), city.value.encode()) for city in batch
            )

    await asyncio.gather(*(work() for _ in range(BATCHES_IN_FLIGHT)))


async def _count_arrivals(  # noqa: PLR0913, PLR0917 - a bar and what moves it
    name: str,
    client: Client,
    expected: int,
    arrived: dict[str, float],
    progress: Progress,
    bar: TaskID,
) -> None:
    """Move the node's bar until it has *expected* entries more than at first."""
    before = (await client.status()).entry_count
    while True:
        found = (await client.status()).entry_count - before
        progress.update(bar, completed=min(found, expected))
        if found >= expected:
            arrived[name] = monotonic()
            return
        await asyncio.sleep(POLL_SECONDS)
