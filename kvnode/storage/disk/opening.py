"""Opening an environment for this process alone."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import lmdb

from kvnode.storage.disk.directory_lock import DirectoryLock
from kvnode.storage.disk.layout import open_environment
from kvnode.storage.disk.room import translated

StoreT = TypeVar("StoreT")


def open_alone(
    directory: Path,
    make: Callable[[DirectoryLock, lmdb.Environment], StoreT],
    *,
    map_bytes: int,
    synced: bool = True,
) -> StoreT:
    """
    Return what *make* makes of the environment in *directory*; blocks.

    The directory is made if need be.  What *make* returns owns the lock and the
    environment; if it fails, both are released.

    Args:
        directory: Of this process alone, from now on.
        make: Takes them over.
        map_bytes: See `open_environment`.
        synced: Whether each commit waits for the disk.

    Raises:
        UnavailableError: Another process has it open.
        StoreFullError: There is no room to begin in.
        OSError: The files cannot be opened.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = DirectoryLock(directory)
    try:
        environment = open_environment(directory, map_bytes=map_bytes, synced=synced)
    except BaseException:
        lock.release()
        raise
    try:
        return make(lock, environment)
    except BaseException as error:
        environment.close()
        lock.release()
        if isinstance(error, lmdb.Error):
            raise translated(error, directory) from error
        raise
