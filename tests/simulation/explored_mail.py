"""
Messages between explored replicas: all that was ever sent, one bit each.

A message that is lost is one that never arrives, so none is ever taken away for that;
and since those that have arrived stay, they may come again.

Some go nevertheless, since nothing can come of them any more:

1.  A request of an earlier epoch than its receiver has promised, durably, is refused
    for ever, and only who sent it matters: any such is a `Seal` in epoch 0.
2.  Answers to a leader or a takeover that is over are not looked at any more, and no
    replica leads or takes over in the same epoch twice.
3.  A refusal tells nothing to who has promised that epoch itself, durably: what it
    does, it does in that epoch or a later one.

Each is made sure of where it goes: there it does nothing.  That this changes nothing is
tested with all messages kept, too.

A turn that changes nothing and only sends is an echo: a promise that is said again, a
part of a log for one that pulls.  All echoes are sent as soon as there is something to
answer.  That is one more message under way than without, and takes no other away; so
whatever can come of the state without it can come of the one with it, and histories do
not name echoes.

A turn is quiet that changes what its replica knows, and nothing that is durable, that
others hear or that the rules see: a promise that makes no majority yet, say.  Of the
histories that differ only in when a replica hears what is quiet, that one is looked at
where it does so just before something else happens to it, or not at all.  It may: the
message stays, others notice nothing, and nothing happens to the replica in between.  If
the other thing does the same without it, and it is quiet afterwards as well, then it is
heard afterwards, or not at all.  Histories do not name what is quiet either.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kvnode.core.objects.events import Event
from kvnode.core.objects.messages import (
    Append,
    Appended,
    Message,
    Mismatch,
    Pull,
    Pulled,
    Refused,
    Seal,
    Sealed,
)
from kvnode.core.objects.takeover import Takeover
from kvnode.types import ReplicaId
from tests.simulation.explored_replicas import Mail, Mind, Replicas, Turn, mail, receipt


class Arrival(NamedTuple):
    """A message, and what comes of it."""

    letter: Mail | None
    turn: Turn


_TurnKey = tuple[int, int, type[Event], Event, int]
"""State, messages, kind of the event, event, time that has passed."""


class Letters:
    """What was sent to each replica in any history."""

    def __init__(self, replicas: Replicas, size: int) -> None:
        """Begin with nothing, for *size* replicas whose identities count from 1."""
        self._replicas = replicas
        self._sent: list[list[Mail]] = [[] for _ in range(size)]
        self._places: dict[Mail, int] = {}
        self._quiet: dict[tuple[int, int], tuple[int, ...]] = {}
        self._turns: dict[_TurnKey, tuple[Turn, ...]] = {}
        self._arrivals: dict[tuple[int, int], tuple[Arrival, ...]] = {}
        self._echoes: dict[tuple[int, int, bool], tuple[tuple[int, int], ...]] = {}
        self._kept: dict[tuple[int, int | None, int], int] = {}

    def bit(self, letter: Mail) -> int:
        """Return the bit of a message among those to its receiver."""
        place = self._places.get(letter)
        if place is None:
            sent = self._sent[int(letter[1]) - 1]
            place = self._places[letter] = len(sent)
            sent.append(letter)
        return 1 << place

    def arrivals(self, number: int, letters: int) -> tuple[Arrival, ...]:
        """Return those of which something comes that is neither quiet nor an echo."""
        found = self._arrivals.get((number, letters))
        if found is None:
            each = (
                arrival
                for quiet in self.quietly(number, letters)
                for arrival in self._coming(quiet, letters)
                if not self._replicas.is_quiet(quiet, arrival.turn)
            )
            found = tuple(
                arrival
                for arrival in self._told_apart(each, letters)
                if not is_echo(arrival.turn, number)
            )
            self._arrivals[number, letters] = found
        return found

    def turns(
        self, number: int, letters: int, event: Event, passed: int
    ) -> tuple[Turn, ...]:
        """Return what *event* may make of a state, after some of what is quiet."""
        kind = type(event)
        found = self._turns.get((number, letters, kind, event, passed))
        if found is None:
            each = (
                Arrival(None, self._replicas.turn(quiet, event, passed))
                for quiet in self.quietly(number, letters)
            )
            found = tuple(turn for _, turn in self._told_apart(each, letters))
            self._turns[number, letters, kind, event, passed] = found
        return found

    def quietly(self, number: int, letters: int) -> tuple[int, ...]:
        """Return the states that a replica comes to by what is quiet, nearest first."""
        found = self._quiet.get((number, letters))
        if found is None:
            states = [number]
            for state in states:
                for _, turn in self._coming(state, letters):
                    is_new = turn.after not in states
                    if is_new and self._replicas.is_quiet(state, turn):
                        states.append(turn.after)
            found = self._quiet[number, letters] = tuple(states)
        return found

    def knowing_all(self, number: int, letters: int) -> int:
        """Return what a state is once all has been heard that is quiet."""
        return self.quietly(number, letters)[-1]

    def _told_apart(
        self, arrivals: Iterable[Arrival], letters: int
    ) -> Iterator[Arrival]:
        """Yield arrivals without those that come to what is quiet after another."""
        kept: list[Turn] = []
        for arrival in arrivals:
            turn = arrival.turn
            if turn.is_idle or any(
                each.at_once == turn.at_once
                and each.effects == turn.effects
                and each.persists == turn.persists
                and turn.after in self.quietly(each.after, letters)
                for each in kept
            ):
                continue
            kept.append(turn)
            yield arrival

    def _coming(self, number: int, letters: int) -> Iterator[Arrival]:
        for each in self._among(number, letters):
            yield Arrival(each, self._replicas.turn(number, receipt(each)))

    def exchanged(
        self,
        minds: tuple[int, ...],
        inbound: tuple[int, ...],
        stopped: tuple[int, int] | None,
        touched: set[int],
    ) -> tuple[int, ...]:
        """
        Return what is under way without what is over, and with all echoes.

        Args:
            minds: The states of the replicas.
            inbound: What is under way to each.
            stopped: Whose disk takes in nothing more, and the state that it has.
            touched: Places of those whose state or messages are new.
        """
        stopped_place, stopped_disk = stopped or (None, None)
        waiting = sorted(touched)
        while waiting:
            place = waiting.pop()
            is_stopped = place == stopped_place
            disk = stopped_disk if is_stopped else None
            before = inbound[place]
            letters = self.worth_keeping(minds[place], disk, before)
            if letters != before:
                inbound = (*inbound[:place], letters, *inbound[place + 1 :])
            echoes = self._echoes_of(minds[place], letters, is_durable=not is_stopped)
            for receiver, bits in echoes:
                disk = stopped_disk if receiver == stopped_place else None
                before = inbound[receiver]
                letters = self.worth_keeping(minds[receiver], disk, before | bits)
                if letters != before:
                    inbound = (*inbound[:receiver], letters, *inbound[receiver + 1 :])
                    waiting.append(receiver)
        return inbound

    def _echoes_of(
        self, number: int, letters: int, *, is_durable: bool
    ) -> tuple[tuple[int, int], ...]:
        """Return what a replica sends without being changed, by receivers' places."""
        key = number, letters, is_durable
        found = self._echoes.get(key)
        if found is None:
            bits: dict[int, int] = {}
            for _, turn in self._coming(number, letters):
                if is_echo(turn, number):
                    sent = turn.effects.sent if is_durable else ()
                    for letter in (*turn.at_once.sent, *sent):
                        place = int(letter[1]) - 1
                        bits[place] = bits.get(place, 0) | self.bit(letter)
            found = self._echoes[key] = tuple(bits.items())
        return found

    def from_others(self, own: ReplicaId, letters: int) -> int:
        """Return messages to *own* without those that are its own."""
        for place, (sender, *_) in enumerate(self._sent[int(own) - 1]):
            if sender == own:
                letters &= ~(1 << place)
        return letters

    def worth_keeping(self, number: int, disk: int | None, letters: int) -> int:
        """
        Return messages without those that nothing can come of any more.

        Args:
            number: The state of the receiver.
            disk: The state that its disk is in, None if that is the same.
            letters: One bit a message.
        """
        if not letters:
            return 0
        key = number, disk, letters
        found = self._kept.get(key)
        if found is None:
            floor = self._replicas.minds[number if disk is None else disk].promised
            found = self._kept[key] = self._sorted_out(number, floor, letters)
        return found

    def _sorted_out(self, number: int, floor: int, letters: int) -> int:
        mind, kept = self._replicas.minds[number], 0
        for each in self._among(number, letters):
            sender, _, _, message = each
            turn = self._replicas.turn(number, receipt(each))
            if _is_refused(message, floor) and _only_refuses(turn, number):
                if sender != mind.own:
                    kept |= self.bit(mail(sender, mind.own, Seal(0)))
            elif not (turn.is_idle and _is_over(message, mind, floor)):
                kept |= self.bit(each)
        return kept

    def _among(self, number: int, letters: int) -> list[Mail]:
        sent = self._sent[int(self._replicas.minds[number].own) - 1]
        return [each for place, each in enumerate(sent) if letters >> place & 1]


def is_echo(turn: Turn, number: int) -> bool:
    """Tell whether nothing comes of a turn in state *number* but messages."""
    return (
        turn.after == number
        and not turn.is_idle
        and not any(d.asked or d.confirmed for d in (turn.at_once, turn.effects))
    )


def _is_refused(message: Message, promised: int) -> bool:
    return isinstance(message, Append | Seal | Pull) and message.epoch < promised


def _only_refuses(turn: Turn, number: int) -> bool:
    """Tell whether a refusal is all that comes of a turn."""
    return (
        turn.after == number
        and not turn.at_once
        and not turn.effects.asked
        and all(kind is Refused for _, _, kind, _ in turn.effects.sent)
    )


def _is_over(message: Message, mind: Mind, promised: int) -> bool:
    """Tell whether nothing can ever come of a message any more."""
    match message:
        case Appended(epoch) | Mismatch(epoch):
            return mind.leadership is None or mind.leadership.epoch != epoch
        case Sealed(epoch) | Pulled(epoch):
            return not isinstance(mind.role, Takeover) or mind.role.epoch != epoch
        case Refused(_, later):
            return later <= promised
        case _:
            return False
