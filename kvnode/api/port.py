"""What the services ask of the node behind them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.commands import LOCAL, Command, Replicas
from kvnode.core.node.events import Reply
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.store_view import Commit, PeerAddress, StoreView, Usage
from kvnode.errors import KvError
from kvnode.types import EntryKey, Millis, ReplicaId

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
        """Wait until *session* is covered; tell whether that came in time."""

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
