"""The applied states of a node's shards: a directory with an SQLite file for each."""

from pathlib import Path
from typing import Final

from kvnode.durable_file import sync_directory
from kvnode.storage.disk.directory_lock import DirectoryLock
from kvnode.storage.shards.sqlite.draft import delete_draft
from kvnode.storage.shards.sqlite.state_file import STATE_BYTES_MAX, beside
from kvnode.storage.shards.sqlite_shard_state import SqliteShardState
from kvnode.storage.shards.state_port import check_shard_name

_SUFFIX: Final = ".sqlite"


class SqliteShardStates:
    """See kvnode.storage.shards.state_port.ShardStates."""

    def __init__(self, directory: Path, *, bytes_max: int = STATE_BYTES_MAX) -> None:
        """
        Take *directory*, which is made if need be, for this process; blocks.

        Args:
            directory: Holds `<shard>.sqlite` and what SQLite puts beside.
            bytes_max: How large a file may get.

        Raises:
            UnavailableError: Another process has it.
            OSError: It cannot be made or locked.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._bytes_max = bytes_max
        self._lock = DirectoryLock(directory)
        self._states: dict[str, SqliteShardState] = {}

    def open(self, shard: str) -> SqliteShardState:
        """Return the state of *shard*; see the port."""
        check_shard_name(shard)
        state = self._states.get(shard)
        if state is None or state.is_closed:
            path = self._path(shard)
            state = SqliteShardState(path, bytes_max=self._bytes_max)
            self._states[shard] = state
        return state

    def shards(self) -> tuple[str, ...]:
        """Return the names of all that have a state, ascending."""
        files = self._directory.iterdir()
        names = (each.name for each in files if each.name.endswith(_SUFFIX))
        return tuple(sorted(name.removesuffix(_SUFFIX) for name in names))

    def drop(self, shard: str) -> None:
        """
        Close the state of *shard* and delete it, if there is one; see the port.

        The file goes first: what stands beside one that is not there is not used.
        """
        check_shard_name(shard)
        if (state := self._states.pop(shard, None)) is not None:
            state.close()
        path = self._path(shard)
        path.unlink(missing_ok=True)
        sync_directory(self._directory)
        for each in beside(path):
            each.unlink(missing_ok=True)
        delete_draft(path)

    def close(self) -> None:
        """Close all; see the port."""
        for state in self._states.values():
            state.close()
        self._lock.release()

    def _path(self, shard: str) -> Path:
        return self._directory / f"{shard}{_SUFFIX}"
