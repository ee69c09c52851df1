"""
How fast increments are at one node, beside real workerd and miniflare on a local disk.

All keep a counter under a key and answer when the increment is on the disk; ours is
called over gRPC, where the client library joins calls, and theirs over HTTP, through a
Worker and with a connection for each caller, as that is how either is called.  None
keeps a second copy: three nodes are in `calls`.  Miniflare is workerd as developers run
it, by node.
"""

import asyncio
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from shutil import copy
from typing import Final, Self

from kvnode.client import Client
from tests.benchmarks.fact import Fact
from tests.benchmarks.measurement import (
    Measurement,
    Operation,
    Section,
    WrongAnswerError,
    closed_loop,
    summarize,
)
from tests.benchmarks.objects.three_nodes import client_of, serving_nodes
from tests.benchmarks.systems.process import (
    NotInstalledError,
    ServerProcess,
    accepts_connections,
    free_ports,
)
from tests.system.workerd_process import workerd, workerd_path

CALLERS: Final = (1, 32, 64)
WARM_UP_SECONDS: Final = 0.5
SUBJECT: Final = "kvnode, 1 node"
WORKERD: Final = "workerd, local disk"
MINIFLARE: Final = "miniflare, local disk"
HOST: Final = "127.0.0.1"

_MINIFLARE: Final = Path(__file__).parents[3] / ".tools" / "miniflare"
_MINIFLARE_SCRIPT: Final = Path(__file__).with_name("miniflare.mjs")
_COUNTER: Final = Path(__file__).with_name("counter.js")
_CONFIGURATION: Final = """
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "counters", worker = .counters),
    (name = "disk", disk = (path = "objects", writable = true)),
  ],
  sockets = [(name = "http", address = "%s", http = (), service = "counters")],
);

const counters :Workerd.Worker = (
  modules = [(name = "counter.js", esModule = embed "counter.js")],
  compatibilityDate = "2026-06-01",
  durableObjectNamespaces = [
    (className = "Counter", uniqueKey = "counter", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [(name = "COUNTER", durableObjectNamespace = "Counter")],
);
"""


class Caller:
    """A connection of HTTP/1.1 that is kept, with one request at a time."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._last = 0

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Open a connection."""
        return cls(*await asyncio.open_connection(HOST, port))

    async def increment(self, name: str) -> None:
        """
        Add one to a counter.

        Raises:
            WrongAnswerError: It does not count.
        """
        request = f"GET /{name} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
        self._writer.write(request.encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = dict(
            line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:-2]
        )
        body = await self._reader.readexactly(int(lines["content-length"]))
        if not head.startswith(b"HTTP/1.1 200") or int(body) <= self._last:
            msg = f"the counter {name} says {body!r} after {self._last}"
            raise WrongAnswerError(msg)
        self._last = int(body)

    def close(self) -> None:
        """End the connection."""
        self._writer.close()


async def measure_one_node(directory: Path, *, seconds: float) -> list[Measurement]:
    """Return the rows of a node by itself."""
    async with serving_nodes(directory, 1) as cluster, client_of(cluster) as client:
        return [
            await _row(SUBJECT, [_ours(client)] * callers, seconds=seconds)
            for callers in CALLERS
        ]


async def measure_workerd(directory: Path, *, seconds: float) -> list[Measurement]:
    """
    Return workerd's rows.

    Raises:
        NotInstalledError: It is not there.
    """
    if workerd_path() is None:
        msg = "workerd is not installed: make workerd"
        raise NotInstalledError(msg)
    (port,) = free_ports(1)
    (directory / "objects").mkdir()
    copy(_COUNTER, directory)
    (directory / "config.capnp").write_text(_CONFIGURATION % f"{HOST}:{port}")
    async with workerd(directory, port):
        return await _rows_over_http(WORKERD, port, seconds=seconds)


async def measure_miniflare(directory: Path, *, seconds: float) -> list[Measurement]:
    """
    Return miniflare's rows.

    Raises:
        NotInstalledError: It is not there.
        ServerError: It did not come up.
    """
    node = _MINIFLARE / "node_modules" / ".bin" / "node"
    if not node.exists():
        msg = "miniflare is not installed: make miniflare"
        raise NotInstalledError(msg)
    (port,) = free_ports(1)
    process = ServerProcess(
        [str(node), str(_MINIFLARE_SCRIPT), str(port), str(directory / "objects")],
        log=directory / "miniflare.log",
        environment={**os.environ, "MINIFLARE": str(_MINIFLARE)},
    )
    try:
        await process.wait_until(lambda: accepts_connections(port))
        return await _rows_over_http(MINIFLARE, port, seconds=seconds)
    finally:
        await process.stop()


async def _rows_over_http(
    subject: str, port: int, *, seconds: float
) -> list[Measurement]:
    connections = [await Caller.connect(port) for _ in range(max(CALLERS))]
    try:
        work = [partial(each.increment, "c0") for each in connections]
        return [
            await _row(subject, work[:callers], seconds=seconds) for callers in CALLERS
        ]
    finally:
        for each in connections:
            each.close()


def compared_with_others(rows: Sequence[Measurement]) -> list[Fact]:
    """Return how our increments stand to theirs, at the same number of callers."""
    others = {
        (row.subject, row.in_flight): row
        for row in rows
        if row.subject in {WORKERD, MINIFLARE}
    }
    return [
        Fact(
            Section.OBJECTS,
            f"{SUBJECT} / {theirs}",
            f"{row.operation}, {row.in_flight} callers, per second",
            round(row.per_second / others[theirs, row.in_flight].per_second, 2),
            "x",
        )
        for theirs in (WORKERD, MINIFLARE)
        for row in rows
        if row.subject == SUBJECT and (theirs, row.in_flight) in others
    ]


def _ours(client: Client) -> Operation:
    counter = client.object("Counter", "c0")

    async def increment() -> None:
        await counter.increment()

    return increment


async def _row(
    subject: str, work: Sequence[Operation], *, seconds: float
) -> Measurement:
    await closed_loop(work, seconds=WARM_UP_SECONDS)
    return summarize(
        await closed_loop(work, seconds=seconds),
        section=Section.OBJECTS,
        subject=subject,
        operation="increment, one object",
        in_flight=len(work),
    )
