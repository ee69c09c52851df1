"""What one turn of a replica has staged."""

from collections.abc import Sequence

from kvnode.core.objects.events import Effect, Persist, Send, TurnResult
from kvnode.core.objects.messages import Message
from kvnode.core.objects.quorum_log import LogEntry, Position, QuorumLog
from kvnode.types import Millis, ReplicaId


class ShardTurn:
    """
    The turn under way.

    Attributes:
        now: The steady time.
        log: The replica's; changed through the turn's methods alone.
        promised: Nothing of earlier epochs is taken in.
        committed: Up to which entry all are known to be committed.
        at_once: Done whether or not the turn is durable.
        effects: Done once it is.
    """

    __slots__ = (
        "_base",
        "_before",
        "_first",
        "at_once",
        "committed",
        "effects",
        "log",
        "now",
        "promised",
    )

    def __init__(
        self, now: Millis, log: QuorumLog, *, promised: int, committed: int
    ) -> None:
        self.now = now
        self.log = log
        self.promised = promised
        self.committed = committed
        self.at_once: list[Effect] = []
        self.effects: list[Effect] = []
        self._before = promised
        self._base = log.base
        self._first = 0

    def promise(self, epoch: int) -> None:
        """Take in nothing below *epoch* any more."""
        assert epoch >= self.promised, "a promise is never taken back"
        self.promised = epoch

    def append(self, previous: Position, entries: Sequence[LogEntry]) -> None:
        """Take in entries behind *previous*, which is here."""
        first = self.log.append(previous, entries)
        if first is not None:
            self._first = min(self._first or first, first)

    def forget(self, until: int) -> None:
        """Let a snapshot take the place of entries up to number *until*."""
        self.log.forget(until)
        self._first = max(self._first, until + 1) if self._first else 0

    def restart(self, base: Position) -> None:
        """Begin anew behind a snapshot that came from elsewhere."""
        self.log.restart(base)
        self._first = 0

    def answer(self, receiver: ReplicaId, message: Message) -> None:
        """Send *message* when the turn is durable."""
        self.effects.append(Send(receiver, message))

    def tell(self, receiver: ReplicaId, message: Message) -> None:
        """Send *message* at once: it claims nothing of this replica's disk."""
        self.at_once.append(Send(receiver, message))

    def result(self) -> TurnResult:
        """Return what is to be made durable, and done."""
        persist = None
        if self._first or self.promised != self._before or self.log.base != self._base:
            entries = self.log.since(self._first) if self._first else ()
            persist = Persist(self.promised, self.log.base, self._first, entries)
        return TurnResult(persist, tuple(self.at_once), tuple(self.effects))
