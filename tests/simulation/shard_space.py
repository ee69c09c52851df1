"""
All that a shard can come to next: replicas, their messages and disks, the authority.

What can happen to a shard, one thing at a time:

    a message arrives       anything that was ever sent, at any time, again and again
    the authority answers   with what it has held at any time since it was asked
    it is changed           by a swap that is under way, even of one that crashed
    it does not answer      though it may do what it was asked; bounded
    suspicion               of a replica that follows: it takes over; bounded
    a proposal, a read      at a leader that serves, deposed or not; bounded
    the shard moves         to its leader, one of the others, and a new one; bounded
    a crash                 a replica starts again from its disk; bounded
    a beat                  of a leader: time passes for it; bounded

Clocks stand still between beats, no patience ends, and there are no leases: a leader
that was deposed goes on until it hears of it.

What makes the space small, and why nothing is lost by it:

1.  Nothing is dropped.  A message that is lost is one that never arrives, and all
    messages may still be under way in the end.  Since they stay, sending again what was
    sent before changes nothing either.
2.  Disks are slow only before a crash.  What a turn does once it is durable may wait
    until the messages arrive instead.  So either a turn is durable at once, or the disk
    takes in nothing more until the replica crashes: what it says of that is not heard,
    and what does not depend on it is.
3.  What the authority answers is chosen when the answer arrives
    (`tests.simulation.explored_authority`).
4.  Messages go once nothing can come of them, and are answered at once where that
    changes nobody (`tests.simulation.explored_mail`).
5.  So does what the authority was asked (`tests.simulation.authority_states`).
"""

from collections.abc import Iterator
from typing import NamedTuple

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import (
    AskAuthority,
    AuthorityFailed,
    AuthoritySaid,
    Confirm,
    Event,
    Propose,
    Reconfigure,
    Suspected,
    Swap,
    Tick,
)
from kvnode.core.objects.quorum_log import LogEntry
from kvnode.core.objects.settings import HEARTBEAT
from kvnode.core.objects.shard_replica import Following
from kvnode.types import ReplicaId
from tests.simulation.authority_states import AuthorityStates, heard_from
from tests.simulation.explored_authority import NOBODY, Authority
from tests.simulation.explored_mail import Letters
from tests.simulation.explored_replicas import (
    Mind,
    Replicas,
    Turn,
    ViolationError,
)
from tests.simulation.numbered import Numbered
from tests.simulation.shard_rules import judge


class Bounds(NamedTuple):
    """
    How often each thing may still happen.

    Attributes:
        takeovers: Suspicions, of which each may end in a takeover, or come to nothing.
            One that has two answers under way may claim twice; but the authority names
            no more leaders than there are suspicions.
        proposals: Entries.
        moves: 0 or 1.
        crashes: Of any replica, with all of its turns on its disk or without the last.
        reads: Of one leader.
        beats: Of leaders; two at most, or they hold others for silent.
        failures: Of the authority to answer.
    """

    takeovers: int = 0
    proposals: int = 0
    moves: int = 0
    crashes: int = 0
    reads: int = 0
    beats: int = 0
    failures: int = 0


class State(NamedTuple):
    """
    A state of a shard.

    Attributes:
        minds: The states of its replicas, by their numbers.
        inbound: What was sent to each, one bit a message.
        authority: The number of the authority's state.
        told: The number of the entries that anybody held for committed.
        floors: How many those were when each read began.
        crashing: Whose disk takes in nothing more, and the state that it has.
        left: What may still happen.
    """

    minds: tuple[int, ...]
    inbound: tuple[int, ...]
    authority: int
    told: int
    floors: tuple[int, ...]
    crashing: tuple[int, int] | None
    left: Bounds


class Step(NamedTuple):
    """What happens to the replica at a place."""

    name: str
    host: int
    what: object = None

    def __str__(self) -> str:
        """Return a line about it."""
        if isinstance(self.what, tuple) and self.name.startswith("hears"):
            return (
                f"replica {self.host + 1} {self.name} of {self.what[0]}: {self.what[3]}"
            )
        return f"replica {self.host + 1} {self.name} {self.what or ''}".rstrip()


class _Outcome(NamedTuple):
    """
    What a turn does to others.

    Attributes:
        number: The state that the replica is in afterwards.
        letters: What it sends, by the places of the receivers.
        asked: Of the authority.
        confirmed: Reads that may be answered.
    """

    number: int
    letters: tuple[tuple[int, int], ...]
    asked: tuple[AskAuthority | Swap, ...]
    confirmed: tuple[int, ...]


