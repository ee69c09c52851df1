"""
Bringing a store of the version before up to this one.

Stores of format 1 have no `mortal` rows, by which deletions are found that may be
forgotten.  They are made in one transaction, from the index: about ten seconds for a
million keys, once.  An older version refuses the store from then on, because it would
not keep those rows.
"""

import logging
from typing import TYPE_CHECKING

import lmdb

from kvnode.core.versions.floor import mortal_from
from kvnode.errors import CorruptRecordError
from kvnode.storage import record_codec
from kvnode.storage.disk.layout import (
    FORMAT_ROW,
    Committed,
    Databases,
    format_row,
    mortal_row_key,
    state_rows,
)
from kvnode.storage.key_codec import NUMBER_BYTES, is_long, split

if TYPE_CHECKING:
    from kvnode.storage.disk.layout import Transaction

logger = logging.getLogger(__name__)


def upgrade(
    environment: lmdb.Environment, databases: Databases, committed: Committed
) -> None:
    """Make the rows that format 1 lacks, and mark the store as of this version."""
    logger.info("bringing the store of an earlier version up to date")
    dots = committed.dots()
    with environment.begin(write=True) as txn:
        for packed, place in txn.cursor(databases.index).iternext():
            raw = _record_at(txn, databases, place)
            if raw is None:
                continue
            try:
                version = record_codec.decode(raw, dots).version
            except CorruptRecordError:
                continue  # it is found damaged when it is read, and pulled again
            due = mortal_from(version)
            if due is not None and dots.decode_dot(packed, 0) == version.dot:
                row_key = mortal_row_key(due, version.dot, dots)
                txn.put(row_key, place, db=databases.mortal)
        for row in state_rows(committed.state):
            txn.put(*row, db=databases.meta)
        txn.put(FORMAT_ROW, format_row(), db=databases.meta)


def _record_at(txn: "Transaction", databases: Databases, place: bytes) -> bytes | None:
    prefix, key = place[:NUMBER_BYTES], place[NUMBER_BYTES:]
    if not is_long(key):
        return txn.get(place, None, databases.entries)
    head, tail = split(prefix, key)
    head_id = txn.get(head, None, databases.heads)
    if head_id is None:
        return None
    return txn.get(head_id + tail, None, databases.long_entries)
