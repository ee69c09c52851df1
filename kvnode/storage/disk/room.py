"""
How full an LMDB store is.

LMDB's file never shrinks: pages that are no longer used stay in it and are
written again.  So the room left is what the file system still has plus the
unused pages within the file, and never more than the map has.  Pages that only
open snapshots use count as unused, since they will be.

A value larger than a page needs neighbouring pages, and each commit writes new
copies of the pages that it changes before it frees the old ones.  The reserve
(rule W3) covers both.
"""

import errno
import os
from pathlib import Path

import lmdb

from kvnode.core.versions.store_view import Usage
from kvnode.errors import StoreFullError
from kvnode.storage.disk.layout import Databases, as_os_error

RESERVE_BYTES_MAX = 64 * 1024 * 1024
"""Two of the largest values, and their copies on the way."""
RESERVE_PART = 20
"""Not more than a twentieth of a small disk or map (5 %, as Redis keeps)."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a system says when a disk, or somebody's part of it, is full."""

FULL_DISK_BYTES = 1024 * 1024
"""Where less is free, an I/O error of a write means that the disk is full."""


def default_reserve(directory: Path, map_bytes: int) -> int:
    """Return how many bytes to keep from client writes."""
    disk = os.statvfs(directory)
    room = min(disk.f_blocks * disk.f_frsize, map_bytes)
    return min(RESERVE_BYTES_MAX, room // RESERVE_PART)


def free_disk_bytes(directory: Path) -> int:
    """Return what the file system of *directory* has left for its users."""
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize


def measure(
    environment: lmdb.Environment,
    databases: Databases,
    directory: Path,
    reserve_bytes: int,
) -> Usage:
    """Return how full the store is; takes some 20 microseconds."""
    information = environment.info()
    tables = [environment.stat()]
    with environment.begin() as txn:
        tables.extend(txn.stat(database) for database in databases.all())
    page_bytes = tables[0]["psize"]
    used = page_bytes * sum(
        t["branch_pages"] + t["leaf_pages"] + t["overflow_pages"] for t in tables
    )
    file_bytes = page_bytes * (information["last_pgno"] + 1)
    on_disk = free_disk_bytes(directory) + max(0, file_bytes - used)
    in_map = information["map_size"] - used
    entries, long_entries = tables[1:3]
    return Usage(
        entry_count=entries["entries"] + long_entries["entries"],
        used_bytes=used,
        free_bytes=max(0, min(on_disk, in_map)),
        reserve_bytes=reserve_bytes,
    )


def translated(error: lmdb.Error, directory: Path) -> Exception:
    """
    Return what a failed transaction means.

    A write cut short by a full disk is reported by LMDB as EIO.
    """
    failure = as_os_error(error, directory)
    full = isinstance(error, lmdb.MapFullError)
    full = full or failure.errno in NO_ROOM
    if failure.errno == errno.EIO and not full:
        full = free_disk_bytes(directory) < FULL_DISK_BYTES
    if not full:
        return failure
    return StoreFullError(
        f"no room in data directory {directory} ({error}), nothing was written:"
        " free some disk space, or delete entries"
    )
