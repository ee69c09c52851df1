"""
Replicas of a shard as values: each state of one that is reached has a number.

A replica is a function of its state and an event, so what it does is worked out once
for each pair, by the replica itself, and looked up from then on.  Of millions of states
of a whole shard, few thousand states of a replica are different.

Two states of a replica are the same if all their attributes are, but for these, which
what it does next does not depend on as long as no patience and no lease ends:

    _leading    is read from outside only
    _sent, _confirmed_at      of rounds: decide on patience and on leases
    _leased_in, _resigned, _released      whose lease need not be kept any more
    round, _round      decide on reads, and are compared if there are any

If there are none, rounds decide on one thing more: a leader goes back only for a
`Mismatch` that answers what it has sent since it last did for that follower.  Messages
that come again can make it do so without end, each time in a later round.  So here it
goes back for any, as often as it comes.  That is more than what can happen: one that it
would not look at could be lost as well.  What is never wrong here is never wrong there.
"""

import pickle
from collections import deque
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import (
    AskAuthority,
    Confirmed,
    Distrusted,
    Effect,
    Event,
    Received,
    Send,
    Swap,
)
from kvnode.core.objects.leadership import Leadership
from kvnode.core.objects.messages import (
    Append,
    Appended,
    Message,
    Mismatch,
    Refused,
    Seal,
    Sealed,
)
from kvnode.core.objects.quorum_log import LogEntry, QuorumLog
from kvnode.core.objects.settings import ShardSettings
from kvnode.core.objects.shard_replica import Role, ShardReplica
from kvnode.core.objects.takeover import Takeover
from kvnode.storage.shards.port import StoredShard, written
from kvnode.types import Millis, ReplicaId

OF_TIME = frozenset({"_sent", "_confirmed_at"})
"""Attributes that nothing but patience and leases depends on."""

OF_LEASES = OF_TIME | {"_leased_in", "_resigned", "_released"}
"""And those that say which lease need not be kept any more."""

WITHOUT_LEASES = ShardSettings(lease=Millis(0), lease_max=Millis(0), entries_max=1)
"""One entry a message, so that others pass between any two."""

Mail = tuple[ReplicaId, ReplicaId, type[Message], Message]
"""
Sender, receiver, and what is said.

Of which kind that is must be in it: named tuples of two kinds are equal if what is in
them is, as in `Pull` and `Sealed`.
"""


def mail(sender: ReplicaId, receiver: ReplicaId, message: Message) -> Mail:
    """Return a message on its way."""
    return sender, receiver, type(message), message


class ViolationError(Exception):
    """A rule was broken."""


@dataclass(frozen=True, slots=True)
class Mind:
    """
    One state of one replica.

    Attributes:
        own: Who it is.
        now: What its clock says.
        promised: As of the replica, like the next ones.
        committed: Up to which entry all are known to be committed.
        entries: Its log.
        role: What it is doing.
    """

    own: ReplicaId
    now: Millis
    promised: int
    committed: int
    entries: tuple[LogEntry, ...]
    role: Role

    @property
    def leadership(self) -> Leadership | None:
        """Return the epoch that it leads, if any."""
        return self.role if isinstance(self.role, Leadership) else None

    @property
    def configuration(self) -> Configuration | None:
        """Return that in which it leads or takes over, if it does."""
        role = self.role
        return role.configuration if isinstance(role, Leadership | Takeover) else None

    @property
    def shown(self) -> tuple[object, ...]:
        """Return all of it that rules look at, and of which kind its role is."""
        leading = self.leadership
        is_open = leading is not None and leading.is_open
        log = self.promised, self.committed, self.entries
        return self.own, *log, type(self.role), self.configuration, is_open


@dataclass(frozen=True, slots=True)
class Deeds:
    """What a turn does to others."""

    sent: tuple[Mail, ...]
    asked: tuple[AskAuthority | Swap, ...]
    confirmed: tuple[int, ...]

    def __bool__(self) -> bool:
        """Tell whether it does anything."""
        return bool(self.sent or self.asked or self.confirmed)


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """
    What one event makes of a replica.

    Attributes:
        after: The number of the state that it is in.
        at_once: Done whether or not the turn is durable.
        effects: Done once it is.
        persists: Whether it changes what is durable.
        is_idle: Whether nothing at all comes of it.
    """

    after: int
    at_once: Deeds
    effects: Deeds
    persists: bool
    is_idle: bool


