"""
Making a store, marking that it is in use, and giving a copy a new identity.

The mark matters in relaxed mode alone.  There recent writes may be lost with the
page cache although others have seen them, so a store that was not closed must
tell the node to go on as a new replica (docs/decisions/0002).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import lmdb

from kvnode.core.versions.store_view import DurableState
from kvnode.durable_file import sync_directory
from kvnode.errors import CorruptRecordError
from kvnode.storage.disk.layout import (
    DATA_NAME,
    FORMAT_ROW,
    HOME_ROW,
    MAP_BYTES,
    SESSION_ROW,
    Committed,
    Databases,
    format_row,
    open_databases,
    open_environment,
    read_committed,
    state_rows,
)
from kvnode.storage.disk.room import translated
from kvnode.storage.disk.upgrade import upgrade
from kvnode.storage.meta_codec import seal, unseal
from kvnode.types import ReplicaId

logger = logging.getLogger(__name__)

IN_USE = seal(b"relaxed")
CLEAN = seal(b"clean")


def read_or_found(
    environment: lmdb.Environment,
    databases: Databases,
    directory: Path,
    random_replica: Callable[[], ReplicaId],
) -> Committed:
    """
    Return what is committed, after making the first commit if need be.

    A store that is not in the file it was made in has been copied.  Whether the
    original is still used cannot be known, so the copy becomes a new replica.

    A store of an earlier version becomes one of this version, durably, before
    anything else is written to it (docs/decisions/0016).
    """
    with environment.begin() as txn:
        committed = read_committed(txn, databases)
        stored_home = txn.get(HOME_ROW, None, databases.meta)
        current = txn.get(FORMAT_ROW, None, databases.meta) == format_row()
    if committed is not None and not current:
        upgrade(environment, databases, committed)
        return read_or_found(environment, databases, directory, random_replica)
    home = home_row(directory)
    if committed is not None and stored_home == home:
        return committed
    rows = {HOME_ROW: home, FORMAT_ROW: format_row()}
    if committed is None:
        rows |= state_rows(DurableState(draw_replica(random_replica)))
    else:
        logger.warning(
            "%s was copied or moved: it goes on as a new replica, since two with one"
            " identity would lose writes",
            directory,
        )
        state = replace(committed.state, replica=draw_replica(random_replica), seq=0)
        rows |= state_rows(state)
    put_meta(environment, databases, rows)
    sync_directory(directory)
    with environment.begin() as txn:
        committed = read_committed(txn, databases)
    assert committed is not None, "the store has just been founded"
    return committed


def home_row(directory: Path) -> bytes:
    """Return what tells the store's file from a copy of it."""
    return seal(str((directory / DATA_NAME).stat().st_ino).encode())


def begin_session(
    environment: lmdb.Environment, databases: Databases, *, relaxed: bool
) -> bool:
    """
    Mark the store as in use if the mode is *relaxed*.

    Returns:
        Whether it was marked already: then it was not closed.
    """
    with environment.begin() as txn:
        row = txn.get(SESSION_ROW, CLEAN, databases.meta)
    unseal(row, "the mark of the last session")
    if relaxed and row != IN_USE:
        put_meta(environment, databases, {SESSION_ROW: IN_USE})
    return row == IN_USE


def put_meta(
    environment: lmdb.Environment, databases: Databases, rows: Mapping[bytes, bytes]
) -> None:
    """Put *rows* of `meta` in a transaction of their own, and sync."""
    with environment.begin(databases.meta, write=True) as txn:
        for key, value in rows.items():
            txn.put(key, value)
    environment.sync(True)  # noqa: FBT003 -- its only parameter


def adopt(
    directory: Path, random_replica: Callable[[], ReplicaId], map_bytes: int = MAP_BYTES
) -> DurableState:
    """
    Give the copy of a store in *directory* a new identity; return its state.

    Nobody else may know of the directory yet.

    Raises:
        CorruptRecordError: There is no store, or its state is damaged.
        RejectedError: A later version wrote the store.
        OSError: The files cannot be opened or written.
    """
    environment = open_environment(directory, map_bytes=map_bytes)
    try:
        databases = open_databases(environment)
        with environment.begin() as txn:
            committed = read_committed(txn, databases)
        if committed is None:
            msg = f"{directory} holds no store"
            raise CorruptRecordError(msg)
        state = replace(committed.state, replica=draw_replica(random_replica), seq=0)
        with environment.begin(databases.meta, write=True) as txn:
            for row in state_rows(state):
                txn.put(*row)
            txn.put(SESSION_ROW, CLEAN)
            txn.put(HOME_ROW, home_row(directory))
    except lmdb.Error as error:
        raise translated(error, directory) from error
    finally:
        environment.close()
    return state


def draw_replica(random_replica: Callable[[], ReplicaId]) -> ReplicaId:
    """Return a new identity, which is never that of nobody."""
    replica = ReplicaId(0)
    while replica == 0:  # 0 stands for nobody
        replica = random_replica()
    return replica
