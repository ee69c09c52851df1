"""
One shard at a host: its replica, what waits for a turn, and who waits for an answer.

A replica is made anew, as after a crash, when the disk has no room for what it has done
in a turn, or when it must not lead any more.  What was said to the one before is not
for its successor: the authority's answer to a wish of the one might let the other lead
an epoch for the second time.  So answers are for a `life`, and events are forgotten.
"""

from typing import Final, NamedTuple, assert_never

from kvnode.core.objects.events import (
    AskAuthority,
    Closed,
    Committed,
    Confirmed,
    Declined,
    Event,
    Opened,
    Proposed,
    Received,
    Send,
    Swap,
    Tick,
    TurnResult,
)
from kvnode.core.objects.messages import Append
from kvnode.core.objects.shard_replica import NOBODY, ShardReplica
from kvnode.errors import IndeterminateError, StoreFullError, UnavailableError
from kvnode.runtime.shards.ports import ShardListener
from kvnode.runtime.shards.state.applier import Applier
from kvnode.runtime.shards.state.compaction import Compaction
from kvnode.runtime.shards.waiting import Waiting
from kvnode.storage.shards.state_port import ShardStates
from kvnode.types import Millis

WAITING_EVENTS_MAX: Final = 10_000
"""Of one shard; messages of peers above that are dropped, as networks do."""

Told = Opened | Closed | Proposed | Declined | Committed | Confirmed
"""Effects that concern who waits and who listens."""


class Turn(NamedTuple):
    """What a replica made of its events, and where its log ended before."""

    result: TurnResult
    last_before: int

    @property
    def sent_until(self) -> int:
        """Return the last entry that has left this node, or may have before."""
        sent = (
            effect.message.previous.number + len(effect.message.entries)
            for effect in self.result.at_once
            if isinstance(effect, Send) and isinstance(effect.message, Append)
        )
        return max(sent, default=0)


class HostedShard:
    """
    One shard at a host.

    Attributes:
        name: Its name.
        replica: Its replica, as of the turn under way.
        applier: Its applied state.
        compaction: What of its log may go.
        waiting: Who waits.
        life: Counts the replicas that there were.
        asked: What the authority is being asked, and in which life.
        rests_until: Until this time of the steady clock it does nothing.
        must_not_lead: The replica is to be made anew before the next turn.
    """

    def __init__(
        self,
        name: str,
        replica: ShardReplica,
        states: ShardStates,
        listener: ShardListener,
    ) -> None:
        """Begin with *replica*; its applier has still to run."""
        self.name = name
        self.replica = replica
        self.applier = Applier(
            name,
            states,
            lambda: self.replica.log,
            on_applied=self.applied,
            on_lost=self._lost,
        )
        self.compaction = Compaction(self.applier, lambda: self.replica.log)
        self.waiting = Waiting()
        self.life = 0
        self.asked: set[tuple[int, AskAuthority | Swap]] = set()
        self.rests_until: Millis | None = None
        self.must_not_lead = False
        self._listener = listener
        self._events: list[Event] = []
        self._is_ticked = False
        self._opening: Opened | None = None  # until the state has caught up
        self._opened: int | None = None  # the epoch that the listener was told of
        self._leading = (0, NOBODY)  # of whom the listener was told

    @property
    def leads(self) -> bool:
        """Tell whether the listener was told so, and this replica believes so still."""
        leading = self.replica.leadership
        return self._opened is not None and leading is not None and leading.is_open

    @property
    def has_events(self) -> bool:
        """Tell whether there is something for a turn."""
        return bool(self._events)

    # -- what comes in ---------------------------------------------------------

    def take(self, event: Event) -> bool:
        """Let *event* wait for the next turn; tell whether it does."""
        if self.rests_until is not None:
            return False
        if isinstance(event, Received) and len(self._events) >= WAITING_EVENTS_MAX:
            return False
        self._events.append(event)
        return True

    def take_own(self, event: Received) -> None:
        """
        Let a message of the replica to itself wait for the next turn, always.

        It counts on those.  A turn makes few, whatever came in: it acknowledges its
        entries once, and seals or is sealed once an epoch.
        """
        self._events.append(event)

    def tick(self) -> None:
        """Let it know that time has passed; once is enough however long a turn is."""
        if not self._is_ticked:
            self._is_ticked = self.take(Tick())

    def check_at_work(self) -> None:
        """
        Pass unless it rests.

        Raises:
            StoreFullError: It does.
        """
        if self.rests_until is not None:
            raise StoreFullError(self._no_room())

    def step(self, now: Millis) -> Turn:
        """Run a turn of all that waits."""
        events, self._events, self._is_ticked = self._events, [], False
        last_before = self.replica.log.last_number
        result = self.replica.step(events, now)
        leading = self.replica.leading
        if leading[1] != NOBODY and leading != self._leading:
            self._leading = leading
            self._listener.led(self.name, leading[1])
        return Turn(result, last_before)

    # -- what comes of it ------------------------------------------------------

    def tell(self, effect: Told) -> None:
        """Tell who waits, or who listens."""
        match effect:
            case Opened():
                self._opening = effect
                self.applier.hurry()
                self._open(self.applier.applied.number)
            case Closed():
                self._close()
            case Committed(number):
                self.waiting.committed(number)
                self._listener.committed(self.name, number)
                self.applier.committed(number)
            case Proposed(token, number):
                self.waiting.proposed(token, number)
            case Declined(token):
                msg = f"this node does not lead shard {self.name}"
                self.waiting.declined(token, UnavailableError(msg))
            case Confirmed(tokens):
                self.waiting.confirmed(tokens)
            case _:
                assert_never(effect)

    def applied(self, number: int) -> None:
        """Tell that the state has entries up to *number*."""
        self._listener.applied(self.name, number)
        self._open(number)

    def rest(self, turn: Turn, replica: ShardReplica, until: Millis) -> None:
        """
        Go on with *replica*, as it was before *turn*, for which there was no room.

        Whose entry has not left this node is told that nothing has happened.
        """
        error = StoreFullError(self._no_room())
        self.waiting.fail_behind(max(turn.last_before, turn.sent_until), error)
        self.waiting.fail_asked(error)
        self.begin_anew(replica)
        self.rests_until = until

    def begin_anew(self, replica: ShardReplica) -> None:
        """Go on with *replica* instead; what waits for a turn is forgotten."""
        self._close()
        self._events.clear()
        self._is_ticked = self.must_not_lead = False
        self.life += 1
        self.replica = replica

    def _close(self) -> None:
        """Tell that this node does not lead any more; nobody knows of what waits."""
        self._opening = None
        msg = f"this node has lost the lead of shard {self.name}"
        self.waiting.fail(IndeterminateError(msg))
        if self._opened is not None:
            epoch, self._opened = self._opened, None
            self._listener.closed(self.name, epoch)

    def _open(self, applied: int) -> None:
        """Tell that this node leads, once the state has all there ever was."""
        opening = self._opening
        if opening is not None and opening.number <= applied:
            self._opening, self._opened = None, opening.epoch
            self._listener.opened(self.name, opening.epoch, opening.number)

    def _lost(self) -> None:
        self.must_not_lead = True

    def _no_room(self) -> str:
        return (
            f"the disk of the logs of shards has no room for shard {self.name}, nothing"
            " has happened: free some, or ask another node"
        )
