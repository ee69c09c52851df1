"""How long a single write takes to be seen elsewhere, beside the distance."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from rich.table import Table

from cluster.demo.spans import Spans
from cluster.demo.stage import Stage
from kvnode.client import Client

WRITER = "tokyo"
SAMPLES = 300
PAUSE_SECONDS = 0.005
ARRIVAL_SECONDS = 20.0
PREFIX = "samples/"


async def measure_propagation(stage: Stage) -> None:
    """Write single keys at one node and time their arrival in watches at others."""
    narrator = stage.narrator
    narrator.step(
        f"Time {SAMPLES} single writes from {WRITER}",
        "Each is timed from the call of put until a watch at the other node reports"
        " it: two disks, one distance.",
    )
    others = stage.others(WRITER)
    arrivals: dict[str, dict[bytes, float]] = {name: {} for name in others}
    standing = {name: asyncio.Event() for name in others}
    watching = [
        asyncio.create_task(
            _collect(stage.clients[name], arrivals[name], standing[name])
        )
        for name in others
    ]
    sent: dict[bytes, float] = {}
    local: list[float] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(ARRIVAL_SECONDS):
            await asyncio.gather(*(event.wait() for event in standing.values()))
            await _write(stage, sent, local)
            await asyncio.gather(*watching)
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)

    _show(stage, local, {name: _spans(sent, arrivals[name]) for name in others})
    for name in others:
        narrator.claim(
            f"every write was seen in {name}",
            f"{len(arrivals[name])} of {SAMPLES}",
            holds=len(sent) == SAMPLES and arrivals[name].keys() >= sent.keys(),
        )


async def _collect(
    client: Client, arrivals: dict[bytes, float], standing: asyncio.Event
) -> None:
    """Note when each key is first seen; end when all have been."""
    async for step in client.watch(PREFIX):
        now = monotonic()
        standing.set()  # the first step, often empty, says that the watch stands
        for change in step.changes:
            arrivals.setdefault(change.key, now)
        if len(arrivals) >= SAMPLES:
            return


async def _write(stage: Stage, sent: dict[bytes, float], local: list[float]) -> None:
    client = stage.clients[WRITER]
    for number in range(SAMPLES):
        key, value = f"{PREFIX}{number:04}", f"sample {number}"
        began = monotonic()
        await client.put(key, value)
        local.append(monotonic() - began)
        sent[key.encode()] = began
        stage.acknowledged[key.encode()] = value.encode()
        await asyncio.sleep(PAUSE_SECONDS)


def _spans(sent: dict[bytes, float], arrivals: dict[bytes, float]) -> Sequence[float]:
    return [arrivals[key] - began for key, began in sent.items() if key in arrivals]


def _show(
    stage: Stage, local: Sequence[float], remote: dict[str, Sequence[float]]
) -> None:
    table = Table(box=None, padding=(0, 1, 0, 2), header_style="dim")
    table.add_column("", no_wrap=True)
    for heading in ("one way", "p50", "p99", "longest", "p50 beyond"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = [(f"{WRITER} answers", 0, local)]
    rows += [
        (f"{name} sees it", stage.distance(WRITER, name), spans)
        for name, spans in remote.items()
    ]
    for label, distance, measured in rows:
        if not measured:
            table.add_row(label, f"{distance} ms", "-", "-", "-", "-")
            continue
        spans = Spans.of(measured)
        figures = (spans.p50, spans.p99, spans.longest, spans.p50 - distance)
        table.add_row(label, f"{distance} ms", *(f"{span:.1f} ms" for span in figures))
    stage.narrator.show(table)
