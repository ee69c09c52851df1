"""States of shards to test: those in memory, and those on disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kvnode.storage.shards.memory_shard_state import MemoryShardStates
from kvnode.storage.shards.sqlite_shard_states import SqliteShardStates
from kvnode.storage.shards.state_port import ShardStates


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[SqliteShardStates]:
    """States in SQLite files under tmp_path / "states"."""
    states = SqliteShardStates(tmp_path / "states")
    yield states
    states.close()


@pytest.fixture(params=["memory", "sqlite"])
def states(
    request: pytest.FixtureRequest, on_disk: SqliteShardStates
) -> Iterator[ShardStates]:
    """States of either kind."""
    if request.param == "sqlite":
        yield on_disk
    else:
        yield MemoryShardStates()
