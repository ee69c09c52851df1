"""
A replica of a shard: a function of (state, events, now).

    following   takes in what a leader sends
    asking      has not heard one for long: what does the authority hold?
    claiming    wants to be the leader of the next epoch
    taking over has that epoch (kvnode.core.objects.takeover)
    leading     (kvnode.core.objects.leadership)

Whatever it does itself, it answers others: it promises, takes in entries, and lets
itself be sealed.  What it says to itself goes the same way as what it says to others,
so its own disk counts when it is durable, like anybody's.

A replica that has lost its memory has lost its identity with it, and is a stranger to
its shard until the shard moves to it.

Suspicion starts a takeover and decides nothing: the authority does.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, assert_never

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import (
    AskAuthority,
    AuthorityFailed,
    AuthoritySaid,
    Closed,
    Committed,
    Confirm,
    Declined,
    Distrusted,
    Event,
    Propose,
    Proposed,
    Received,
    Reconfigure,
    SendSnapshot,
    SnapshotArrived,
    SnapshotEnded,
    SnapshotTaken,
    Suspected,
    Swap,
    TakeLead,
    Tick,
    TurnResult,
)
from kvnode.core.objects.leadership import Leadership
from kvnode.core.objects.messages import (
    APPEND_BYTES_MAX,
    Append,
    Appended,
    Leased,
    Message,
    Mismatch,
    Pull,
    Pulled,
    Refused,
    Request,
    Seal,
    Sealed,
)
from kvnode.core.objects.quorum_log import (
    LogEntry,
    Position,
    QuorumLog,
    needs_snapshot,
)
from kvnode.core.objects.settings import ShardSettings
from kvnode.core.objects.shard_turn import ShardTurn
from kvnode.core.objects.takeover import Takeover
from kvnode.errors import PeerProtocolError
from kvnode.types import Millis, ReplicaId

Uniform = Callable[[int, int], int]
"""Draws a whole number between two, both included."""

STRANGER_PATIENCE: Final = Millis(60_000)
"""Of one that has moved away: if it comes back, its leader tells."""

NOBODY: Final = ReplicaId(0)
"""In place of a leader of whom nothing is known."""


@dataclass(slots=True)
class Following:
    """Waits for a leader until *until*."""

    until: Millis


@dataclass(slots=True)
class Asking:
    """
    Waits until *until* for what the authority holds.

    If it *insists* it goes on even if the leader is heard.
    """

    until: Millis
    insists: bool = False


@dataclass(slots=True)
class Claiming:
    """Waits until *until* for the authority to hold *desired*; `insists` as before."""

    desired: Configuration
    until: Millis
    insists: bool = False


Role = Following | Asking | Claiming | Takeover | Leadership


class ShardReplica:
    """
    One replica of one shard.

    Attributes:
        log: Its log.
        promised: It takes in nothing of earlier epochs.
        committed: Up to which entry it knows all to be committed.
    """

    def __init__(  # noqa: PLR0913 -- each named at the call
        self,
        own: ReplicaId,
        settings: ShardSettings,
        *,
        uniform: Uniform,
        now: Millis,
        log: QuorumLog | None = None,
        promised: int = 0,
    ) -> None:
        """
        Start with what was durable.

        Args:
            own: Its identity, made with its disk.
            settings: The same at all replicas, but for `lease`.
            uniform: Draws how patient it is.
            now: The steady time; >= that of all steps before, if there were any.
            log: What is on its disk.
            promised: And what it has promised.
        """
        self.log = log or QuorumLog()
        self.promised = promised
        self.committed = self.log.base.number
        self._own = own
        self._settings = settings
        self._uniform = uniform
        self._snapshots_to: set[ReplicaId] = set()  # they take over, and lag
        self._known = promised  # the newest epoch of which it has heard
        self._leading = (0, NOBODY)  # the newest epoch whose leader it knows
        # Before it stopped it may have promised a leader not to be sealed.
        self._leased_until = Millis(now + settings.lease_max)
        self._leased_in = promised  # the newest epoch whose leader has such a promise
        self._resigned = 0  # the newest epoch that it has led and leads no more
        self._role: Role = Following(self._patience(now))

    @property
    def leading(self) -> tuple[int, ReplicaId]:
        """Return the newest epoch of which it knows, and who leads it, or NOBODY."""
        epoch, leader = self._leading
        return self._known, leader if epoch == self._known else NOBODY

    @property
    def leader(self) -> ReplicaId:
        """Return who leads, as far as is known here; NOBODY if nothing is."""
        return self.leading[1]

    @property
    def leadership(self) -> Leadership | None:
        """Return the epoch that it leads, if it does, open or not."""
        return self._role if isinstance(self._role, Leadership) else None

    def step(self, events: Iterable[Event], now: Millis) -> TurnResult:
        """Take in *events*; return what becomes durable, and what is to be done."""
        turn = ShardTurn(
            now, self.log, promised=self.promised, committed=self.committed
        )
        for event in events:
            try:
                self._take(event, turn)
            except PeerProtocolError as error:
                # It is raised before the message has changed anything.
                assert isinstance(event, Received), "peers send messages"
                turn.at_once.append(Distrusted(event.sender, str(error)))
        leading = self.leadership
        if leading is not None and leading.is_stale(now):
            self._step_down(turn)
        elif leading is not None:
            leading.send(turn)
        self.promised, self.committed = turn.promised, turn.committed
        return turn.result()

    def _take(self, event: Event, turn: ShardTurn) -> None:
        match event:
            case Tick():
                self._tick(turn)
            case Suspected() | TakeLead():
                self._doubt(event, turn)
            case Received(sender, message):
                self._receive(sender, message, turn)
            case AuthoritySaid(configuration):
                self._authority_said(configuration, turn)
            case AuthorityFailed():
                if isinstance(self._role, Asking | Claiming):
                    self._follow(turn)
            case Propose() | Confirm() | Reconfigure():
                self._take_of_leader(event, turn)
            case SnapshotTaken() | SnapshotArrived() | SnapshotEnded():
                self._take_of_snapshot(event, turn)
            case _:
                assert_never(event)

    def _take_of_leader(
        self, event: Propose | Confirm | Reconfigure, turn: ShardTurn
    ) -> None:
        leading = self.leadership
        if isinstance(event, Reconfigure):
            if leading is not None:
                leading.move(event.replicas, turn)
        elif leading is None or not leading.is_open:
            turn.at_once.append(Declined(event.token))
        elif isinstance(event, Propose):
            leading.append(event.data, turn)
            turn.at_once.append(Proposed(event.token, turn.log.last_number))
        else:
            leading.confirm(event.token)

    def _take_of_snapshot(
        self, event: SnapshotTaken | SnapshotArrived | SnapshotEnded, turn: ShardTurn
    ) -> None:
        match event:
            case SnapshotTaken(number):
                if number > self.log.base.number:
                    assert number <= turn.committed, "what is in it stays for ever"
                    turn.forget(number)
            case SnapshotArrived(sender, epoch, base):
                self._take_snapshot(sender, epoch, base, turn)
            case SnapshotEnded(receiver):
                if self.leadership is not None:
                    self.leadership.snapshot_ended(receiver)
                self._snapshots_to.discard(receiver)
            case _:
                assert_never(event)

    def _take_snapshot(
        self, sender: ReplicaId, epoch: int, base: Position, turn: ShardTurn
    ) -> None:
        """Begin anew behind a snapshot, unless what it says is here."""
        if epoch < turn.promised:
            turn.answer(sender, Refused(epoch, turn.promised))
            return
        self._give_way(epoch, turn)
        turn.promise(epoch)
        if self.log.has(base):
            turn.forget(base.number)
        elif base.number > turn.committed:
            turn.restart(base)
        self._commit(base.number, turn)
        if isinstance(self._role, Takeover):
            self._role.snapshot_arrived(sender, turn)
        else:
            turn.answer(sender, Appended(epoch, 0, self.log.base.number))

    def _patience(self, now: Millis) -> Millis:
        drawn = self._uniform(0, self._settings.patience_spread)
        return Millis(now + self._settings.patience + drawn)

    # -- time, and the authority ------------------------------------------------

    def _tick(self, turn: ShardTurn) -> None:
        match self._role:
            case Following(until=until) | Asking(until=until) | Claiming(until=until):
                if turn.now >= until:
                    self._ask(turn)
            case Takeover() | Leadership():
                self._role.tick(turn)
            case _:
                assert_never(self._role)

    def _doubt(self, event: Suspected | TakeLead, turn: ShardTurn) -> None:
        """
        Take over, if this replica does not do so already.

        Who is told to lead again and again must not begin anew each time.
        """
        insists, role = isinstance(event, TakeLead), self._role
        is_unsure = isinstance(role, Asking | Claiming) and not role.insists
        if isinstance(role, Following) or (insists and is_unsure):
            self._ask(turn, insists=insists)

    def _ask(self, turn: ShardTurn, *, insists: bool = False) -> None:
        self._role = Asking(self._patience(turn.now), insists)
        turn.at_once.append(AskAuthority())

    def _authority_said(
        self, configuration: Configuration | None, turn: ShardTurn
    ) -> None:
        if configuration is None:
            return  # the shard is not there yet
        role = self._role
        if isinstance(role, Leadership):
            if role.is_moved_by(configuration):
                self._step_down(turn)
                self._take_over(configuration, turn)
            elif not role.says(configuration, turn):
                self._step_down(turn)
        elif isinstance(role, Claiming) and configuration == role.desired:
            self._take_over(configuration, turn)
        elif isinstance(role, Takeover) and configuration.epoch > role.epoch:
            self._follow(turn)
        elif isinstance(role, Asking) or (
            # What was held before a claim does not take it back: two answers, each
            # late by a claim, could raise the epoch for ever.
            isinstance(role, Claiming) and configuration.epoch >= role.desired.epoch - 1
        ):
            self._claim(configuration, turn, insists=role.insists)

    def _claim(
        self, configuration: Configuration, turn: ShardTurn, *, insists: bool
    ) -> None:
        """Try to lead the next epoch, unless another has only just begun to."""
        news = configuration.epoch > self._known and configuration.leader != self._own
        self._heard_of(configuration.epoch, configuration.leader)
        if self._own not in configuration.replicas:
            self._role = Following(Millis(turn.now + STRANGER_PATIENCE))
            return
        if news:
            self._follow(turn)
            return
        desired = configuration.taken_over_by(self._own)
        self._role = Claiming(desired, self._patience(turn.now), insists)
        turn.at_once.append(Swap(configuration, desired))

    def _take_over(self, configuration: Configuration, turn: ShardTurn) -> None:
        """
        Take over, unless it has promised a later epoch meanwhile.

        It promises this one at once, though it lets itself be sealed only when no lease
        is left: else what an earlier leader had sent might still come, and replace
        entries that it has taken from others by now.
        """
        if configuration.epoch < turn.promised:
            self._follow(turn)
            return
        turn.promise(configuration.epoch)
        self._heard_of(configuration.epoch, self._own)
        self._role = Takeover(
            configuration, self._own, self._settings, turn, self._resigned
        )

    def _lead(self, configuration: Configuration, turn: ShardTurn) -> None:
        self._role = Leadership(configuration, self._own, self._settings, turn)

    def _follow(self, turn: ShardTurn) -> None:
        self._role = Following(self._patience(turn.now))

    def _step_down(self, turn: ShardTurn) -> None:
        """Stop leading: nothing that this replica answered may leave any more."""
        leading = self.leadership
        assert leading is not None, "only a leader steps down"
        turn.at_once.append(Closed(leading.epoch))
        self._resigned = leading.epoch
        self._follow(turn)

    @property
    def _epoch(self) -> int | None:
        """Return the epoch that this replica leads or takes over in, if any."""
        role = self._role
        return role.epoch if isinstance(role, Takeover | Leadership) else None

    def _heard_of(self, epoch: int, leader: ReplicaId) -> None:
        """Note who leads *epoch*."""
        self._known = max(self._known, epoch)
        if epoch >= self._leading[0]:
            self._leading = epoch, leader

    def _give_way(self, epoch: int, turn: ShardTurn) -> None:
        """Follow whoever leads *epoch*, if it is later than what this replica does."""
        self._known = max(self._known, epoch)
        if self._epoch is None or epoch <= self._epoch:
            return
        if self.leadership is not None:
            self._step_down(turn)
        else:
            self._follow(turn)

    # -- messages ---------------------------------------------------------------

    def _receive(self, sender: ReplicaId, message: Message, turn: ShardTurn) -> None:
        match message:
            case Append() | Seal() | Pull():
                self._receive_request(sender, message, turn)
            case Refused(_, promised):
                self._give_way(promised, turn)
            case Leased():
                pass  # it is asked again
            case Sealed() | Pulled():
                self._receive_of_takeover(sender, message, turn)
            case Appended() | Mismatch():
                self._receive_of_leadership(sender, message, turn)
            case _:
                assert_never(message)

    def _receive_request(
        self, sender: ReplicaId, message: Request, turn: ShardTurn
    ) -> None:
        """Refuse what is of an earlier epoch than was promised."""
        if message.epoch < turn.promised:
            turn.answer(sender, Refused(message.epoch, turn.promised))
            return
        if message.epoch == self._epoch and sender != self._own:
            msg = f"epoch {message.epoch} is led from here"
            raise PeerProtocolError(msg)
        match message:
            case Append():
                self._take_entries(sender, message, turn)
            case Seal():
                self._be_sealed(sender, message, turn)
            case Pull():
                self._serve(sender, message, turn)
            case _:
                assert_never(message)

    def _receive_of_leadership(
        self, sender: ReplicaId, message: Appended | Mismatch, turn: ShardTurn
    ) -> None:
        leading = self.leadership
        if leading is None or message.epoch != leading.epoch:
            return
        if isinstance(message, Appended):
            leading.appended(sender, message, turn)
        else:
            leading.mismatch(sender, message, turn)

    def _receive_of_takeover(
        self, sender: ReplicaId, message: Sealed | Pulled, turn: ShardTurn
    ) -> None:
        role = self._role
        if not isinstance(role, Takeover) or message.epoch != role.epoch:
            return
        if isinstance(message, Sealed):
            is_ready = role.sealed(sender, message, turn)
        else:
            is_ready = role.pulled(sender, message, turn)
        if is_ready:
            self._lead(role.configuration, turn)

    def _take_entries(
        self, sender: ReplicaId, message: Append, turn: ShardTurn
    ) -> None:
        """Take in what a leader sends, and hold still for as long as it asks."""
        self._give_way(message.epoch, turn)
        self._heard_of(message.epoch, sender)
        turn.promise(message.epoch)
        role = self._role
        insists = isinstance(role, Asking | Claiming) and role.insists
        # One that is followed in another epoch goes on for want of news: whoever was
        # named since has to take over, and may not know it.
        is_newest = message.epoch >= self._known
        is_patient = isinstance(role, Following | Asking | Claiming) and not insists
        if is_patient and is_newest:
            self._follow(turn)
        self._leased_until = max(self._leased_until, Millis(turn.now + message.lease))
        self._leased_in = message.epoch
        previous, entries = _beyond(self.log.base, message.previous, message.entries)
        if not self.log.has(previous):
            common = self.log.common(previous)
            turn.answer(sender, Mismatch(message.epoch, message.round, common))
            return
        turn.append(previous, entries)
        number = previous.number + len(entries)
        turn.answer(sender, Appended(message.epoch, message.round, number))
        self._commit(min(message.committed, number), turn)

    @staticmethod
    def _commit(number: int, turn: ShardTurn) -> None:
        """Note what somebody else says to be committed, once it is durable here."""
        if number > turn.committed:
            turn.committed = number
            turn.effects.append(Committed(number))

    def _be_sealed(self, sender: ReplicaId, message: Seal, turn: ShardTurn) -> None:
        """Promise an epoch, unless a leader holds a lease, and has not given it up."""
        if 0 < self._leased_in <= message.released:
            self._leased_until = turn.now
        if turn.now < self._leased_until and self.leadership is None:
            remaining = Millis(self._leased_until - turn.now)
            turn.answer(sender, Leased(message.epoch, remaining))
            return
        self._give_way(message.epoch, turn)
        turn.promise(message.epoch)
        if sender != self._own and isinstance(self._role, Following | Asking):
            self._follow(turn)  # it has the epoch: leave it the time
        sealed = Sealed(message.epoch, self.log.last, self._resigned)
        turn.answer(sender, sealed)

    def _serve(self, sender: ReplicaId, message: Pull, turn: ShardTurn) -> None:
        """Send what comes behind a position to who takes over."""
        if message.epoch != turn.promised:
            return  # it has not sealed this replica
        if needs_snapshot(self.log.base, message.position):
            if sender not in self._snapshots_to:
                self._snapshots_to.add(sender)
                turn.effects.append(SendSnapshot(sender, message.epoch))
            return
        common = self.log.common(message.position)
        entries: tuple[LogEntry, ...] = ()
        if common == message.position:
            entries = self.log.after(
                common.number,
                entries_max=self._settings.entries_max,
                bytes_max=APPEND_BYTES_MAX,
            )
        turn.answer(sender, Pulled(message.epoch, common, entries, self.log.last))


def _beyond(
    base: Position, previous: Position, entries: tuple[LogEntry, ...]
) -> tuple[Position, tuple[LogEntry, ...]]:
    """Leave out what is in the snapshot: it was committed, so it is the same."""
    surplus = base.number - previous.number
    if surplus <= 0:
        return previous, entries
    if surplus > len(entries):
        return base, ()
    return base, entries[surplus:]
