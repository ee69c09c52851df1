"""What happens to a node, and what it wants done about it."""

from typing import NamedTuple

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.dissemination.messages import Control as SpreadingMessage
from kvnode.core.dissemination.messages import WakeAt
from kvnode.core.membership.messages import Message as ProbeMessage
from kvnode.core.node.commands import Outcome, WriteRequest
from kvnode.core.replication.messages import DeltaRequest, RepairMessage, RepairPage
from kvnode.core.replication.messages import Message as ReplicationMessage
from kvnode.core.replication.repair import Trust
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.rolling_digest import RollingDigest
from kvnode.core.versions.roster import Member
from kvnode.core.versions.store_view import PeerAddress
from kvnode.types import EntryKey, ReplicaId

Message = ReplicationMessage | ProbeMessage | SpreadingMessage
"""All that nodes say to each other, but for the hello that begins a stream."""


class PeersConfigured(NamedTuple):
    """The operator named these peers; comes once, before anything else."""

    peers: tuple[PeerAddress, ...]


class PeerUp(NamedTuple):
    """
    A connection to *peer* stands, and it said hello.

    `protocol` is what both speak; of protocol 1 there are neither members nor floor.
    Who is `filling` holds less than it is about to: its clock tells nothing (D10).
    """

    peer: PeerAddress
    clock: VersionVector
    known: tuple[PeerAddress, ...]
    members: tuple[Member, ...] = ()
    floor: Floor = GROUND
    protocol: int = 1
    filling: bool = False


class PeerDown(NamedTuple):
    """The connection to *peer* ended; what it has not acknowledged may be lost."""

    peer: ReplicaId


class SeedReached(NamedTuple):
    """*replica*, a peer or this node, has said hello at *address* of the settings."""

    address: str
    replica: ReplicaId


class Received(NamedTuple):
    """A message of a connected peer."""

    peer: ReplicaId
    message: Message


class Tick(NamedTuple):
    """Time has passed; comes about every TICK_MILLIS while a node runs."""


class RemoveMember(NamedTuple):
    """The operator says that *replica* is gone and will not come back (G3)."""

    replica: ReplicaId


class LeaveCluster(NamedTuple):
    """
    The operator wants this node gone for good; it takes no writes any more.

    Nothing happens unless the others have all that is here: ask again until the
    roster says so (kvnode.core.node.departure).
    """


class StaleConflicts(NamedTuple):
    """Conflict logs of *keys* were seen with records that are too old (R4)."""

    keys: tuple[EntryKey, ...]


class Damaged(NamedTuple):
    """Somebody met a damaged record of *key* in this node's own store."""

    key: EntryKey


class Scanned(NamedTuple):
    """All entries of a snapshot give *total*; its state had the digest *then* (D9)."""

    total: int
    then: RollingDigest


class RepairArrived(NamedTuple):
    """A page of a repair that this node takes part in has come from *peer*."""

    peer: ReplicaId
    page: RepairPage
    trust: Trust


Event = (
    WriteRequest
    | PeersConfigured
    | PeerUp
    | PeerDown
    | SeedReached
    | Received
    | Tick
    | Damaged
    | RemoveMember
    | Scanned
    | RepairArrived
    | LeaveCluster
    | StaleConflicts
)

TICK_MILLIS = 50
"""Half of the shortest patience the protocol knows (a gap's 100 ms)."""


class Send(NamedTuple):
    """Send *message* to *peer*, in order; dropped if it is not connected."""

    peer: ReplicaId
    message: Message


class Reply(NamedTuple):
    """
    Answer the write request *number*.

    `acknowledged` replicas are known to have it, of `needed`.  Fewer than
    needed means that patience ended first; the write is durable here.
    """

    number: int
    outcomes: tuple[Outcome, ...]
    acknowledged: int
    needed: int


class ServeDelta(NamedTuple):
    """Send *peer* what it requests, from one snapshot."""

    peer: ReplicaId
    request: DeltaRequest


class PaceDelta(NamedTuple):
    """The peer has pages up to *number*; or gives the session up."""

    peer: ReplicaId
    session: int
    number: int
    abandoned: bool


class Dial(NamedTuple):
    """Keep a connection to this address from now on."""

    peer: PeerAddress


class HangUp(NamedTuple):
    """
    Do not dial *peer* any more: it is gone for good.

    An address from the node's own settings is dialed all the same: another may come.
    """

    peer: PeerAddress


class StartOver(NamedTuple):
    """
    Stop: this node's store must be replaced before it is used (G2b).

    A peer has forgotten what it has not heard of; the turn's commit says what.
    """

    reason: str


class Disconnect(NamedTuple):
    """End the connection: the peer broke the protocol; *reason* says how."""

    peer: ReplicaId
    reason: str


class Tell(NamedTuple):
    """Tell whoever runs the node, by its log: what is wrong, lost, or right again."""

    message: str


class BeginRepair(NamedTuple):
    """Find out in what this store and that of *peer* differ, and mend it (D9)."""

    peer: ReplicaId


class RepairSaid(NamedTuple):
    """*peer* said something about a repair."""

    peer: ReplicaId
    message: RepairMessage


class RepairTaken(NamedTuple):
    """
    A page of a repair is durable.

    Of its entries *changed* ones are stored, and *refused* ones were not this node's
    to take.  A page that is *broken* ends the session; it says why.
    """

    peer: ReplicaId
    session: int
    changed: int
    refused: int
    last: bool
    broken: str = ""


Effect = (
    Send
    | Reply
    | ServeDelta
    | PaceDelta
    | Dial
    | HangUp
    | StartOver
    | Disconnect
    | Tell
    | WakeAt
    | BeginRepair
    | RepairSaid
    | RepairTaken
)
