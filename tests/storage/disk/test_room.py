"""Tests of kvnode.storage.disk.room that need no disk of a certain size."""

import errno
from pathlib import Path

import lmdb
import pytest

from kvnode.errors import StoreFullError
from kvnode.storage.disk.room import translated


def _lmdb_error(number: int) -> lmdb.Error:
    """Return an error as LMDB's binding raises it; one made in Python has no code."""
    error = lmdb.Error("mdb_txn_commit")
    vars(error)["code"] = number
    return error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_error_of_a_full_disk_is_a_refusal(tmp_path: Path, number: int) -> None:
    """Nothing was written, and the same request may pass later."""
    error = translated(_lmdb_error(number), tmp_path)

    assert isinstance(error, StoreFullError)


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, -30796])
def test_error_of_a_broken_disk_stops_the_node(tmp_path: Path, number: int) -> None:
    """With room on the disk, EIO is no short write; LMDB's own codes are final."""
    error = translated(_lmdb_error(number), tmp_path)

    assert isinstance(error, OSError)
    assert str(tmp_path) in str(error)


def test_error_without_a_code_stops_the_node(tmp_path: Path) -> None:
    """The binding raises some by itself, for example of a closed environment."""
    assert isinstance(translated(lmdb.Error("closed"), tmp_path), OSError)
