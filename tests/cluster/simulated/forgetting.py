"""What scenarios of forgetting have in common: small clusters that forget quickly."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from cluster.simulated.cluster import SimulatedCluster
from cluster.simulated.running import run
from kvnode.client import Value
from kvnode.types import Namespace

T = TypeVar("T")

SETTINGS = {
    "forget_interval_ms": 100,
    "delta_interval_ms": 200,
    "delta_page_bytes": 4096,
    "namespaces": ("default", "mine"),
}
REST_SECONDS_MAX = 60.0


def forgetful(
    main: Callable[[SimulatedCluster], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    seconds_max: float = 3600.0,
) -> T:
    """Run *main* on three nodes that forget within a second; no rule may be broken."""

    async def judged(cluster: SimulatedCluster) -> T:
        await cluster.start_all()
        result = await main(cluster)
        violations = cluster.violations()
        assert violations == ()
        return result

    return run(judged, seed=seed, settings=SETTINGS, seconds_max=seconds_max)


async def rested(cluster: SimulatedCluster) -> None:
    """Return when nothing is to come any more: all is equal, and all is forgotten."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + REST_SECONDS_MAX
    while cluster.unrest() and loop.time() < deadline:  # noqa: ASYNC110 -- nothing says when
        await asyncio.sleep(0.1)
    assert cluster.unrest() == ""


async def fill(cluster: SimulatedCluster, node: str, keys: Iterable[str]) -> None:
    """Put a value of 200 bytes under each of *keys*."""
    client = cluster.client(f"filler-{node}", node)
    for key in keys:
        await client.put(key, "v" * 200)
    await client.close()


async def read(cluster: SimulatedCluster, key: str) -> list[bytes | None]:
    """Return what each node says is under *key*."""
    values: list[Value | None] = []
    for name in cluster.names:
        client = cluster.client(f"reader-{name}", name)
        values.append(await client.get(key))
        await client.close()
    return [None if value is None else value.value for value in values]


def held(cluster: SimulatedCluster, node: str) -> frozenset[bytes]:
    """Return the keys of which *node* has stored anything, deletions too."""
    with cluster.node(node).disk.undamaged() as view:
        return frozenset(key for key, _ in view.scan(Namespace("default")))


def rescued(cluster: SimulatedCluster, node: str) -> frozenset[bytes]:
    """Return the keys of which *node* has put something aside."""
    disk = cluster.node(node).disk
    return frozenset(key.key for key, _ in disk.rescued)
