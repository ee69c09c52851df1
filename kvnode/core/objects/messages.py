"""
What the replicas of a shard say to each other.

A leader speaks in its epoch, and so does who takes over; whoever has promised a later
one refuses both with it.  Every message may be lost, come twice, or come late.
"""

from typing import Final, NamedTuple

from kvnode.core.objects.quorum_log import LogEntry, Position
from kvnode.types import Millis

APPEND_BYTES_MAX = 256 * 1024
"""Of the entries in one message; it may be larger by one entry."""


class Append(NamedTuple):
    """
    The leader of *epoch* is there, and has *entries* behind *previous*.

    Attributes:
        epoch: Its own.
        round: Counts what it sends: who answers confirms that it led at that time.
        previous: The entry before the first of *entries*.
        entries: None in a heartbeat.
        committed: Up to which number all is committed.
        lease: For how long who takes this in seals itself for nobody else, in ms
            of its own steady clock; 0 = no lease.
    """

    epoch: int
    round: int
    previous: Position
    entries: tuple[LogEntry, ...]
    committed: int
    lease: Millis


class Appended(NamedTuple):
    """My log is the leader's up to entry number *number*, durably."""

    epoch: int
    round: int
    number: int


class Mismatch(NamedTuple):
    """Your entry before the first is not here; *common* may be: go on from there."""

    epoch: int
    round: int
    common: Position


class Seal(NamedTuple):
    """
    I take over in *epoch*: take in nothing more of those before.

    Attributes:
        epoch: Its own.
        released: Who led this epoch has said that it does not any more, so no lease of
            it, or of an earlier one, need be kept; 0 = nobody has.
    """

    epoch: int
    released: int = 0


class Sealed(NamedTuple):
    """
    I have promised *epoch*, durably; my log ends with *last*.

    Attributes:
        epoch: As in `Seal`.
        last: The last entry of its log.
        released: The last epoch that it has led itself and leads no more; 0 = none that
            it remembers.
    """

    epoch: int
    last: Position
    released: int = 0


class Leased(NamedTuple):
    """I will not be sealed yet: I have promised the leader so, for *remaining* ms."""

    epoch: int
    remaining: Millis


class Refused(NamedTuple):
    """Nothing in *epoch*: I have promised *promised*, which is later."""

    epoch: int
    promised: int


class Pull(NamedTuple):
    """Who takes over in *epoch* has *position*: what comes behind it?"""

    epoch: int
    position: Position


class Pulled(NamedTuple):
    """
    The log of who was asked, behind *previous*; it ends with *last*.

    If *previous* is not what was asked for, the logs part before that: ask again
    from where both may be the same.
    """

    epoch: int
    previous: Position
    entries: tuple[LogEntry, ...]
    last: Position


Request = Append | Seal | Pull
"""What is said in an epoch by the one who leads or is about to."""

Answer = Appended | Mismatch | Sealed | Leased | Refused | Pulled
Message = Request | Answer

# -- snapshots, which pass between hosts (kvnode.runtime.shards) -----------------

SNAPSHOT_PAGE_BYTES_MAX: Final = 256 * 1024
"""Of the rows in one page; it may be larger by one row.  As of other messages."""

NO_MORE_PAGES: Final = (1 << 32) - 1
"""A number of `PagesTaken`: whatever else there is, none of it is needed."""


class SnapshotPage(NamedTuple):
    """
    A part of what the entries up to *base* did.

    Attributes:
        epoch: As of `SendSnapshot`.
        picture: Drawn anew by who sends: pages of two pictures must not be mixed.
        number: From 1, without gaps.
        base: The last entry whose changes are in the picture; on every page.
        rows: Keys and their values, ascending; none in the last page, and only there.
    """

    epoch: int
    picture: int
    number: int
    base: Position
    rows: tuple[tuple[bytes, bytes], ...]


class PagesTaken(NamedTuple):
    """
    Pages of *picture* up to *number* are here; after the last one, durably in place.

    None are (0) if the picture is not known: who has taken some has ended, or forgotten
    them in a crash.
    """

    epoch: int
    picture: int
    number: int


class SnapshotWanted(NamedTuple):
    """Who leads *epoch*, send me the state: mine is lost, though my log is not."""

    epoch: int


SnapshotMessage = SnapshotPage | PagesTaken | SnapshotWanted
PeerMessage = Message | SnapshotMessage
"""All that passes between two nodes for a shard."""
