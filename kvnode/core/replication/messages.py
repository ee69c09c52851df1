"""
What nodes say to each other, as values.

Every message is bounded: an entry with a large value is announced by its stamp
and pulled in chunks (rule D6), and deltas come in pages.  A transport delivers
the messages of one peer in order or ends the connection; it adds no meaning.
"""

from typing import NamedTuple

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.record import WIRE, encode
from kvnode.core.versions.roster import Member
from kvnode.core.versions.store_view import PeerAddress
from kvnode.core.versions.version import Entry
from kvnode.limits import INLINE_VALUE_BYTES_MAX
from kvnode.types import Dot, EntryKey, Millis, ReplicaId

CHUNK_BYTES = 256 * 1024
"""One part of a pulled value: small enough to let other messages pass between."""

FETCH_WINDOW_CHUNKS = 8
"""Chunks sent for one request: 2 MiB a round trip keeps a long link busy."""


class WireEntry(NamedTuple):
    """
    An entry as an encoded record.

    With `value_bytes` > 0 the record has no value: it is announced, to be
    pulled.
    """

    key: EntryKey
    record: bytes
    value_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """Return about what the entry adds to a message."""
        return len(self.record) + len(self.key.key) + 24


def wire_entry(key: EntryKey, entry: Entry) -> WireEntry:
    """Return *entry* ready to send, large values left out (D6)."""
    if len(entry.value) > INLINE_VALUE_BYTES_MAX:
        announced = encode(entry._replace(value=b""), WIRE)
        return WireEntry(key, announced, len(entry.value))
    return WireEntry(key, encode(entry, WIRE))


class Report(NamedTuple):
    """
    Anti-entropy (D8): what the sender covers, at its time *sent_at*.

    Attributes:
        clock: What it covers, durably.
        sent_at: Its wall clock.  What it writes later is stamped later, save when
            its clock is set back.
        known: Addresses that it has heard of; to a peer of protocol 1 alone.
        held: What it has merged and does not cover yet, and may pass on.
        roster: Fingerprint of its roster; 0 = it speaks protocol 1.
        members: Its roster, where the receiver is known to have another.
        floor: What it has forgotten.
        filling: Whether it is being filled: members have what it lacks (D10).
        unmet: Whether nothing may be forgotten upon this, for it has not met who is at
            some of its seeds.
    """

    clock: VersionVector
    sent_at: Millis
    known: tuple[PeerAddress, ...] = ()
    held: VersionVector = EMPTY
    roster: int = 0
    members: tuple[Member, ...] = ()
    floor: Floor = GROUND
    filling: bool = False
    unmet: bool = False


class Digest(NamedTuple):
    """
    Anti-entropy between equals: fingerprints of what a report would say.

    `view` is of clock, held writes, roster and floor; `store` of all entries, 0 if
    it is not known just now; `unmet` as in Report.
    """

    view: int
    store: int
    sent_at: Millis
    unmet: bool = False


class Push(NamedTuple):
    """
    Fresh writes *first*..*last* of *origin*, the newest of each key (D4).

    Never changed on its way, so any node may pass it on.
    """

    origin: ReplicaId
    first: int
    last: int
    entries: tuple[WireEntry, ...]

    @property
    def size_bytes(self) -> int:
        """Return about how large the message is."""
        return 32 + sum(entry.size_bytes for entry in self.entries)


class PushAcknowledgement(NamedTuple):
    """All entries of that push are durable at the sender of this."""

    origin: ReplicaId
    first: int
    last: int


class DeltaRequest(NamedTuple):
    """
    Send everything that *clock* does not cover (D1).

    With *whole*, send everything in key order from after the key *after* on (D10).
    """

    session: int
    clock: VersionVector
    whole: bool = False
    after: EntryKey | None = None


class DeltaPage(NamedTuple):
    """
    One page of a delta.

    `snapshot_clock` is on every page; the receiver joins it into its own only
    with the last (D2).  A `refused` session has one page and no entries;
    `before_floor` says that the requester must start over (G2b).  `floor` is what
    the sender has forgotten.  Pages of a bootstrap say up to which key they go
    (`until`) and how many entries there are, about.
    """

    session: int
    number: int
    snapshot_clock: VersionVector
    entries: tuple[WireEntry, ...]
    last: bool
    refused: str = ""
    floor: Floor = GROUND
    before_floor: bool = False
    until: EntryKey | None = None
    expected: int = 0

    @property
    def size_bytes(self) -> int:
        """Return about how large the message is."""
        return 128 + sum(entry.size_bytes for entry in self.entries)


class DeltaAcknowledgement(NamedTuple):
    """The pages of *session* up to *number* are durable, or it is given up."""

    session: int
    number: int
    abandoned: bool = False


class FetchRequest(NamedTuple):
    """Send the record held for *key*, from *offset*, a window of chunks."""

    fetch: int
    key: EntryKey
    dot: Dot
    offset: int


class FetchChunk(NamedTuple):
    """A part of the record held for the key; *total* 0: there is none."""

    fetch: int
    dot: Dot
    offset: int
    total: int
    data: bytes

    @property
    def size_bytes(self) -> int:
        """Return about how large the message is."""
        return len(self.data) + 32


class RepairBegin(NamedTuple):
    """
    Find out with the sender in what the two stores differ (D9).

    *session* is the sender's, which says its ranges next.
    """

    session: int


class RepairRange(NamedTuple):
    """A part of a step; *data* is of kvnode.core.replication.range_message."""

    session: int
    data: bytes

    @property
    def size_bytes(self) -> int:
        """Return about how large the message is."""
        return len(self.data) + 32


class RepairPage(NamedTuple):
    """
    Some of the entries that the receiver was found to lack.

    Attributes:
        session: Which comparison found them.
        entries: As the sender holds them now.
        last: No more are to come from this side.
        floor: What the sender had forgotten, all of which it covers.
        doubtful: The sender has found its own store to be wrong.
    """

    session: int
    entries: tuple[WireEntry, ...]
    last: bool
    floor: Floor = GROUND
    doubtful: bool = False

    @property
    def size_bytes(self) -> int:
        """Return about how large the message is."""
        return 64 + sum(entry.size_bytes for entry in self.entries)


class RepairAcknowledgement(NamedTuple):
    """
    One more range or page of *session* has been dealt with, in order.

    Of a page: *changed* entries are durable at the sender of this, and *refused* ones
    were not its to take.
    """

    session: int
    changed: int = 0
    refused: int = 0


class RepairEnd(NamedTuple):
    """The session ends before it is complete, or does not begin; *reason* says why."""

    session: int
    reason: str


RepairMessage = (
    RepairBegin | RepairRange | RepairPage | RepairAcknowledgement | RepairEnd
)

Message = (
    Report
    | Digest
    | Push
    | PushAcknowledgement
    | DeltaRequest
    | DeltaPage
    | DeltaAcknowledgement
    | FetchRequest
    | FetchChunk
    | RepairMessage
)
