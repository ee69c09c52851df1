"""Tests of kvnode.storage.disk.directory_lock."""

import os
from pathlib import Path

import pytest

from kvnode.errors import UnavailableError
from kvnode.storage.disk.directory_lock import LOCK_NAME, DirectoryLock


def test_holder_is_named_and_released_lock_is_free_again(tmp_path: Path) -> None:
    """The message says which process to stop."""
    held = DirectoryLock(tmp_path)

    with pytest.raises(UnavailableError, match=f"in use by process {os.getpid()}:"):
        DirectoryLock(tmp_path)

    held.release()
    DirectoryLock(tmp_path).release()


def test_file_left_by_a_dead_process_locks_nothing(tmp_path: Path) -> None:
    """The lock is the kernel's, not the file's."""
    (tmp_path / LOCK_NAME).write_text("99999999\n")

    held = DirectoryLock(tmp_path)

    assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"
    held.release()


def test_missing_directory_is_an_error_of_the_system(tmp_path: Path) -> None:
    """Making directories is the store's business."""
    with pytest.raises(FileNotFoundError):
        DirectoryLock(tmp_path / "none")
