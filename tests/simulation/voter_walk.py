"""
Voters from view to view as values alone: a step is one message, drawn at random.

A walk takes a millisecond or two, so thousands of them are looked at: any request may
arrive at any time, again, or never; bids have small ballots, so that each can be
undercut; and several conduct the same succession at once.

Judged as in CASPaxos: what is acknowledged is one line, each value a beginning of the
next, and who begins after a change was acknowledged builds on it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from kvnode.core.objects.caspaxos import (
    NO_BALLOT,
    Ballot,
    Changed,
    Outbid,
    Unsettled,
    ballot_above,
)
from kvnode.core.objects.voters import memory as voter_memory
from kvnode.core.objects.voters.bid import Bid
from kvnode.core.objects.voters.electorate import Electorate, Member
from kvnode.core.objects.voters.memory import VoterMemory
from kvnode.core.objects.voters.messages import VoterAnswer, VoterRequest
from kvnode.core.objects.voters.succession import Succession
from kvnode.types import ReplicaId

SHARD = "eu/1"
MEMBERS = {name: Member(ReplicaId(n), name) for n, name in enumerate("abcde", 1)}
FIRST = Electorate.founded_by([MEMBERS[name] for name in "abc"])
SECOND = FIRST.with_replaced("c", MEMBERS["d"])
THIRD = SECOND.with_replaced("a", MEMBERS["e"])
VIEWS = (FIRST, SECOND, THIRD)


def reads(value: bytes) -> bytes:
    """Change nothing."""
    return value


def appends(letter: bytes) -> Callable[[bytes], bytes]:
    """Return a change that can be told from all others."""
    return lambda value: value + letter


@dataclass(slots=True)
class Proposing:
    """One who bids, one bid after another."""

    identity: ReplicaId
    electorate: Electorate
    highest: Ballot = NO_BALLOT


@dataclass(slots=True)
class Topic:
    """What somebody talks about, and when it was begun."""

    topic: Bid | Succession
    began: int
    owner: Proposing | None = None


@dataclass(slots=True)
class Walk:
    """One walk."""

    random: Random
    memories: dict[str, VoterMemory] = field(default_factory=dict)
    topics: list[Topic] = field(default_factory=list)
    sent: list[tuple[Topic, str, VoterRequest]] = field(default_factory=list)
    answers: list[tuple[Topic, str, VoterAnswer]] = field(default_factory=list)
    changed: list[tuple[int, int, Changed]] = field(default_factory=list)
    steps: int = 0
    letters: int = 0
    processes: int = 0
    speaker: Topic = field(init=False)

    def __post_init__(self) -> None:
        for name, member in MEMBERS.items():
            electorate = FIRST if name in FIRST.names else None
            self.memories[name] = VoterMemory(
                member.identity, pledge=electorate, electorate=electorate
            )
        for _ in range(3):
            self.bid(Proposing(self.process(), FIRST))
        self.speaker = self.topics[0]

    def process(self) -> ReplicaId:
        """Return the identity of a process that starts."""
        self.processes += 1
        return ReplicaId(50 + self.processes)

    def bid(self, owner: Proposing) -> None:
        """Let a proposer begin."""
        owner.highest = ballot_above(owner.highest, owner.identity)
        self.letters += 1
        is_read = self.random.random() < 0.4
        change = reads if is_read else appends(b"%03d" % self.letters)
        looks = self.random.random() < (0.7 if is_read else 0.3)
        begun = Bid.begin(owner.electorate, SHARD, owner.highest, change, looks=looks)
        self.topics.append(Topic(begun, self.steps, owner))

    def succeed(self) -> None:
        """Let somebody conduct a succession that can have been chosen."""
        place = 1
        if self.in_force(SECOND) and self.random.random() < 0.7:
            place = 2
        begun = Succession.begin(VIEWS[place - 1], VIEWS[place])
        self.topics.append(Topic(begun, self.steps))

    def in_force(self, electorate: Electorate) -> bool:
        """Tell whether a majority votes in a view, or did."""
        numbers = [
            each.electorate.view.number
            for each in self.memories.values()
            if each.electorate is not None and electorate.has(each.voter)
        ]
        there = sum(number >= electorate.view.number for number in numbers)
        return 2 * there > len(electorate.members)

    def step(self) -> None:
        """Let something happen: mostly, let one go on with what it is about."""
        self.steps += 1
        dice = self.random.random()
        if dice < 0.75:
            self.go_on()
        elif dice < 0.85 and self.answers:
            place = self.random.randrange(len(self.answers))
            self.hear(*self.answers.pop(place))
        elif dice < 0.9 and self.sent:
            self.arrive(*self.random.choice(self.sent))
        elif dice < 0.96:
            self.succeed()
        else:
            self.bid(Proposing(self.process(), self.random.choice(VIEWS)))

    def go_on(self) -> None:
        """Let a request of somebody who is not done arrive; perhaps it is answered."""
        if self.speaker.topic.is_over or self.random.random() < 0.15:
            running = [each for each in self.topics if not each.topic.is_over]
            self.speaker = self.random.choice(running)
        requests = self.speaker.topic.requests
        name = self.random.choice(list(requests))
        self.sent.append((self.speaker, name, requests[name]))
        self.arrive(*self.sent[-1])
        if self.random.random() < 0.85:
            self.hear(*self.answers.pop())

    def arrive(self, topic: Topic, name: str, request: VoterRequest) -> None:
        """Let a voter answer."""
        before = self.memories[name]
        self.memories[name], answer = voter_memory.answered(before, request, ())
        self.answers.append((topic, name, answer))

    def hear(self, topic: Topic, name: str, answer: VoterAnswer) -> None:
        """Let an answer arrive."""
        was_over = topic.topic.is_over
        topic.topic = topic.topic.received(name, answer)
        if was_over or not topic.topic.is_over or topic.owner is None:
            return
        assert isinstance(topic.topic, Bid)
        outcome = topic.topic.attempt.outcome
        if isinstance(outcome, Changed):
            self.changed.append((topic.began, self.steps, outcome))
        if isinstance(outcome, Outbid | Unsettled):
            topic.owner.highest = max(topic.owner.highest, outcome.promised)
        topic.owner.electorate = topic.topic.later or topic.owner.electorate
        self.bid(topic.owner)

    def violations(self) -> list[str]:
        """Return what one register cannot have done."""
        line = sorted((each.after for *_, each in self.changed), key=len)
        found = [
            f"{later!r} does not go on from {earlier!r}"
            for earlier, later in pairwise(line)
            if not later.startswith(earlier)
        ]
        for _, ended, earlier in self.changed:
            found += [
                f"{later} began after {earlier}"
                for began, _, later in self.changed
                if began > ended and not later.before.startswith(earlier.after)
            ]
        return found


def walked(seed: int, steps: int = 100) -> Walk:
    """Return a walk to its end."""
    walk = Walk(Random(seed))
    for _ in range(steps):
        walk.step()
    return walk


def promise_outlives_its_view(seed: int) -> list[str]:
    """
    Hand the contents that two have made of one sealed view to the next.

    X was accepted by a alone; b has promised its ballot.  Whoever has heard b and c
    does not know of X, and installs at b and d, where Y is chosen with a small ballot.
    Then a is installed by whoever has heard of X.
    """
    walk = Walk(Random(seed))
    bid(walk, FIRST, Ballot(5, ReplicaId(70)), "ab", "a", appends(b"X"))
    knowing, other = succeeding(walk, "ab"), succeeding(walk, "bc")
    talk(walk, other, "bd")
    for number in (1, 6):  # if it is outbid, it tries again above
        if not walk.changed:
            bid(walk, SECOND, Ballot(number, ReplicaId(80)), "bd", "bd", appends(b"Y"))
    talk(walk, knowing, "a")
    bid(walk, SECOND, Ballot(7, ReplicaId(90)), "ad", "ad", reads)
    assert len(walk.changed) == 2, "both were acknowledged"
    return walk.violations()


def minority_value_meets_a_look(seed: int) -> list[str]:
    """
    Let a look see a value that two hold alike, and that nobody has chosen.

    V was accepted by b alone, and W, which does not go on from it, by a with a larger
    ballot.  Whoever has heard b and c installs V at b and d, where it is looked at.
    """
    walk = Walk(Random(seed))
    bid(walk, FIRST, Ballot(3, ReplicaId(70)), "bc", "b", appends(b"V"))
    bid(walk, FIRST, Ballot(5, ReplicaId(71)), "ac", "a", appends(b"W"))
    knowing, other = succeeding(walk, "ab"), succeeding(walk, "bc")
    talk(walk, other, "bd")
    look = Bid.begin(SECOND, SHARD, Ballot(6, ReplicaId(80)), reads, looks=True)
    looking = Topic(look, walk.steps, Proposing(ReplicaId(80), SECOND))
    talk(walk, looking, "bd")
    if not walk.changed:  # it could not be seen: then it is bid for
        bid(walk, SECOND, Ballot(6, ReplicaId(81)), "bd", "bd", reads)
    talk(walk, knowing, "a")
    bid(walk, SECOND, Ballot(7, ReplicaId(90)), "ad", "ad", reads)
    assert len(walk.changed) == 2, "both were acknowledged"
    return walk.violations()


def process_starts_again(seed: int) -> list[str]:
    """
    Let a process die whose value a alone has accepted, and start again.

    It begins with the first round again, in which b has promised already.
    """
    walk = Walk(Random(seed))
    first, again = Ballot(1, walk.process()), Ballot(1, walk.process())
    bid(walk, FIRST, first, "ab", "a", appends(b"Z"))
    bid(walk, FIRST, again, "bc", "bc", appends(b"Y"))
    bid(walk, FIRST, Ballot(2, ReplicaId(90)), "ab", "ab", reads)
    assert len(walk.changed) == 2, "both were acknowledged"
    return walk.violations()


def bid(  # noqa: PLR0917 -- where each phase arrives is what there is to a bid
    walk: Walk,
    electorate: Electorate,
    ballot: Ballot,
    promising: str,
    accepting: str,
    change: Callable[[bytes], bytes],
) -> None:
    """Let a bid arrive at the voters that are named, in either phase."""
    walk.steps += 1
    topic = Topic(Bid.begin(electorate, SHARD, ballot, change), walk.steps)
    topic.owner = Proposing(ballot.proposer, electorate)
    talk(walk, topic, promising)
    talk(walk, topic, accepting)


def succeeding(walk: Walk, sealing: str) -> Topic:
    """Let some voters of the first view be sealed for the second, and report."""
    topic = Topic(Succession.begin(FIRST, SECOND), walk.steps)
    talk(walk, topic, sealing)
    return topic


def talk(walk: Walk, topic: Topic, names: str) -> None:
    """Let what is to be said to each of *names* arrive, and the answers then."""
    if topic.topic.is_over:
        return
    walk.steps += 1
    requests = topic.topic.requests
    for name in names:
        walk.arrive(topic, name, requests[name])
    while walk.answers:
        walk.hear(*walk.answers.pop(0))
