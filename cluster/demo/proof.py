"""The end of the story: all nodes hold the same, and nothing acknowledged is lost."""

import asyncio
from collections.abc import Mapping
from functools import partial
from time import monotonic

from rich.table import Table

from cluster.convergence import wait_until_equal
from cluster.demo.stage import Stage
from cluster.errors import NotConvergedError
from kvnode.client import Client

SETTLE_SECONDS = 30.0
DIGEST_SECONDS = 30.0


async def prove_equal(stage: Stage) -> None:
    """Compare clocks and digests of all nodes; read back all that was acknowledged."""
    narrator = stage.narrator
    narrator.step(
        "Prove that all three hold the same",
        "Every node computes a digest over all that it holds; then every acknowledged"
        " write is read back at every node and compared.",
    )
    try:
        agreement = await wait_until_equal(
            {
                name: partial(client.digest, deadline=DIGEST_SECONDS)
                for name, client in stage.clients.items()
            },
            SETTLE_SECONDS,
        )
    except NotConvergedError as error:
        narrator.claim("clocks and digests are equal", str(error), holds=False)
    else:
        narrator.claim(
            "clocks and digests are equal",
            f"{agreement.digest.digest.hex()[:16]}…,"
            f" {agreement.digest.live_count:,} live entries,"
            f" {agreement.waited_seconds:.2f} s after the last write",
            holds=True,
        )
    began = monotonic()
    found = await asyncio.gather(*(_contents(c) for c in stage.clients.values()))
    _compare(stage, dict(zip(stage.clients, found, strict=True)), monotonic() - began)


async def _contents(client: Client) -> dict[bytes, bytes]:
    """Read every key of a node, with its value."""
    return {item.key: item.value or b"" async for item in client.scan(values=True)}


def _compare(
    stage: Stage, contents: Mapping[str, Mapping[bytes, bytes]], seconds: float
) -> None:
    expected = stage.acknowledged
    table = Table(box=None, padding=(0, 3, 0, 2), header_style="dim")
    for heading in (
        "node",
        "keys",
        "acknowledged and there",
        "missing",
        "different",
    ):
        table.add_column(heading, justify="left" if heading == "node" else "right")
    lost = 0
    for name, held in contents.items():
        missing = sum(key not in held for key in expected)
        different = sum(
            held.get(key, value) != value for key, value in expected.items()
        )
        lost += missing + different
        right = len(expected) - missing - different
        figures = (len(held), right, missing, different)
        table.add_row(name, *(f"{figure:,}" for figure in figures))
    stage.narrator.show(table)
    counts = {len(held) for held in contents.values()}
    stage.narrator.claim(
        "all nodes hold the same keys",
        f"{' / '.join(f'{count:,}' for count in sorted(counts))} at each",
        holds=len({frozenset(held.items()) for held in contents.values()}) == 1,
    )
    stage.narrator.claim(
        "no acknowledged write is lost anywhere",
        f"{len(expected):,} writes read at {len(contents)} nodes in {seconds:.1f} s,"
        f" {lost} wrong",
        holds=lost == 0,
    )
