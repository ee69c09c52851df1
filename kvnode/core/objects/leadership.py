"""
Leading: entries go to all replicas, and count once a majority has them.

What a majority holds is committed only if it is of the leader's own epoch; what came
before is committed by being followed.  So a leader begins with an entry of its own,
and serves nobody before that is committed.

Every message has a round, and who answers confirms that no later epoch was promised
when it came.  A read that began before a round was sent may be answered once a
majority has confirmed the round; many reads share one.  With a lease, who confirms a
round also promises not to be sealed for a while: until then no round is needed.

A leader that is confirmed by no majority for as long as others are patient stops by
itself.

References:
    Ongaro & Ousterhout, 2014.  In search of an understandable consensus algorithm,
        sections 5.3, 5.4.2 and 8.
    Gray & Cheriton, 1989.  Leases: an efficient fault-tolerant mechanism for
        distributed file cache consistency.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import (
    Committed,
    Confirmed,
    Opened,
    SendSnapshot,
    Swap,
)
from kvnode.core.objects.messages import (
    APPEND_BYTES_MAX,
    Append,
    Appended,
    Mismatch,
)
from kvnode.core.objects.quorum_log import LogEntry, Position, needs_snapshot
from kvnode.core.objects.settings import ShardSettings
from kvnode.core.objects.shard_turn import ShardTurn
from kvnode.errors import PeerProtocolError
from kvnode.types import Millis, ReplicaId

WINDOW_ENTRIES = 4096
"""Sent to a replica and not acknowledged: bounds what one that is slow can cost."""

ROUNDS_MAX = 4096
"""Rounds whose time is remembered; older ones confirm nothing any more."""


class _Follower:
    """What a leader knows of one replica."""

    __slots__ = (
        "awaits",
        "heard_at",
        "is_probed",
        "is_silent",
        "lags",
        "matched",
        "next",
        "round",
        "sent_at",
        "went_back_at",
    )

    def __init__(self, following: int, now: Millis) -> None:
        self.next = following  # the entry to be sent next
        self.matched = 0  # up to here its log is ours, durably
        self.round = 0  # the newest that it has confirmed
        self.heard_at = now
        self.sent_at = now
        self.is_silent = False  # nothing but heartbeats until it is heard
        self.went_back_at = 0  # what was sent until this round comes again
        self.is_probed = False  # one message at a time, until one fits
        self.awaits = False  # that one is under way
        self.lags = False  # behind the snapshot, which is on its way to it


class Leadership:
    """
    One epoch of one leader.

    Attributes:
        configuration: The authority's.
        is_open: The first entry is committed, and the shard has arrived.
    """

    def __init__(
        self,
        configuration: Configuration,
        own: ReplicaId,
        settings: ShardSettings,
        turn: ShardTurn,
    ) -> None:
        """Append the first entry."""
        self.configuration = configuration
        self.is_open = False
        self._own = own
        self._settings = settings
        self._followers = {
            replica: _Follower(turn.log.last_number + 1, turn.now)
            for replica in configuration.replicas
        }
        self._round = 0
        self._sent: deque[tuple[int, Millis]] = deque(maxlen=ROUNDS_MAX)
        self._confirmed_at = turn.now
        self._asking: deque[tuple[int, int]] = deque()  # round, token
        self._moving_to: tuple[ReplicaId, ...] = ()
        self._is_arriving = False
        self.append(b"", turn)
        self._first = turn.log.last_number

    @property
    def epoch(self) -> int:
        """Return the epoch that is led."""
        return self.configuration.epoch

    def has_lease(self, now: Millis) -> bool:
        """Tell whether a reply may leave at *now* without another round."""
        held = self._settings.lease_held
        return self.is_open and held > 0 and now - self._confirmed_at < held

    def is_stale(self, now: Millis) -> bool:
        """Tell whether others may have taken over long ago."""
        return now - self._confirmed_at >= self._settings.patience

    # -- what is asked for -----------------------------------------------------

    def append(self, data: bytes, turn: ShardTurn) -> None:
        """Append an entry."""
        turn.append(turn.log.last, (LogEntry(self.epoch, data),))

    def confirm(self, token: int) -> None:
        """Confirm with the next round that this replica leads."""
        self._asking.append((self._round + 1, token))

    @property
    def moving_to(self) -> tuple[ReplicaId, ...]:
        """Return to whom the shard moves, ascending; empty if it does not."""
        return self._moving_to

    def lag_of(self, replica: ReplicaId, last: int) -> tuple[int, bool]:
        """Return how many entries up to *last* it lacks, and whether it is silent."""
        follower = self._followers[replica]
        return max(0, last - follower.matched), follower.is_silent

    def move(self, replicas: Sequence[ReplicaId], turn: ShardTurn) -> None:
        """Let other replicas learn the log, then move the shard to *replicas*."""
        assert self._own in replicas, "who moves a shard stays its leader"
        self._moving_to = tuple(sorted(replicas))
        for replica in self._moving_to:
            self._followers.setdefault(
                replica, _Follower(turn.log.last_number + 1, turn.now)
            )

    def says(self, configuration: Configuration, turn: ShardTurn) -> bool:
        """
        Take in what the authority holds; tell whether this epoch goes on.

        A configuration in which this replica leads a later epoch is the end of this
        one, too: it takes over from itself.
        """
        if configuration.epoch > self.epoch:
            return False
        if configuration == self.configuration.arrived:
            self.configuration = configuration
            self._commit(turn)
        return True

    def is_moved_by(self, configuration: Configuration) -> bool:
        """Tell whether that is what this leader has asked for."""
        return bool(self._moving_to) and configuration == self._moved()

    # -- answers ---------------------------------------------------------------

    def appended(self, sender: ReplicaId, answer: Appended, turn: ShardTurn) -> None:
        """
        Take in that a replica has our log up to a number.

        Raises:
            PeerProtocolError: The log does not go that far.
        """
        if answer.number > turn.log.last_number:
            msg = f"entry {answer.number} was never sent in epoch {self.epoch}"
            raise PeerProtocolError(msg)
        follower = self._heard(sender, answer.round, turn)
        if follower is None:
            return
        follower.is_probed = follower.awaits = follower.lags = False
        follower.matched = max(follower.matched, answer.number)
        follower.next = max(follower.next, follower.matched + 1)
        self._commit(turn)

    def mismatch(self, sender: ReplicaId, answer: Mismatch, turn: ShardTurn) -> None:
        """Go back to where a replica's log may be the same as ours."""
        follower = self._heard(sender, answer.round, turn)
        if follower is not None and answer.round > follower.went_back_at:
            # Of all that was under way, each message is answered like this one.
            follower.went_back_at = self._round
            follower.is_probed, follower.awaits = True, False
            common = turn.log.common(answer.common)
            follower.next = max(follower.matched, common.number) + 1
            if not follower.lags and needs_snapshot(turn.log.base, answer.common):
                follower.lags = True
                turn.at_once.append(SendSnapshot(sender, self.epoch))

    def snapshot_ended(self, receiver: ReplicaId) -> None:
        """Send the snapshot again if the replica still needs it."""
        if receiver in self._followers:
            self._followers[receiver].lags = False

    def _heard(
        self, sender: ReplicaId, round_: int, turn: ShardTurn
    ) -> _Follower | None:
        follower = self._followers.get(sender)
        if follower is not None:
            follower.heard_at = turn.now
            follower.is_silent = False
            follower.round = max(follower.round, round_)
            self._count_rounds(turn)
        return follower

    def _count_rounds(self, turn: ShardTurn) -> None:
        confirmed = self._majority_of(
            self._round if replica == self._own else self._followers[replica].round
            for replica in self.configuration.replicas
        )
        while self._sent and self._sent[0][0] <= confirmed:
            self._confirmed_at = self._sent.popleft()[1]
        if not self.is_open:
            return
        tokens = []
        while self._asking and self._asking[0][0] <= confirmed:
            tokens.append(self._asking.popleft()[1])
        if tokens:
            turn.at_once.append(Confirmed(tuple(tokens)))

    def _majority_of(self, numbers: Iterable[int]) -> int:
        """Return the largest number that a majority has reached."""
        return sorted(numbers, reverse=True)[len(self.configuration.replicas) // 2]

    def _commit(self, turn: ShardTurn) -> None:
        held = self._majority_of(
            self._followers[replica].matched for replica in self.configuration.replicas
        )
        if held <= turn.committed or turn.log.epoch_at(held) != self.epoch:
            return
        if self.configuration.former:
            # Who takes over now asks the former replicas, which may lack all this.
            if not self._is_arriving:
                self._is_arriving = True
                self._arrive(turn)
            return
        turn.committed = held
        turn.at_once.append(Committed(held))
        if not self.is_open and held >= self._first:
            self.is_open = True
            turn.at_once.append(Opened(self.epoch, held))
            self._count_rounds(turn)

    def _arrive(self, turn: ShardTurn) -> None:
        """Let the authority know that the new replicas have everything."""
        turn.at_once.append(Swap(self.configuration, self.configuration.arrived))

    # -- sending ---------------------------------------------------------------

    def tick(self, turn: ShardTurn) -> None:
        """Send again what was not acknowledged, and go on with a move."""
        for replica, follower in self._followers.items():
            silence = turn.now - follower.heard_at
            if replica != self._own and silence > 2 * self._settings.heartbeat:
                follower.is_silent = True
                follower.next = max(follower.matched, turn.log.base.number) + 1
        if self._is_arriving and self.configuration.former:
            self._arrive(turn)
        elif self.is_open and self._moving_to and self._have_learned(turn):
            turn.at_once.append(Swap(self.configuration, self._moved()))

    def _moved(self) -> Configuration:
        return self.configuration.moved_to(self._moving_to, self._own)

    def _have_learned(self, turn: ShardTurn) -> bool:
        """Tell whether those the shard moves to are close behind."""
        return all(
            turn.log.last_number - self._followers[replica].matched < WINDOW_ENTRIES
            and self._followers[replica].matched >= self._first
            for replica in self._moving_to
        )

    def send(self, turn: ShardTurn) -> None:
        """Send what there is to send; called once, at the end of a turn."""
        if self._followers[self._own].next <= turn.log.last_number:
            self._followers[self._own].next = turn.log.last_number + 1
            number = turn.log.last_number
            turn.answer(self._own, Appended(self.epoch, self._round, number))
        asked = bool(self._asking) and self._asking[-1][0] > self._round
        due = [
            replica
            for replica, follower in self._followers.items()
            if replica != self._own
            and (
                asked
                or self._is_beat_due(follower, turn.now)
                or self._may_send(follower, turn)
            )
        ]
        is_alone = len(self.configuration.replicas) == 1
        if not due and not is_alone:
            return
        self._round += 1
        self._sent.append((self._round, turn.now))
        first = self._first_to_ask()
        for replica in due:
            follower = self._followers[replica]
            self._send_to(replica, follower, turn, is_first=replica in first)
        if is_alone:
            self._count_rounds(turn)

    def _first_to_ask(self) -> Sequence[ReplicaId]:
        """
        Return as many as make a majority with this replica: those that are ahead.

        The others are sent the same when this one's disk has it.  Until then they
        would take time from those that are waited for, where they share anything.
        """
        others = [each for each in self.configuration.replicas if each != self._own]
        others.sort(key=self._rank)
        return others[: len(self.configuration.replicas) // 2]

    def _rank(self, replica: ReplicaId) -> tuple[bool, int, int]:
        follower = self._followers[replica]
        return follower.is_silent, -follower.matched, -follower.round

    def _is_beat_due(self, follower: _Follower, now: Millis) -> bool:
        """
        Tell whether nothing was sent since the last beat.

        The shards that a node leads beat at the same times, so that their heartbeats
        go in one frame, and the answers too.
        """
        heartbeat = self._settings.heartbeat
        return now // heartbeat > follower.sent_at // heartbeat

    @staticmethod
    def _may_send(follower: _Follower, turn: ShardTurn) -> bool:
        return (
            not follower.is_silent
            and not follower.awaits
            and not follower.lags
            and follower.next <= turn.log.last_number
            and follower.next - 1 - follower.matched < WINDOW_ENTRIES
        )

    def _send_to(
        self,
        replica: ReplicaId,
        follower: _Follower,
        turn: ShardTurn,
        *,
        is_first: bool,
    ) -> None:
        """Send one message at least, and all others that there is room for."""
        while True:
            previous = max(follower.next - 1, turn.log.base.number)
            entries: tuple[LogEntry, ...] = ()
            if self._may_send(follower, turn):
                entries = turn.log.after(
                    previous,
                    entries_max=self._settings.entries_max,
                    bytes_max=APPEND_BYTES_MAX,
                )
            message = Append(
                self.epoch,
                self._round,
                Position(turn.log.epoch_at(previous), previous),
                entries,
                turn.committed,
                self._settings.lease,
            )
            if is_first:
                turn.tell(replica, message)
            else:
                turn.answer(replica, message)
            follower.next = previous + 1 + len(entries)
            follower.awaits = follower.is_probed and bool(entries)
            follower.sent_at = turn.now
            if not self._may_send(follower, turn):
                return
