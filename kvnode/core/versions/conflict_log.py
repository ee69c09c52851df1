"""
The conflict log: concurrent writes that lost, kept for people to see.

Last writer wins must choose one of two writes that did not know of each other.
The other one is not silently gone: the node that merged them keeps the last few
losers of each key for a day (rule R4).
"""

from kvnode.core.versions.store_view import ConflictRecord
from kvnode.core.versions.version import Entry
from kvnode.limits import CONFLICT_AGE_MILLIS_MAX, CONFLICTS_PER_KEY_MAX
from kvnode.types import Millis

ConflictLog = tuple[ConflictRecord, ...]


def append(log: ConflictLog, record: ConflictRecord) -> ConflictLog:
    """
    Return *log* with *record* last, old and surplus ones dropped.

    A loser that is in the log already is not entered twice: the same pair may
    meet again through another peer.
    """
    lost = record.loser.version
    if any(known.loser.version == lost for known in log):
        return log
    return (*fresh(log, record.noticed_at), record)[-CONFLICTS_PER_KEY_MAX:]


def shown(log: ConflictLog, stored: Entry | None, now: Millis) -> ConflictLog:
    """
    Return the records of *log* that people are to see, of a key that holds *stored*.

    What a key holds has not lost: what it had lost to was put aside when this store
    started over (rule G2b), and it came again from peers.
    """
    won = None if stored is None else stored.version.dot
    return tuple(r for r in fresh(log, now) if r.loser.version.dot != won)


def fresh(log: ConflictLog, now: Millis) -> ConflictLog:
    """Return the records of *log* that are not too old to show."""
    oldest = now - CONFLICT_AGE_MILLIS_MAX
    return tuple(record for record in log if record.noticed_at >= oldest)
