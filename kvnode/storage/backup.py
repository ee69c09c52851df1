"""
Backups: a consistent copy of the store while it serves, and the way back.

    magic       8 bytes    MAGIC
    format      u16        FORMAT
    created_at  u64        ms since 1970
    version     u16 n, then n bytes: the kvnode that wrote it
    store       LMDB's compacted copy of one snapshot, up to the digest
    digest      32 bytes   SHA-256 of everything before it

All numbers are big-endian.  The digest tells a whole backup from a torn or a
damaged one; it is no signature.

The copy needs no room on the disk that it copies.  Its snapshot is open until
the last chunk is taken, and pages freed meanwhile are not used again until then:
take the chunks as fast as they come.

A restored store is another replica (an identity used twice loses writes
silently).  It keeps the old one's coverage as of the snapshot, which is true of
what it holds; what the old one wrote later comes back from its peers.
"""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncGenerator, Callable
from importlib.metadata import version
from pathlib import Path
from struct import Struct

import aiofiles
from aiofiles.threadpool.binary import AsyncBufferedReader

from kvnode.core.versions.store_view import DurableState
from kvnode.durable_file import sync_directory
from kvnode.errors import CorruptRecordError, RejectedError
from kvnode.storage.disk.founding import adopt
from kvnode.storage.disk.layout import DATA_NAME, MAP_BYTES
from kvnode.storage.disk.running_copy import CHUNK_BYTES
from kvnode.storage.lmdb_store import LmdbStore
from kvnode.types import Millis, ReplicaId

MAGIC = b"KVNODEBK"
FORMAT = 1
DIGEST_BYTES = 32

_HEAD = Struct(">8sHQH")
_PARTIAL = "restoring"


async def back_up(store: LmdbStore, *, now: Millis) -> AsyncGenerator[bytes, None]:
    """
    Yield a backup of *store* as of the first chunk or later, in chunks <= 1 MiB.

    Close the generator (`aclose`) if it is not read to its end.

    Raises:
        OSError: The store cannot be read, or was closed meanwhile: the chunks
            so far are no backup, and `restore` would refuse them.
    """
    digest = hashlib.sha256()
    writer = version("kvnode").encode()
    head = _HEAD.pack(MAGIC, FORMAT, now, len(writer)) + writer
    digest.update(head)
    yield head
    copy = store.start_copy()
    try:
        async for chunk in copy.chunks():
            await asyncio.to_thread(digest.update, chunk)
            yield chunk
    finally:
        store.end_copy(copy)
    yield digest.digest()


async def restore(
    file: Path,
    directory: Path,
    *,
    random_replica: Callable[[], ReplicaId],
    map_bytes: int = MAP_BYTES,
) -> DurableState:
    """
    Make the store of a new replica in *directory* from the backup *file*.

    Nothing is left in *directory* unless all went well.

    Args:
        file: A whole backup.
        directory: Empty or not there yet.
        random_replica: Draws the new replica's identity.
        map_bytes: As for `LmdbStore.open`; the copy must fit.

    Returns:
        The state that the new replica begins with.

    Raises:
        RejectedError: *directory* is not empty, or the backup's format is
            unknown.
        CorruptRecordError: *file* is no backup, or is cut short or damaged.
        OSError: A file cannot be read or written.
    """
    partial = await asyncio.to_thread(_make_partial, directory)
    try:
        await _unpack(file, partial / DATA_NAME)
        state = await asyncio.to_thread(adopt, partial, random_replica, map_bytes)
        await asyncio.to_thread(_move_into_place, partial, directory)
    finally:
        await asyncio.to_thread(shutil.rmtree, partial)
    return state


def _make_partial(directory: Path) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    present = sorted(path.name for path in directory.iterdir())
    if present:
        msg = (
            f"{directory} is not empty (it holds {present[0]}): restore into a new"
            " directory, so that no store is overwritten"
        )
        raise RejectedError(msg)
    partial = directory / _PARTIAL
    partial.mkdir(mode=0o700)
    return partial


def _move_into_place(partial: Path, directory: Path) -> None:
    (partial / DATA_NAME).rename(directory / DATA_NAME)
    sync_directory(directory)


async def _unpack(file: Path, target: Path) -> None:
    """Write the store within *file* to *target*, verified and on disk."""
    async with aiofiles.open(file, "rb") as source, aiofiles.open(target, "wb") as out:
        digest = hashlib.sha256()
        digest.update(await _read_head(source, file))
        held = await source.read(DIGEST_BYTES)
        while chunk := await source.read(CHUNK_BYTES):
            held += chunk
            ready, held = held[:-DIGEST_BYTES], held[-DIGEST_BYTES:]
            await asyncio.to_thread(digest.update, ready)
            await out.write(ready)
        if held != digest.digest():
            msg = f"{file} is cut short or damaged: its digest does not match"
            raise CorruptRecordError(msg)
        await out.flush()
        await asyncio.to_thread(os.fsync, out.fileno())


async def _read_head(source: AsyncBufferedReader, file: Path) -> bytes:
    head = await source.read(_HEAD.size)
    if len(head) < _HEAD.size or not head.startswith(MAGIC):
        msg = f"{file} is no kvnode backup: it does not begin with {MAGIC!r}"
        raise CorruptRecordError(msg)
    _, form, _, name_bytes = _HEAD.unpack(head)
    name = await source.read(name_bytes)
    if form != FORMAT:
        writer = name.decode("utf-8", "replace")
        msg = (
            f"{file} has backup format {form} and this version reads {FORMAT}:"
            f" restore it with kvnode {writer}, which wrote it"
        )
        raise RejectedError(msg)
    return head + name
