"""What happens to a node, and what it wants done about it."""

from typing import NamedTuple

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.commands import Outcome, WriteRequest
from kvnode.core.replication.messages import DeltaRequest, Message
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.roster import Member
from kvnode.core.versions.store_view import PeerAddress
from kvnode.types import EntryKey, ReplicaId


class PeersConfigured(NamedTuple):
    """The operator named these peers; comes once, before anything else."""

    peers: tuple[PeerAddress, ...]


class PeerUp(NamedTuple):
    """
    A connection to *peer* stands, and it said hello.

    `protocol` is what both speak; of protocol 1 there are neither members nor floor.
    """

    peer: PeerAddress
    clock: VersionVector
    known: tuple[PeerAddress, ...]
    members: tuple[Member, ...] = ()
    floor: Floor = GROUND
    protocol: int = 1


class PeerDown(NamedTuple):
    """The connection to *peer* ended; what it has not acknowledged may be lost."""

    peer: ReplicaId


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


Event = (
    WriteRequest
    | PeersConfigured
    | PeerUp
    | PeerDown
    | Received
    | Tick
    | Damaged
    | RemoveMember
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
    """Do not dial *peer* any more: it is gone for good."""

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
    """Tell whoever runs the node, by its log: something is wrong, or lost."""

    message: str


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
)
