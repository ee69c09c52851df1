"""
Whose logs these are, and whether they are where they were made.

Every replica of a node's shards goes by one identity, which is drawn with the store and
lost with it: a node that has forgotten what it promised must not go on as itself.

A copy, or what comes out of a backup, has forgotten what the original promised since,
and the original may still be at work.  The KV store makes a new replica of such a copy
and keeps all its entries.  Here the log *is* the promise, and nothing could be kept but
by going on as the old replica; so a copy is refused, not emptied: it may be all that is
left of a shard, as where the one node of a cluster has moved to another disk.  Only who
runs the node can know, and opens it as moved, or deletes it.

A copy is known by its file (its number in the file system).  One that was written over
the original's file, or a disk that was taken back as a whole, is not.
"""

from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import Final

from kvnode.durable_file import publish
from kvnode.errors import CorruptRecordError, RejectedError
from kvnode.storage.disk.founding import draw_replica
from kvnode.storage.meta_codec import seal, unseal
from kvnode.types import ReplicaId

FORMAT: Final = 2
NAME: Final = "identity"

_FORM: Final = Struct(">H")
_ROW: Final = Struct(">HQQ")


def read_or_found(
    directory: Path, random_replica: Callable[[], ReplicaId], *, is_moved: bool
) -> ReplicaId:
    """
    Return whose logs are in *directory*; drawn and written down if there are none yet.

    Args:
        directory: Where they are.
        random_replica: Draws the identity of a new store.
        is_moved: Whoever runs the node vouches for a copy.

    Raises:
        RejectedError: Another version wrote it; or it is a copy.
        CorruptRecordError: The identity is missing or damaged.
        OSError: The file cannot be read or written.
    """
    file = directory / NAME
    if not file.exists():
        others = sorted(path.name for path in directory.iterdir())
        if "data.mdb" in others:
            raise _of_another_format(directory, 1)
        if any(name.startswith("log-") for name in others):
            msg = f"{directory}: the node's identity is missing"
            raise CorruptRecordError(msg)
        return _write(file, draw_replica(random_replica))
    data = unseal(file.read_bytes(), "the node's identity")
    (form,) = _FORM.unpack_from(data)
    if form != FORMAT:
        raise _of_another_format(directory, form)
    _, replica, home = _ROW.unpack(data)
    if home != file.stat().st_ino:
        if not is_moved:
            raise RejectedError(_is_a_copy(directory))
        _write(file, ReplicaId(replica))
    return ReplicaId(replica)


def _write(file: Path, replica: ReplicaId) -> ReplicaId:
    """Write down *replica*, and where that stands."""
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    home = partial.stat().st_ino
    partial.write_bytes(seal(_ROW.pack(FORMAT, replica, home)))
    publish(partial, file)
    return replica


def _of_another_format(directory: Path, form: int) -> RejectedError:
    msg = (
        f"the logs of shards in {directory} have format {form} and this version reads"
        f" {FORMAT}: run the version that wrote them"
    )
    return RejectedError(msg)


def _is_a_copy(directory: Path) -> str:
    return (
        f"the logs of shards in {directory} were copied, or come out of a"
        " backup, and lack what the original has promised since: delete the"
        " directory, and the node's shards can be moved to it as to a new node; or"
        " open it as moved, if nothing was written to the original after it was"
        " copied, and nothing ever will be"
    )
