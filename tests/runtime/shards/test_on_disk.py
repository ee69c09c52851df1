"""A host on real files, which starts again behind a log that was cut."""

import asyncio
from itertools import count
from pathlib import Path
from random import Random

import pytest

from kvnode.authority.local_authority import LocalAuthority
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.messages import PeerMessage
from kvnode.core.objects.settings import ShardSettings
from kvnode.runtime.shards import host as host_module
from kvnode.runtime.shards.host import ShardHost
from kvnode.runtime.shards.state import compaction
from kvnode.storage.shards.file_log_store import FileLogStore
from kvnode.storage.shards.sqlite_shard_states import SqliteShardStates
from kvnode.types import Millis, ReplicaId
from tests.runtime.shards.site import SHARD, change

OWN = ReplicaId(7)
HASTY = ShardSettings(
    heartbeat=Millis(2),
    patience=Millis(20),
    patience_spread=Millis(1),
    lease=Millis(0),
    lease_max=Millis(0),
)


class Alone:
    """The network and the listener of a node by itself."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()

    def send(self, peer: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Lose it."""

    def flush(self) -> None:
        """Do nothing."""

    def opened(self, shard: str, epoch: int, number: int) -> None:
        """Note it."""
        assert (shard, epoch > 1, number > 0) == (SHARD, True, True)
        self.is_open.set()

    def closed(self, shard: str, epoch: int) -> None:
        """Do nothing."""

    def committed(self, shard: str, number: int) -> None:
        """Do nothing."""

    def led(self, shard: str, leader: ReplicaId) -> None:
        """Do nothing: replicas are asked."""

    def applied(self, shard: str, number: int) -> None:
        """Do nothing."""


async def life(directory: Path, keys: range) -> tuple[int, int]:
    """Let a node write, and end; return its log's base, and how many rows it has."""
    store = FileLogStore.open(directory / "logs", random_replica=lambda: OWN)
    states = SqliteShardStates(directory / "states")
    authority = LocalAuthority(directory / "authority.json")
    await authority.swap(SHARD, None, Configuration(1, OWN, (OWN,)))
    alone = Alone()
    clock = count(1)  # of turns: however slow the disk is, nobody is impatient
    host = ShardHost(
        store,
        states,
        authority,
        alone,
        alone,
        settings=HASTY,
        uniform=Random(1).randint,
        steady=lambda: Millis(next(clock)),
    )
    host.replica(SHARD)
    running = asyncio.create_task(host.run())
    await alone.is_open.wait()
    await asyncio.gather(*(host.propose(SHARD, change(b"%06d" % key)) for key in keys))
    while host.replica(SHARD).log.base.number < keys.stop - 50:  # noqa: ASYNC110 -- nobody is told
        await asyncio.sleep(0.005)
    rows = host.state(SHARD).scan(b"", None, limit=1000)
    host.stop()
    await running
    base = host.replica(SHARD).log.base.number
    states.close()
    store.close()
    return base, len(rows)


async def test_node_starts_again_behind_a_log_that_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that it had."""
    monkeypatch.setattr(host_module, "TICK_SECONDS", 0.002)
    monkeypatch.setattr(compaction, "KEPT_ENTRIES", 20)
    monkeypatch.setattr(compaction, "CHECKPOINT_ENTRIES", 30)
    monkeypatch.setattr(compaction, "STEP_ENTRIES", 50)

    base, rows = await life(tmp_path, range(1, 201))
    assert rows == 200
    base_then, rows = await life(tmp_path, range(201, 301))
    assert rows == 300
    assert base_then > base
