"""
The node: a function of (state, events, now) that returns effects.

It decides everything about replication and nothing about how: it opens no file
and no connection, reads no clock and draws no chance.  `step` stages a turn,
the shell makes the turn's commit durable, and only then performs its effects
(rule W2), or calls `abort` and nothing has happened.  The next turn may be
staged while one is on its way to disk.

Failure detection alone does not wait for disks: what it has to say rests on nothing
that is stored (kvnode.core.node.health).
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.membership.clock_offset import Verdict
from kvnode.core.membership.events import Rng
from kvnode.core.membership.messages import Health
from kvnode.core.membership.quarantine import Quarantine
from kvnode.core.node.acknowledgements import Acknowledgements, Waiting
from kvnode.core.node.commands import Outcome, Reason, Refused, WriteRequest
from kvnode.core.node.digest_watch import DigestWatch
from kvnode.core.node.events import Effect, Event, Reply
from kvnode.core.node.forgetting import Forgetting
from kvnode.core.node.health import HealthChange, MemberStatus
from kvnode.core.node.hindrances import hindrances
from kvnode.core.node.peer import Peer
from kvnode.core.node.replicator import Replicator, Settings
from kvnode.core.node.staleness import Staleness
from kvnode.core.node.turn import Turn
from kvnode.core.node.writes import Writer
from kvnode.core.versions.store_view import Commit, DurableState, TurnView, Write
from kvnode.types import Dot, HlcTimestamp, Millis, ReplicaId

_FILLING = "this node is being filled; ask another, or again later"


@dataclass(slots=True)
class TurnResult:
    """
    A commit to make durable, if anything changed, and then what to do.

    `at_once` is not to wait for the commit, and holds even if that fails.
    """

    commit: Commit | None
    effects: list[Effect] = field(default_factory=list)
    at_once: list[Effect] = field(default_factory=list)


_GONE = "this node is no member of the cluster any more; ask another node"


class _Uncommitted(NamedTuple):
    """
    A turn on its way to disk: how to go back, and whom it would answer.

    `agreed` is its time by the median of clocks if the own one is off.
    """

    before: DurableState
    after: DurableState
    requests: list[int]
    writes: tuple[Write, ...]
    agreed: Millis


class Node:
    """The state machine of one PoP's key-value store."""

    def __init__(self, state: DurableState, settings: Settings, rng: Rng) -> None:
        """
        Take up *state* as found in the store.

        The store must hold all that this replica ever told anyone: after a stop
        that may have lost some of it, the node is another replica.  All chance comes
        from *rng*.
        """
        assert state.seq >= state.clock.newest(state.replica), "a dot is used once"
        self.state = state
        self._settings = settings
        self._acknowledgements = Acknowledgements()
        self._replicator = Replicator(
            settings, self._acknowledgements, state.replica, rng
        )
        self._uncommitted: deque[_Uncommitted] = deque()

    @property
    def peers(self) -> Mapping[ReplicaId, Peer]:
        """Return the connected peers."""
        return self._replicator.peers

    @property
    def staleness(self) -> Staleness:
        """Return how far behind each origin this node is."""
        return self._replicator.staleness

    @property
    def reported_until(self) -> HlcTimestamp:
        """
        Return a timestamp: this node covers every floor up to there.

        A floor's timestamp is below the times of all reports that it was worked out
        from, and every member's is among them.
        """
        return from_millis(self._replicator.comparing.reported_at)

    @property
    def uncovered_batches(self) -> int:
        """Return how many pushed batches wait for what they depend on."""
        return len(self._replicator.incoming.batches)

    def health(self, replica: ReplicaId) -> Health | None:
        """
        Return what is believed of *replica*; None if it is no member.

        It decides whom to ask and to relay through, and nothing else (M3).
        """
        return self._replicator.health.health(replica)

    def members(self, steady: Millis) -> tuple[MemberStatus, ...]:
        """
        Return every replica that ever joined, itself too, ascending by replica.

        Args:
            steady: What the node's steady clock says now.
        """
        return self._replicator.health.members(self.state.roster, steady)

    def member_changes(self) -> tuple[HealthChange, ...]:
        """Return the last few changes of members' health, the newest last."""
        return tuple(self._replicator.health.changes)

    def heard_ms_ago(self, replica: ReplicaId, steady: Millis) -> Millis | None:
        """Return how long before *steady* *replica* was heard last; None = never."""
        return self._replicator.health.heard_ms_ago(replica, steady)

    @property
    def clock_verdict(self) -> Verdict:
        """Return what is thought of the node's own wall clock (C1)."""
        return self._replicator.health.fence.verdict

    @property
    def quarantine(self) -> Quarantine:
        """Return the keys that hold versions from the future (C2)."""
        return self._replicator.health.fence.quarantine

    def refusal(self) -> str:
        """Return why client writes are refused; empty if they are not (C1)."""
        return self._replicator.health.fence.refusal()

    @property
    def digests(self) -> DigestWatch:
        """Return what comparing digests with peers has shown (D9)."""
        return self._replicator.digests

    @property
    def forgetting(self) -> Forgetting:
        """Return how far this node is with forgetting."""
        return self._replicator.forgetting

    @property
    def donor(self) -> ReplicaId | None:
        """Return the peer that fills this node just now, if any (D10)."""
        return self._replicator.incoming.donor

    def hindrances(self, now: Millis) -> tuple[str, ...]:
        """Return why this node forgets nothing new just now, for people (G1)."""
        return hindrances(self.state, self.peers, self.forgetting, now)

    def only_here(self) -> VersionVector:
        """Return what is here and at no connected member, as far as is known."""
        return self._replicator.only_here(self.state.clock, self.state.roster)

    def step(
        self, events: Sequence[Event], at: ClockReading, view: TurnView
    ) -> TurnResult:
        """
        Take in *events* and return the turn's commit and effects.

        Args:
            events: In the order in which they happened; at least one.
            at: The node's clocks, by which all of the turn is dated.
            view: The store as of the last turn, be it durable yet or not.
        """
        now = at.wall
        turn = Turn(self.state, view, now)
        health = self._replicator.health
        health.begin(turn, at)
        requests: list[tuple[WriteRequest, tuple[Outcome, ...], int, int]] = []
        for event in events:
            if isinstance(event, WriteRequest):
                before = turn.seq
                outcomes = self._write(event, turn)
                requests.append((event, outcomes, before + 1, turn.seq))
            else:
                self._replicator.take(event, turn)
        self._replicator.finish(turn)
        for request, outcomes, first, last in requests:
            if request.replicas.local or last < first:  # the second: nothing happened
                turn.effects.append(Reply(request.number, outcomes, 1, 1))
            else:
                dots = (Dot(self.state.replica, first), Dot(self.state.replica, last))
                turn.effects.extend(self._admit(request, outcomes, dots, now))
        state = turn.state()
        commit = turn.commit(state)
        numbers = [request.number for request, *_ in requests]
        writes = commit.writes if commit is not None else ()
        agreed = health.fence.agreed_time()
        self._uncommitted.append(
            _Uncommitted(self.state, state, numbers, writes, agreed)
        )
        self.state = state
        return TurnResult(commit, turn.effects, turn.at_once)

    def committed(self) -> None:
        """The oldest turn under way is durable: its effects may be performed."""
        turn = self._uncommitted.popleft()
        self.staleness.advance(turn.after.clock)
        self._replicator.health.fence.stored(turn.writes, turn.agreed)

    def abort(self) -> None:
        """
        The oldest turn under way could not be made durable: no turn has happened.

        Later ones built on it and go with it.  Their effects must not be
        performed, save replies to requests of earlier turns.  What peers sent
        in them comes again with a delta.
        """
        assert self._uncommitted, "there is a turn to abort"
        self.state = self._uncommitted[0].before
        for turn in self._uncommitted:
            for number in turn.requests:
                self._acknowledgements.withdraw(number)
        self._uncommitted.clear()
        self._replicator.abort()

    def uncommitted_pending(self) -> VersionVector:
        """Return the join of `pending` over all turns under way (D3)."""
        pending = EMPTY
        for turn in self._uncommitted:
            pending = pending.join(turn.after.pending)
        return pending

    def other_regions(self) -> frozenset[str]:
        """Return the regions of known peers, this node's own left out."""
        own = self._settings.own.region
        return frozenset(peer.region for peer in self.state.peers) - {own}

    def _admit(
        self,
        request: WriteRequest,
        outcomes: tuple[Outcome, ...],
        dots: tuple[Dot, Dot],
        now: Millis,
    ) -> Iterator[Reply]:
        """Let a write wait for replicas; yield its reply if it need not (S4)."""
        deadline = Millis(now + request.replicas.patience)
        waiting = Waiting(request, outcomes, dots, self.other_regions(), deadline)
        return self._acknowledgements.admit(waiting, self.peers)

    def _write(self, request: WriteRequest, turn: Turn) -> tuple[Outcome, ...]:
        if why := self.refusal():
            return (Refused(Reason.UNAVAILABLE, why),) * len(request.commands)
        if turn.roster.gone(self.state.replica):
            # The others have turned away from this node: nobody would hear of it.
            return (Refused(Reason.UNAVAILABLE, _GONE),) * len(request.commands)
        known = 1 + len(self.state.peers)
        if request.replicas.needed > known:
            message = (
                f"w is {request.replicas.needed}, but this node knows of {known}"
                f" replica{'s' if known > 1 else ''}, itself included"
            )
            return (Refused(Reason.INVALID, message),) * len(request.commands)
        if turn.filling is not None:  # queued before that was known
            return (Refused(Reason.UNAVAILABLE, _FILLING),) * len(request.commands)
        writer = Writer(
            self.state.replica,
            turn,
            request.session,
            ahead_max=self._settings.clock_ahead_max,
        )
        return tuple(map(writer.apply, request.commands))


__all__ = ["Node", "Peer", "Settings", "TurnResult"]
