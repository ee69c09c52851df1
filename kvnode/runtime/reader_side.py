"""
The side of a node that readers and people see: what it has committed, and waiting.

Nothing here changes the node.  Readers look at a snapshot on the spot, and at most
wait here until the node covers what their session has seen (rule S2).
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from kvnode.api.digest_status import DigestStanding
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.membership.clock_offset import Verdict
from kvnode.core.membership.quarantine import Quarantine
from kvnode.core.node.departure import has_left
from kvnode.core.node.forgetting import Forgetting
from kvnode.core.node.health import HealthChange, MemberStatus
from kvnode.core.node.node import Node, Peer
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.roster import Roster
from kvnode.core.versions.session import Session
from kvnode.core.versions.store_view import (
    Commit,
    Filling,
    PeerAddress,
    StoreView,
    Usage,
)
from kvnode.errors import OverloadedError, UnavailableError
from kvnode.runtime.clock import Clock
from kvnode.runtime.repair_server import RepairServer
from kvnode.storage.port import Store
from kvnode.types import LostWrites, Millis, ReplicaId

_JOINING = (
    "this node has just begun and has not met a peer yet: ask another node, or again"
    " in a few seconds"
)

COVERING_MAX = 10_000
"""Requests that may wait to be covered: each is looked at after every commit."""


class ReaderSide:
    """
    What a node shows, and waiting for what it commits.

    Attributes:
        node: The state machine, which may be a turn ahead of the disk.
        store: Where its commits go.
        committed_state: As of the last commit.
        failed: What ended the node, if anything has.
        now: Its wall clock, in ms since 1970.
    """

    def __init__(
        self, node: Node, store: Store, *, clock: Clock, repairs: RepairServer
    ) -> None:
        """Show *node*, whose state is that of *store*."""
        self.node = node
        self.store = store
        self.committed_state = node.state
        self.failed: BaseException | None = None
        self.now: Callable[[], Millis] = clock
        self._clock = clock
        self._repairs = repairs
        self._stopping = False
        self._joining_until = Millis(0)
        self._refusing_writes = ""
        self._covering: dict[asyncio.Future[None], Session] = {}
        self._listeners: list[Callable[[Commit], None]] = []

    def clock(self) -> VersionVector:
        """Return what this node covers, durably."""
        return self.committed_state.clock

    def known_peers(self) -> tuple[PeerAddress, ...]:
        """Return the peers this node knows of."""
        return self.committed_state.peers

    def pending(self) -> VersionVector:
        """
        Return what a read of an uncovered entry must join into its token (D3).

        Of the turn on its way to disk, too: a snapshot may show its entries.
        """
        return self.committed_state.pending.join(self.node.uncommitted_pending())

    def peers(self) -> Mapping[ReplicaId, Peer]:
        """Return the connected peers."""
        return self.node.peers

    def peer_name(self, peer: ReplicaId) -> str:
        """Return what people call a peer that can be repaired with; else nothing."""
        known = self.node.peers.get(peer)
        return known.address.name if known and known.speaks_digests else ""

    def digest_standing(self) -> DigestStanding:
        """Return the digest, and what comparing it has shown (D9)."""
        watch, repairs = self.node.digests, self._repairs
        names = {peer.replica: peer.name for peer in self.known_peers()}
        return DigestStanding(
            watch.total or self.committed_state.digest.total,
            self.committed_state.digest.known,
            watch.view,
            self.committed_state.floor,
            watch.incomparable,
            watch.comparisons,
            watch.differences,
            tuple(names.get(each, f"{each:016x}") for each in watch.alarms),
            repairs.scans,
            repairs.scans_wrong,
            repairs.repairs,
            repairs.repaired,
            repairs.repairing_with,
        )

    def roster(self) -> Roster:
        """Return who ever joined, and what became of them."""
        return self.committed_state.roster

    def floor(self) -> Floor:
        """Return up to where deletions are forgotten here."""
        return self.committed_state.floor

    def replica(self) -> ReplicaId:
        """Return this node's identity."""
        return self.committed_state.replica

    def conflicts_ever(self) -> int:
        """Return how many conflicts this node has noticed."""
        return self.committed_state.conflicts_ever

    def uncovered_batches(self) -> int:
        """Return how many pushed batches wait for what they depend on."""
        return self.node.uncovered_batches

    def hlc(self) -> int:
        """Return the newest timestamp given."""
        return self.committed_state.hlc

    def heard_ms_ago(self, replica: ReplicaId) -> int:
        """Return when a peer was last heard, in ms ago; -1 = never."""
        heard_ms_ago = self.node.heard_ms_ago(replica, self._clock.read().steady)
        return -1 if heard_ms_ago is None else heard_ms_ago

    def members(self) -> tuple[MemberStatus, ...]:
        """Return every replica that ever joined, this one too, and how it is."""
        return self.node.members(self._clock.read().steady)

    def member_changes(self) -> tuple[HealthChange, ...]:
        """Return the last few changes of members' health, the newest last."""
        return self.node.member_changes()

    def clock_verdict(self) -> Verdict:
        """Return what is thought of this node's wall clock (C1)."""
        return self.node.clock_verdict

    def quarantine(self) -> Quarantine:
        """Return the keys that hold versions from the future, to look at (C2)."""
        return self.node.quarantine

    def check_serving(self) -> None:
        """
        Do nothing if this node may answer clients.

        Raises:
            UnavailableError: It is stopping, or being filled (D10); nothing was done.
        """
        reason = self._not_serving()
        if reason:
            raise UnavailableError(reason)

    def serves(self) -> bool:
        """Tell whether this node may answer clients."""
        return not self._not_serving()

    def _not_serving(self) -> str:
        if self.failed or self._stopping:
            return f"this node is stopping: {self.failed or 'asked to'}"
        if has_left(self.replica(), self.committed_state.roster):
            return "this node has left the cluster for good; ask another node"
        filling = self._filling_staged()
        if filling is None:
            joining = self._joining_until - self.now() > 0
            return _JOINING if joining else ""
        return (
            f"this node is being filled: {filling.done} of about {filling.expected}"
            " entries are here; ask another node, or again later"
        )

    def refusal(self) -> str:
        """Return why client writes are refused now; empty if they are not."""
        if reason := self._not_serving() or self._refusing_writes:
            return reason
        if not self.store.usage().accepts_client_writes:
            return self._full_message()
        return self.node.refusal()

    def _full_message(self) -> str:
        usage = self.store.usage()
        return (
            f"no room on this node's disk: {usage.free_bytes} bytes are left and"
            f" {usage.reserve_bytes} are kept for replication and deletes; free"
            " some disk space, writing resumes by itself"
        )

    def behind(self, origin: ReplicaId) -> Millis | None:
        """Return how far behind *origin* this node may be in ms; None = unknown."""
        return self.node.staleness.behind(origin, self._clock.read().steady)

    def filling(self) -> Filling | None:
        """Return how far a bootstrap is; None = all is here."""
        return self.committed_state.filling

    def is_being_filled(self) -> bool:
        """Tell whether members have what this node does not have yet (D10)."""
        return self._filling_staged() is not None

    def _filling_staged(self) -> Filling | None:
        """
        Return how far a bootstrap is, from its staging on.

        Whoever looks while that is on its way to disk may find the store as it is
        afterwards.
        """
        return self.committed_state.filling or self.node.state.filling

    def donor(self) -> ReplicaId | None:
        """Return the peer that fills this node just now, if any."""
        return self.node.donor

    def forgetting(self) -> Forgetting:
        """Return how far this node is with forgetting."""
        return self.node.forgetting

    def hindrances(self) -> tuple[str, ...]:
        """Return why nothing new is forgotten just now, for people."""
        return self.node.hindrances(self.now())

    def snapshot(self) -> AbstractContextManager[StoreView]:
        """Return a consistent view of everything committed so far."""
        return self.store.snapshot()

    def usage(self) -> Usage:
        """Return how full the store is."""
        return self.store.usage()

    def covers(self, session: Session) -> bool:
        """Tell whether all that *session* has seen is covered here."""
        state = self.committed_state
        return state.clock.covers_all(session.seen) and (
            session.floor <= state.floor.hlc
            or session.floor <= self.node.reported_until
        )

    def lost(self, session: Session) -> tuple[LostWrites, ...]:
        """Return what *session* has seen and no member will ever have (S2)."""
        return session.lost(self.committed_state.roster)

    async def wait_covered(self, session: Session, patience_s: float) -> bool:
        """
        Wait until *session* is covered; tell whether that came in time.

        If something of it is lost for good, that does not come, and is known at once.

        Raises:
            OverloadedError: Too many wait already.
        """
        if self.covers(session):
            return True
        if self.lost(session):
            return False
        if len(self._covering) >= COVERING_MAX:
            msg = f"{COVERING_MAX} requests wait for what their sessions have seen"
            raise OverloadedError(msg)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._covering[future] = session
        try:
            async with asyncio.timeout(patience_s):
                await future
        except TimeoutError:
            pass
        finally:
            self._covering.pop(future, None)
        return self.covers(session)

    def listen(self, listener: Callable[[Commit], None]) -> Callable[[], None]:
        """Call *listener* after every commit; returns how to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def until(
        self, condition: Callable[[], bool], patience_s: float | None = None
    ) -> bool:
        """Wait for commits until *condition* holds; tell whether it came to."""
        committed = asyncio.Event()
        stop = self.listen(lambda _: committed.set())
        try:
            async with asyncio.timeout(patience_s):
                while not condition():
                    await committed.wait()
                    committed.clear()
        except TimeoutError:
            return condition()
        finally:
            stop()
        return True

    def _announce(self, commit: Commit) -> None:
        for future, session in tuple(self._covering.items()):
            if self.covers(session) or self.lost(session):
                del self._covering[future]
                if not future.done():
                    future.set_result(None)
        for listener in tuple(self._listeners):
            listener(commit)
