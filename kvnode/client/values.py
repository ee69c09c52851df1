"""
What the client hands back: plain values, no protobuf.

Reads and writes of single keys make millions of these, so those are named
tuples, which cost a third of a frozen dataclass.  Times are seconds since 1970
as floats, spans are seconds, keys are bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from kvnode.types import ZERO_HLC, HlcTimestamp, ReplicaId

JsonValue = (
    None | bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
)
"""What metadata may be."""

Key = str | bytes
"""1 to 512 bytes; a str stands for its UTF-8."""


class Kind(Enum):
    """What a key holds, or that it holds nothing."""

    ABSENT = "absent"
    REGISTER = "register"
    COUNTER = "counter"
    SET = "set"
    DOCUMENT = "document"


class Value(NamedTuple):
    """
    What a read found.

    `value` of a counter is its decimal sum, of a set a JSON list of base64
    members, of a document the JSON of its roots.  `version` is opaque and good
    for `if_version`; `expires_at` is None for what never expires; `stale` says
    that the node answered before it had all that was asked for (S2).
    """

    value: bytes
    metadata: JsonValue
    version: str
    expires_at: float | None
    hlc: HlcTimestamp
    stale: bool
    kind: Kind


class WriteResult(NamedTuple):
    """
    What became of a write.

    `applied` is false if its condition did not hold, and then `current_version`
    is the version that stood in the way, or empty if there was none.  `replicas`
    is how many were known to have it when the reply left.  `hlc` is the write's
    timestamp, by which versions of a key are ordered (R1); 0 if not applied.
    """

    applied: bool
    version: str
    current_version: str
    replicas: int
    hlc: HlcTimestamp = ZERO_HLC


BatchResults = list[WriteResult | Value | None]
"""One result a step, in order: of a get, None stands for no such key."""


class Item(NamedTuple):
    """One key of a listing; `value` is None unless values were asked for."""

    key: bytes
    value: bytes | None
    metadata: JsonValue
    version: str
    expires_at: float | None
    kind: Kind


@dataclass(frozen=True, slots=True)
class Page:
    """
    A part of a listing, in key order.

    A page may be short, even empty, and not the last: `complete` is the only end
    test.  Until then `cursor` fetches the next one.
    """

    items: tuple[Item, ...]
    complete: bool
    cursor: bytes
    stale: bool = False

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Conflict(NamedTuple):
    """
    A concurrent write that lost (R4); `kind` ABSENT means that a deletion lost.

    `replica` wrote it, at `hlc`; the version that beat it is `winner_version`.
    """

    namespace: str
    key: bytes
    kind: Kind
    value: bytes
    metadata: JsonValue
    version: str
    hlc: HlcTimestamp
    replica: ReplicaId
    winner_version: str
    noticed_at: float


@dataclass(frozen=True, slots=True)
class ConflictPage:
    """A part of a conflict log, to be paged through like a listing."""

    items: tuple[Conflict, ...]
    complete: bool
    cursor: bytes
    total_ever: int

    def __iter__(self) -> Iterator[Conflict]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Change(NamedTuple):
    """A key and what it holds now; None: deleted or expired."""

    key: bytes
    value: Value | None


@dataclass(frozen=True, slots=True)
class Changes:
    """
    A step of a watch; all before `resume_token` has been seen.

    A step may be empty: it says that the watch stands and moves the token.
    """

    changes: tuple[Change, ...]
    resume_token: bytes
    conflicts: tuple[Conflict, ...] = ()


class ClockEntry(NamedTuple):
    """How much of one replica's writes a node has."""

    replica: ReplicaId
    covered: int
    newest: int


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A peer as one node sees it; `heard_seconds_ago` is None for never."""

    name: str
    address: str
    replica: ReplicaId
    region: str
    connected: bool
    missing_there: int
    missing_here: int
    outbox_bytes: int
    delay_ms: int
    blocked: bool
    heard_seconds_ago: float | None
    protocol: int = 0  # the version that both speak; 0 = not connected


class Standing(Enum):
    """What a replica is to the cluster; only ever grows."""

    MEMBER = "member"
    LEFT = "left"  # it said so itself, and all it had is elsewhere
    REMOVED = "removed"  # somebody declared it gone, and it is fenced


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """
    A replica that ever joined, as one node sees it.

    Attributes:
        is_self: It is the node that answers.
        missing_there: What the node covers and it does not; 0 if not connected.
        missing_here: What it covers and the node does not; 0 if not connected.
        former: A member whose name belongs to another identity by now.
        health: alive, suspect or dead; empty if it is not probed.
        rtt_seconds: None if it was not measured.
        clock_offset_seconds: Its clock less the node's; None if not measured.
    """

    name: str
    replica: ReplicaId
    address: str
    region: str
    standing: Standing
    incarnation: int
    is_self: bool
    connected: bool
    heard_seconds_ago: float | None
    missing_there: int
    missing_here: int
    former: bool
    health: str = ""
    rtt_seconds: float | None = None
    clock_offset_seconds: float | None = None


class FloorStatus(NamedTuple):
    """Up to where deletions are forgotten; `age_seconds` is None for nothing yet."""

    hlc: HlcTimestamp = HlcTimestamp(0)
    age_seconds: float | None = None
    vector: tuple[ClockEntry, ...] = ()


class ForgettingStatus(NamedTuple):
    """
    How far forgetting is.

    Attributes:
        settled: All that the floor forgets is gone from the store.
        dropped: Entries, since the node started.
        hindrances: Why nothing new is forgotten, in words; empty if nothing hinders.
    """

    settled: bool = True
    dropped: int = 0
    hindrances: tuple[str, ...] = ()


class FillingStatus(NamedTuple):
    """A bootstrap under way: the node serves nobody until all entries are here."""

    done: int
    expected: int  # about; 0 = not known yet
    percent: int
    donor: str  # name of the peer that sends; empty = none just now


class RescueFile(NamedTuple):
    """A file of entries that the node had to give up, in its data directory."""

    name: str
    size_bytes: int
    written_at: float


class Departure(NamedTuple):
    """A node has left: so many members have heard it, of those that are left."""

    told: int
    members: int


@dataclass(frozen=True, slots=True)
class OriginLag:
    """
    How far a node is behind another one.

    Attributes:
        missing: Writes of it that a connected peer has and the node does not.
        behind_seconds: All that it wrote until then is here; None = not known.
        holders: Names of the connected peers that have any of `missing`.
    """

    name: str
    replica: ReplicaId
    region: str
    standing: Standing | None
    connected: bool
    missing: int
    behind_seconds: float | None
    holders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the node called `name` is behind every other one."""

    name: str
    origins: tuple[OriginLag, ...]


