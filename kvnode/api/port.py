"""What the services ask of the node behind them."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from kvnode.api.digest_status import RepairPort
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.commands import LOCAL, Command, Replicas
from kvnode.core.node.events import Reply
from kvnode.core.node.forgetting import Forgetting
from kvnode.core.node.health import MemberStatus
from kvnode.core.node.peer import Peer
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.roster import Roster
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.store_view import (
    Commit,
    Filling,
    PeerAddress,
    StoreView,
    Usage,
)
from kvnode.errors import KvError
from kvnode.types import EntryKey, LostWrites, Millis, ReplicaId

OnReply = Callable[[Reply | KvError], None]
"""Takes the outcome of a write request; called once, from the event loop."""


class NodePort(Protocol):
    """The driver, as the services see it."""

    def snapshot(self) -> AbstractContextManager[StoreView]:
        """Return a consistent view of everything committed so far."""

    def usage(self) -> Usage:
        """Return how full the store is."""

    @property
    def now(self) -> Callable[[], Millis]:
        """Return the node's clock."""

    def check_serving(self) -> None:
        """Do nothing if this node may answer clients; else raise UnavailableError."""

    def floor(self) -> Floor:
        """Return up to where deletions are forgotten here."""

    def write(
        self,
        commands: tuple[Command, ...],
        on_reply: OnReply,
        *,
        session: Session = NEW_SESSION,
        replicas: Replicas = LOCAL,
    ) -> None:
        """Queue *commands* as one request; *on_reply* gets what came of it."""

    def covers(self, session: Session) -> bool:
        """Tell whether all that *session* has seen is covered here."""

    async def wait_covered(self, session: Session, patience_s: float) -> bool:
        """Wait until *session* is covered; False if not in time, or never."""

    def lost(self, session: Session) -> tuple[LostWrites, ...]:
        """Return what *session* has seen and no member will ever have."""

    def clock(self) -> VersionVector:
        """Return what this node covers, durably."""

    def pending(self) -> VersionVector:
        """Return what reads of uncovered entries join into their tokens."""

    def known_peers(self) -> tuple[PeerAddress, ...]:
        """Return the peers this node knows of."""

    def behind(self, origin: ReplicaId) -> Millis | None:
        """Return how far behind *origin* this node may be in ms; None = unknown."""

    def damaged(self, key: EntryKey) -> None:
        """Note that the record of *key* is damaged: it is pulled from a peer."""

    def listen(self, listener: Callable[[Commit], None]) -> Callable[[], None]:
        """Call *listener* after every commit; returns how to stop that."""


class AdminPort(NodePort, RepairPort, Protocol):
    """What operators may see of the node, beyond what clients may."""

    def peers(self) -> Mapping[ReplicaId, Peer]:
        """Return the connected peers."""

    def members(self) -> tuple[MemberStatus, ...]:
        """Return every replica that ever joined, this one too, and how it is."""

    def conflicts_ever(self) -> int:
        """Return how many conflicts this node has noticed."""

    def uncovered_batches(self) -> int:
        """Return how many pushed batches wait for what they depend on."""

    def replica(self) -> ReplicaId:
        """Return this node's identity."""

    def refusal(self) -> str:
        """Return why client writes are refused now; empty if they are not."""

    def hlc(self) -> int:
        """Return the newest timestamp given."""

    def backup(self) -> AsyncIterator[bytes]:
        """Return a consistent backup, in pieces."""

    def heard_ms_ago(self, replica: ReplicaId) -> int:
        """Return when a peer was last heard, in ms ago; -1 = never."""

    def roster(self) -> Roster:
        """Return who ever joined, and what became of them."""

    def forgetting(self) -> Forgetting:
        """Return how far this node is with forgetting."""

    def hindrances(self) -> tuple[str, ...]:
        """Return why nothing new is forgotten just now, for people."""

    def filling(self) -> Filling | None:
        """Return how far a bootstrap is; None = all is here."""

    def donor(self) -> ReplicaId | None:
        """Return the peer that fills this node just now, if any."""


class Departures(Protocol):
    """Ends the membership of others, and of this node; raises KvError if it cannot."""

    async def remove(self, replicas: Iterable[ReplicaId]) -> None:
        """Declare members gone for good; durable here when this returns."""

    async def leave(self, patience_s: float) -> tuple[int, int]:
        """Leave for good; return how many members heard it, of how many there are."""