_TurnKey = tuple[int, type[Message | Event], Event, int]
"""State, kind of the message or else of the event, event, time that has passed."""


class Replicas:
    """All states of replicas that were reached, and the ways between them."""

    def __init__(
        self,
        settings: ShardSettings = WITHOUT_LEASES,
        *,
        reads: bool,
    ) -> None:
        """
        Begin with none.

        Args:
            settings: Of all replicas.
            reads: Whether they are asked to confirm that they lead.
        """
        self.minds: list[Mind] = []
        self._settings = settings
        self._reads = reads
        self._forgets = False
        self._left_out = {"_uniform", "_settings", "_leading", *OF_LEASES}
        if not reads:
            self._left_out |= {"round", "_round"}
        self._pickled: list[bytes] = []
        self._numbers: dict[object, int] = {}
        self._turns: dict[_TurnKey, Turn] = {}
        self._restarted: dict[int, int] = {}

    @property
    def served(self) -> frozenset[tuple[ReplicaId, int]]:
        """Return which replicas have served, and in which epochs."""
        leaders = ((mind.own, mind.leadership) for mind in self.minds)
        return frozenset(
            (own, leading.epoch)
            for own, leading in leaders
            if leading is not None and leading.is_open
        )

    def begin(self, own: ReplicaId) -> int:
        """Return the state of a replica that has just been made."""
        return self._start(own, Millis(0), StoredShard(0, QuorumLog()))

    def restarted(self, number: int) -> int:
        """Return what a replica is after a crash in a state whose log is durable."""
        found = self._restarted.get(number)
        if found is None:
            mind = self.minds[number]
            disk = StoredShard(mind.promised, QuorumLog(entries=mind.entries))
            found = self._restarted[number] = self._start(mind.own, mind.now, disk)
        return found

    def turn(self, number: int, event: Event, passed: int = 0) -> Turn:
        """
        Return what *event* makes of a state, *passed* ms after its last turn.

        Raises:
            ViolationError: The replica has noticed that something is wrong, or what it
                has made durable is not what it goes on with.
        """
        kind = type(event.message) if isinstance(event, Received) else type(event)
        key = number, kind, event, passed
        found = self._turns.get(key)
        if found is None:
            found = self._turns[key] = self._worked_out(number, event, passed)
        return found

    def forgetting_rounds(self, number: int) -> int:
        """Return a state as it is once leaders go back for any mismatch."""
        if self._reads:
            return number
        if not self._forgets:
            self._forgets = True
            self._turns.clear()
        mind = self.minds[number]
        replica: ShardReplica = pickle.loads(self._pickled[number])  # noqa: S301 -- of our own
        _go_back_again(replica.leadership)
        return self._number_of(mind.own, replica, mind.now)

    def is_quiet(self, number: int, turn: Turn) -> bool:
        """Tell whether a turn in a state changes what is known there and no more."""
        before, after = self.minds[number], self.minds[turn.after]
        return (
            turn.after != number
            and not turn.at_once
            and not turn.effects
            and not turn.persists
            and before.shown == after.shown
        )

    def _start(self, own: ReplicaId, now: Millis, disk: StoredShard) -> int:
        replica = ShardReplica(
            own,
            self._settings,
            uniform=least,
            now=now,
            log=QuorumLog(entries=disk.log.entries),
            promised=disk.promised,
        )
        return self._number_of(own, replica, now)

    def _number_of(self, own: ReplicaId, replica: ShardReplica, now: Millis) -> int:
        key = own, now, self._frozen(replica)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.minds)
            entries, role = replica.log.entries, replica._role
            self.minds.append(
                Mind(own, now, replica.promised, replica.committed, entries, role)
            )
            self._pickled.append(pickle.dumps(replica))
        return number

    def _worked_out(self, number: int, event: Event, passed: int) -> Turn:
        before = self.minds[number]
        replica: ShardReplica = pickle.loads(self._pickled[number])  # noqa: S301 -- of our own
        now = Millis(before.now + passed)
        try:
            result = replica.step((event,), now)
        except AssertionError as error:
            msg = f"replica {before.own} stopped at {event}: {error}"
            raise ViolationError(msg) from error
        if self._forgets:
            _go_back_again(replica.leadership)
        after = self._number_of(before.own, replica, now)
        stored = StoredShard(before.promised, QuorumLog(entries=before.entries))
        if result.persist is not None:
            stored = written(stored, result.persist)
        _compare(before, self.minds[after], stored)
        at_once = self._deeds(before.own, result.at_once)
        effects = self._deeds(before.own, result.effects)
        is_idle = after == number and not at_once and not effects
        return Turn(after, at_once, effects, result.persist is not None, is_idle)

    def _deeds(self, own: ReplicaId, effects: tuple[Effect, ...]) -> Deeds:
        sent: list[Mail] = []
        asked: list[AskAuthority | Swap] = []
        confirmed: tuple[int, ...] = ()
        for effect in effects:
            match effect:
                case Send(receiver, message):
                    sent.append(mail(own, receiver, self._plain(message)))
                case AskAuthority() | Swap():
                    asked.append(effect)
                case Confirmed(tokens):
                    confirmed += tokens
                case Distrusted(sender, reason):
                    msg = f"{own} trusts {sender} no more: {reason}"
                    raise ViolationError(msg)
                case _:
                    pass  # it can be seen in the replica
        return Deeds(tuple(sent), tuple(asked), confirmed)

    def _plain(self, message: Message) -> Message:
        """Leave out what the receiver does not look at."""
        if isinstance(message, Refused):
            return message._replace(epoch=0)
        if isinstance(message, Seal | Sealed):
            return message._replace(released=0)
        if isinstance(message, Appended) and not self._reads:
            return message._replace(round=0)
        if isinstance(message, Append | Mismatch) and self._forgets:
            return message._replace(round=1)
        return message

    def _frozen(self, value: object) -> object:
        """Return something that is equal for equal states, and can be looked up."""
        if value is None or isinstance(value, int | str | bytes):
            return value
        if isinstance(value, tuple | list | deque):
            return tuple(self._frozen(each) for each in value)
        if isinstance(value, AbstractSet):
            return frozenset(self._frozen(each) for each in value)
        if isinstance(value, Mapping):
            return tuple((key, self._frozen(value[key])) for key in sorted(value))
        return type(value).__name__, tuple(
            (name, self._frozen(getattr(value, name)))
            for name in _attributes(value)
            if name not in self._left_out
        )


def _go_back_again(leading: Leadership | None) -> None:
    """Let a leader forget in which rounds it went back."""
    if leading is not None:
        for follower in leading._followers.values():
            follower.went_back_at = 0


def least(low: int, _high: int) -> int:
    """Draw the least number: patience never ends here anyway."""
    return low


def receipt(arrived: Mail) -> Received:
    """Return what happens to the receiver of a message."""
    sender, _, _, message = arrived
    return Received(sender, message)


def _attributes(value: object) -> Iterator[str]:
    slots: tuple[str, ...] | None = getattr(type(value), "__slots__", None)
    yield from vars(value) if slots is None else slots


def _compare(before: Mind, after: Mind, stored: StoredShard) -> None:
    """See that a turn takes nothing back, and that it is durable as it is."""
    if after.promised < before.promised:
        msg = f"{before.own} took back {before.promised} for {after.promised}"
        raise ViolationError(msg)
    if after.committed < before.committed:
        msg = f"{before.own} holds entry {before.committed} no longer for committed"
        raise ViolationError(msg)
    if stored.promised != after.promised or stored.log.entries != after.entries:
        msg = f"{before.own} goes on with what is not on its disk: {after}"
        raise ViolationError(msg)