class ShardSpace:
    """
    The states of a shard of three replicas within bounds.

    Attributes:
        start: Replica 1 leads, and all have what it has committed; one that is to
            join knows it, too.
        replicas: What was reached of each replica.
        authorities: And of the authority.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.replicas = Replicas(reads=bounds.reads > 0)
        size = 4 if bounds.moves else 3
        self._owns = tuple(ReplicaId(number + 1) for number in range(size))
        self._letters = Letters(self.replicas, size)
        self._outcomes: dict[tuple[Turn, bool], _Outcome] = {}
        self._tellings: dict[tuple[int, int], int] = {}
        self.authorities = AuthorityStates()
        self._told = Numbered[tuple[LogEntry, ...]]()
        self._judged: set[tuple[object, ...]] = set()
        self._epoch_max = 2
        self.start = self._started(bounds)
        self._letters = Letters(self.replicas, size)
        self._outcomes.clear()
        self._epoch_max += bounds.takeovers + bounds.moves

    @property
    def views(self) -> int:
        """Return how many states there were but for what is under way."""
        return len(self._judged)

    def following(self, state: State) -> Iterator[tuple[Step, State]]:
        """
        Yield all that one thing that happens can make of *state*.

        Raises:
            ViolationError: It breaks a rule.
        """
        yield from self._arriving(state)
        yield from self._answering(state)
        for host, number in enumerate(state.minds):
            yield from self._happening(state, host, self.replicas.minds[number])
        yield from self._crashing(state)

    # -- the start --------------------------------------------------------------

    def _started(self, bounds: Bounds) -> State:
        replicas = self._owns[:3]
        minds = tuple(self.replicas.begin(own) for own in self._owns)
        state = State(
            minds,
            (0,) * len(minds),
            self.authorities.number(
                Authority((Configuration(1, replicas[0], replicas),))
            ),
            self._told.number(()),
            (),
            None,
            Bounds(takeovers=1),
        )
        state = self._settled(state)
        if bounds.moves:
            moved = (*replicas[:2], self._owns[3])
            state = self._only(state, 0, Reconfigure(moved))
        state = self._settled(state._replace(left=Bounds(beats=1)))
        minds = tuple(map(self.replicas.forgetting_rounds, state.minds))
        return state._replace(minds=minds, inbound=(0,) * len(minds), left=bounds)

    def _settled(self, state: State) -> State:
        """Return what there is when all has arrived, and all has happened."""
        while True:
            for _, after in self.following(state):
                if after != state:
                    state = after
                    break
            else:
                hear = self._letters.knowing_all
                minds = tuple(map(hear, state.minds, state.inbound))
                if minds == state.minds:
                    return state
                state = state._replace(minds=minds)

    def _only(self, state: State, host: int, event: Event) -> State:
        ((_, after),) = self._taking(state, Step("", host), event)
        return after

    # -- what can happen --------------------------------------------------------

    def _arriving(self, state: State) -> Iterator[tuple[Step, State]]:
        for host, letters in enumerate(state.inbound):
            for letter, turn in self._letters.arrivals(state.minds[host], letters):
                yield from self._turning(state, Step("hears", host, letter), turn)

    def _answering(self, state: State) -> Iterator[tuple[Step, State]]:
        authority = self.authorities.state(state.authority)
        left = state.left
        for errand in authority.errands:
            host = errand.host
            changed = authority.changed(errand)
            if changed is not None and changed.held[-1].epoch <= self._epoch_max:
                yield (
                    Step("changes", host, errand.swap),
                    self._seen(
                        state._replace(authority=self.authorities.number(changed))
                    ),
                )
            for rest, answer in authority.answered(errand):
                told = state._replace(authority=self.authorities.number(rest))
                event = AuthoritySaid(answer)
                yield from self._taking(told, Step("is told", host, answer), event)
            if left.failures and host != NOBODY:
                failed = state._replace(
                    authority=self.authorities.number(authority.silent(errand)),
                    left=left._replace(failures=left.failures - 1),
                )
                step = Step("is not answered", host)
                yield from self._taking(failed, step, AuthorityFailed())

    def _happening(
        self, state: State, host: int, mind: Mind
    ) -> Iterator[tuple[Step, State]]:
        left = state.left
        if left.takeovers and isinstance(mind.role, Following):
            after = state._replace(left=left._replace(takeovers=left.takeovers - 1))
            yield from self._taking(after, Step("suspects", host), Suspected())
        leading = mind.leadership
        if leading is None:
            return
        if left.beats:
            after = state._replace(left=left._replace(beats=left.beats - 1))
            yield from self._taking(after, Step("beats", host), Tick(), HEARTBEAT)
        if not leading.is_open:
            return
        if left.proposals:
            after = state._replace(left=left._replace(proposals=left.proposals - 1))
            event = Propose(0, b"%d" % left.proposals)
            yield from self._taking(after, Step("proposes", host, event.data), event)
        if left.moves and leading.moving_to:
            after = state._replace(left=left._replace(moves=left.moves - 1))
            yield from self._taking(after, Step("moves", host), Tick())
        if left.reads:
            told = len(self._told.value(state.told))
            after = state._replace(
                floors=(*state.floors, told), left=left._replace(reads=left.reads - 1)
            )
            read = Confirm(len(state.floors))
            yield from self._taking(after, Step("reads", host), read)

    def _crashing(self, state: State) -> Iterator[tuple[Step, State]]:
        if state.crashing is not None:
            host, disk = state.crashing
            yield self._crashed(state, host, disk)
        elif state.left.crashes:
            left = state.left._replace(crashes=state.left.crashes - 1)
            for host, number in enumerate(state.minds):
                yield self._crashed(state._replace(left=left), host, number)

    def _crashed(self, state: State, host: int, disk: int) -> tuple[Step, State]:
        """Start a replica again; what it was asking, and told itself, is gone."""
        number = self.replicas.restarted(disk)
        letters = self._letters.from_others(self._owns[host], state.inbound[host])
        minds = _put(state.minds, host, number)
        inbound = _put(state.inbound, host, letters)
        authority = self.authorities.state(state.authority).deserted(host)
        after = state._replace(
            minds=minds,
            inbound=self._letters.exchanged(minds, inbound, None, {host}),
            authority=self.authorities.number(authority),
            crashing=None,
        )
        return Step("crashes", host), self._seen(after)

    # -- turns ------------------------------------------------------------------

    def _taking(
        self, state: State, step: Step, event: Event, passed: int = 0
    ) -> Iterator[tuple[Step, State]]:
        number, letters = state.minds[step.host], state.inbound[step.host]
        for turn in self._letters.turns(number, letters, event, passed):
            yield from self._turning(state, step, turn)

    def _turning(
        self, state: State, step: Step, turn: Turn
    ) -> Iterator[tuple[Step, State]]:
        """Yield what a turn makes of *state*; nothing if that has no more to come."""
        crashing = state.crashing
        is_durable = crashing is None or crashing[0] != step.host
        after = self._after(
            state, step.host, self._outcome(turn, is_durable=is_durable)
        )
        if after is not state:
            yield step, after
        if is_durable and turn.persists and state.left.crashes:
            stopped = state._replace(
                crashing=(step.host, state.minds[step.host]),
                left=state.left._replace(crashes=state.left.crashes - 1),
            )
            yield (
                step._replace(name=f"{step.name}, not durably,"),
                self._after(stopped, step.host, self._outcome(turn, is_durable=False)),
            )

    def _outcome(self, turn: Turn, *, is_durable: bool) -> _Outcome:
        found = self._outcomes.get((turn, is_durable))
        if found is None:
            deeds = (turn.at_once, turn.effects) if is_durable else (turn.at_once,)
            letters: dict[int, int] = {}
            for letter in (each for d in deeds for each in d.sent):
                place = int(letter[1]) - 1
                letters[place] = letters.get(place, 0) | self._letters.bit(letter)
            found = self._outcomes[turn, is_durable] = _Outcome(
                turn.after,
                tuple(letters.items()),
                tuple(each for d in deeds for each in d.asked),
                tuple(each for d in deeds for each in d.confirmed),
            )
        return found

    def _after(self, state: State, host: int, outcome: _Outcome) -> State:
        minds, inbound, authority, told, floors, crashing, left = state
        number, letters, asked, confirmed = outcome
        for token in confirmed:
            if self.replicas.minds[number].committed < floors[token]:
                msg = f"replica {host + 1} answers a read without entry {floors[token]}"
                raise ViolationError(msg)
        touched = set() if minds[host] == number else {host}
        for receiver, bits in letters:
            if bits & ~inbound[receiver]:
                inbound = _put(inbound, receiver, inbound[receiver] | bits)
                touched.add(receiver)
        if asked:
            changed = self.authorities.state(authority).asked(host, asked)
            authority = self.authorities.number(changed)
        elif not touched:
            return state
        if minds[host] != number:
            minds = _put(minds, host, number)
            told = self._told_by(told, number)
        inbound = self._letters.exchanged(minds, inbound, crashing, touched)
        after = State(minds, inbound, authority, told, floors, crashing, left)
        return self._seen(after)

    def _told_by(self, told: int, number: int) -> int:
        """Return what is told once a replica is in a state."""
        found = self._tellings.get((told, number))
        if found is None:
            mind, before = self.replicas.minds[number], self._told.value(told)
            found = told
            if mind.committed > len(before):
                if mind.entries[: len(before)] != before:
                    msg = f"{mind.own} has {mind.entries} for what was {before}"
                    raise ViolationError(msg)
                found = self._told.number(mind.entries[: mind.committed])
            self._tellings[told, number] = found
        return found

    # -- judging ----------------------------------------------------------------

    def _seen(self, state: State) -> State:
        """Judge a state, unless one like it was; leave out what nobody waits for."""
        authority, is_suspected = state.authority, state.left.takeovers > 0
        for host, number in enumerate(state.minds):
            heard = heard_from(self.replicas.minds[number], is_suspected=is_suspected)
            authority = self.authorities.waited_for(authority, host, heard)
        if authority != state.authority:
            state = state._replace(authority=authority)
        held = self.authorities.held(authority)
        view = state.minds, state.crashing, state.told, held
        if view not in self._judged:
            minds, disks = self.replicas.minds, list(state.minds)
            if state.crashing is not None:
                disks[state.crashing[0]] = state.crashing[1]
            judge(
                [minds[number] for number in state.minds],
                [minds[number] for number in disks],
                self._told.value(state.told),
                self.authorities.state(state.authority).held,
            )
            self._judged.add(view)
        return state


def _put(items: tuple[int, ...], place: int, item: int) -> tuple[int, ...]:
    return (*items[:place], item, *items[place + 1 :])