_NO_FLOOR = FloorStatus()
_FORGETTING = ForgettingStatus()


@dataclass(frozen=True, slots=True)
class DigestStatus:
    """
    A node's rolling digest of all its entries, and what comparing it has shown.

    Nodes of equal `view` have seen the same writes and must have the same `total`, if
    `incomparable_because` is empty; both are 16 hex digits.  Counts are since the node
    was started; `alarms` names the peers that are known to hold other entries, and
    `repairing_with` one with which a repair is under way, if any.
    """

    total: str
    known: bool
    incomparable_because: str
    view: str
    floor: tuple[ClockEntry, ...] = ()
    floor_hlc: HlcTimestamp = HlcTimestamp(0)  # noqa: RUF009 -- a number
    comparisons: int = 0
    differences: int = 0
    alarms: tuple[str, ...] = ()
    scans: int = 0
    scans_wrong: int = 0
    repairs: int = 0
    repaired_entries: int = 0
    repairing_with: str = ""


UNTOLD_DIGEST = DigestStatus(
    "", known=False, incomparable_because="it is too old to tell its digest", view=""
)
"""Of a node of an older version."""


@dataclass(frozen=True, slots=True)
class RepairResult:
    """
    What one repair between a node and `peer` has found and mended.

    `differing_keys` is exact up to 10,000, then at least.  Refused entries are not
    covered yet, or forgotten: the next repair may take them.
    """

    peer: str
    differing_keys: int
    sent_entries: int
    received_entries: int
    changed_here: int
    changed_there: int
    refused_here: int
    refused_there: int
    damaged_keys: int
    messages: int
    size_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node's account of itself; `refusing_because` is empty while it accepts."""

    name: str
    region: str
    replica: ReplicaId
    version: str
    cluster: str
    uptime_seconds: float
    entry_count: int
    disk_bytes: int
    disk_free_bytes: int
    resident_bytes: int
    durability: str
    accepting_writes: bool
    refusing_because: str
    clock: tuple[ClockEntry, ...]
    peers: tuple[PeerStatus, ...]
    conflicts_ever: int
    uncovered_batches: int
    namespaces: tuple[str, ...]
    data_directory: str
    hlc: HlcTimestamp
    digests: DigestStatus = UNTOLD_DIGEST
    members: tuple[MemberStatus, ...] = ()
    floor: FloorStatus = _NO_FLOOR
    forgetting: ForgettingStatus = _FORGETTING
    filling: FillingStatus | None = None
    rescued: tuple[RescueFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Digest:
    """A fingerprint of 32 bytes; equal on nodes with equal entries and floors."""

    digest: bytes
    entry_count: int
    live_count: int
    clock: tuple[ClockEntry, ...]
