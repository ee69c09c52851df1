"""
The node: a function of (state, events, now) that returns effects.

It decides everything about replication and nothing about how: it opens no file
and no connection, reads no clock and draws no chance.  `step` stages a turn,
the shell makes the turn's commit durable, and only then performs its effects
(rule W2), or calls `abort` and nothing has happened.  The next turn may be
staged while one is on its way to disk.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.acknowledgements import Acknowledgements, Waiting
from kvnode.core.node.commands import Outcome, Refused, WriteRequest
from kvnode.core.node.events import Effect, Event, Reply
from kvnode.core.node.peer import Peer
from kvnode.core.node.replicator import Replicator, Settings
from kvnode.core.node.staleness import Staleness
from kvnode.core.node.turn import Turn
from kvnode.core.node.writes import Writer
from kvnode.core.versions.store_view import Commit, DurableState, TurnView
from kvnode.types import Dot, Millis, ReplicaId


_FILLING = "this node is being filled; ask another, or again later"


@dataclass(slots=True)
class TurnResult:
    """A commit to make durable, if anything changed, and then what to do."""

    commit: Commit | None
    effects: list[Effect] = field(default_factory=list)


class _Uncommitted(NamedTuple):
    """A turn on its way to disk: how to go back, and whom it would answer."""

    before: DurableState
    after: DurableState
    requests: list[int]


class Node:
    """The state machine of one PoP's key-value store."""

    def __init__(self, state: DurableState, settings: Settings) -> None:
        """
        Take up *state* as found in the store.

        The store must hold all that this replica ever told anyone: after a stop
        that may have lost some of it, the node is another replica.
        """
        assert state.seq >= state.clock.newest(state.replica), "a dot is used once"
        self.state = state
        self._settings = settings
        self._acknowledgements = Acknowledgements()
        self._replicator = Replicator(settings, self._acknowledgements, state.replica)
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
    def uncovered_batches(self) -> int:
        """Return how many pushed batches wait for what they depend on."""
        return len(self._replicator.incoming.batches)

    def step(self, events: Sequence[Event], now: Millis, view: TurnView) -> TurnResult:
        """
        Take in *events* and return the turn's commit and effects.

        Args:
            events: In the order in which they happened; at least one.
            now: Milliseconds since 1970 by the node's clock.
            view: The store as of the last turn, be it durable yet or not.
        """
        turn = Turn(self.state, view, now)
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
        self._uncommitted.append(_Uncommitted(self.state, state, numbers))
        self.state = state
        return TurnResult(commit, turn.effects)

    def committed(self) -> None:
        """The oldest turn under way is durable: its effects may be performed."""
        turn = self._uncommitted.popleft()
        self.staleness.advance(turn.after.clock)

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
        known = 1 + len(self.state.peers)
        if request.replicas.needed > known:
            message = (
                f"w is {request.replicas.needed}, but this node knows of {known}"
                f" replica{'s' if known > 1 else ''}, itself included"
            )
            refused = Refused(wrong_type=False, message=message)
            return (refused,) * len(request.commands)
        if turn.filling is not None:  # queued before that was known
            refused = Refused(wrong_type=False, message=_FILLING, damaged=True)
            return (refused,) * len(request.commands)
        writer = Writer(
            self.state.replica,
            turn,
            request.session,
            ahead_max=self._settings.clock_ahead_max,
        )
        return tuple(map(writer.apply, request.commands))


__all__ = ["Node", "Peer", "Settings", "TurnResult"]
