"""
What a node with many keys takes: memory, disk, and time to be back.

A node's resident memory has two parts.  Private memory is what it cannot give
back.  The rest is pages of the store that LMDB has mapped, which the kernel takes
away when somebody needs the room; `RSS` alone would make any large store look
hungry.

The restarts find the store's pages in the page cache, as after a crash of the
process; after a crash of the machine, reading them from the disk comes on top.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from hashlib import shake_128
from pathlib import Path
from random import Random
from time import perf_counter_ns

import psutil

from tests.benchmarks.dataset import SEED, VALUE_BYTES
from tests.benchmarks.measurement import (
    NANOS_PER_SECOND,
    Operation,
    WrongAnswerError,
    all_at_most,
)
from tests.benchmarks.systems.kvnode_cluster import KvnodeStore, Node, connected
from tests.benchmarks.systems.process import free_ports
from tests.benchmarks.systems.subject import Store

BATCH_SIZE = 1000
IN_FLIGHT = 4
SAMPLE_INTERVAL_SECONDS = 0.1
READ_BACK_COUNT = 1000
BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system's


@dataclass(frozen=True, slots=True)
class ScaleFact:
    """One figure of a node with many keys."""

    what: str
    value: int
    unit: str


@dataclass(frozen=True, slots=True)
class _Memory:
    resident: int
    private: int


async def measure_scale(directory: Path, *, key_count: int) -> list[ScaleFact]:
    """
    Load *key_count* keys into one node with fsync; restart it twice.

    Raises:
        WrongAnswerError: A key was not there, or held something else.
        ServerError: The node did not start.
    """
    (port,) = free_ports(1)
    node = Node("scale", port, directory / "scale")
    facts: list[ScaleFact] = []
    try:
        await node.start()
        before = _memory(node.pid)
        async with connected(node) as store:
            elapsed, peak = await _watched(node.pid, _load(store, key_count))
            await _read_back(store, key_count)
        after = _memory(node.pid)
        facts += [
            ScaleFact("keys", key_count, "of 24 + 100 bytes"),
            ScaleFact("load", key_count * NANOS_PER_SECOND // elapsed, "keys/s"),
            *_memory_facts("before", before),
            *_memory_facts("at most during the load", peak),
            *_memory_facts("after", after),
            ScaleFact("disk in use", _disk_bytes(node.data_directory), "bytes"),
        ]
        await node.kill()
        facts += await _restart("after SIGKILL", node, key_count)
        began = perf_counter_ns()
        await node.stop()
        facts.append(ScaleFact("clean stop", _millis_since(began), "ms"))
        facts += await _restart("after a clean stop", node, key_count)
    finally:
        await node.stop()
    return facts


def pair(number: int) -> tuple[bytes, bytes]:
    """Return the key and the value of that number, from 0 to below 2^40."""
    # A bijection on the numbers below 2^40 scatters the keys over the tree.
    scattered = number * 0x9E3779B97F4A7C15 % (1 << 40)
    key = f"scale/{scattered:018}".encode()
    return key, shake_128(key).digest(VALUE_BYTES)


async def _load(store: Store, key_count: int) -> None:
    def loader(first: int) -> Operation:
        async def load() -> None:
            last = min(first + BATCH_SIZE, key_count)
            await store.put_many([pair(number) for number in range(first, last)])

        return load

    loads = [loader(first) for first in range(0, key_count, BATCH_SIZE)]
    await all_at_most(loads, in_flight=IN_FLIGHT)


async def _read_back(store: KvnodeStore, key_count: int) -> None:
    rng = Random(SEED)
    for _ in range(min(READ_BACK_COUNT, key_count)):
        key, value = pair(rng.randrange(key_count))
        if await store.get(key) != value:
            msg = f"{key!r} does not hold what was put"
            raise WrongAnswerError(msg)


async def _watched(pid: int, work: Awaitable[None]) -> tuple[int, _Memory]:
    """Await *work*; return how many ns it took and the most memory seen."""
    process = psutil.Process(pid)
    seen = [_memory_of(process)]

    async def watch() -> None:
        while True:
            await asyncio.sleep(SAMPLE_INTERVAL_SECONDS)
            seen.append(_memory_of(process))

    watching = asyncio.create_task(watch())
    began = perf_counter_ns()
    try:
        await work
        elapsed = perf_counter_ns() - began
    finally:
        watching.cancel()
    resident = max(memory.resident for memory in seen)
    return elapsed, _Memory(resident, max(memory.private for memory in seen))


async def _restart(when: str, node: Node, key_count: int) -> list[ScaleFact]:
    began = perf_counter_ns()
    await node.start()
    serving = _millis_since(began)
    async with connected(node) as store:
        key, value = pair(key_count - 1)
        if await store.get(key) != value:
            msg = f"{key!r} is gone {when}"
            raise WrongAnswerError(msg)
        answered = _millis_since(began)
        await _read_back(store, key_count)
    return [
        ScaleFact(f"start {when}: SERVING", serving, "ms"),
        ScaleFact(f"start {when}: first get", answered, "ms"),
        *_memory_facts(f"{when}", _memory(node.pid)),
    ]


def _memory(pid: int) -> _Memory:
    return _memory_of(psutil.Process(pid))


def _memory_of(process: psutil.Process) -> _Memory:
    memory = process.memory_info()
    return _Memory(memory.rss, memory.rss - memory.shared)


def _memory_facts(when: str, memory: _Memory) -> list[ScaleFact]:
    return [
        ScaleFact(f"RSS {when}", memory.resident >> 20, "MiB"),
        ScaleFact(f"private part of it {when}", memory.private >> 20, "MiB"),
    ]


def _disk_bytes(directory: Path) -> int:
    files = (path.stat() for path in directory.rglob("*") if path.is_file())
    return sum(one.st_blocks * BLOCK_BYTES for one in files)


def _millis_since(began: int) -> int:
    return (perf_counter_ns() - began) // 1_000_000
