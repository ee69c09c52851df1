"""
CASPaxos: a register that survives the loss of a minority of its voters.

There is no log and no leader.  Whoever wants to change the register picks a ballot,
asks a majority of voters to *promise* it, applies a function to the newest value that
any of them has accepted, and asks a majority to *accept* the result:

    prepare b  ->  voters promise: nothing below b from now on; "I hold v of ballot a"
    accept b f(v of the largest a)  ->  voters store it, unless they promised more

Two majorities share a voter, so a change sees every value that was accepted by a
majority before.

Who wants to know only what is held, or whether there is anything to change, *looks*
first, which writes nothing and stands in nobody's way:

    look        ->  voters show: "I hold v of ballot a, and have promised p"

If a majority has accepted the very same ballot, and has promised nothing beyond it, its
value is what the register holds: a larger ballot would need a promise of one of them,
whose voter would then tell of this value.  That they hold the same is not enough.  One
of them may have promised a larger ballot, whose value, built on something older, waits
to be accepted.  What cannot be seen so is made to hold by a change, if need be by the
identity.

A voter must be durable before it answers, and remember for ever: one that has lost its
memory answers nothing (kvnode.core.objects.voters).

References:
    Lamport, 1998.  The part-time parliament.
    Rystsov, 2018.  CASPaxos: replicated state machines without logs.
    Charapko, Ailijiang & Demirbas, 2019.  Linearizable quorum reads in Paxos.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Self, assert_never

from kvnode.types import ReplicaId


class Ballot(NamedTuple):
    """Who tries, and in which round; no two tries have the same."""

    round: int
    proposer: ReplicaId


NO_BALLOT: Final = Ballot(0, ReplicaId(0))
"""Below all others."""


class Accepted(NamedTuple):
    """What a voter holds: a value and the ballot it came with."""

    ballot: Ballot
    value: bytes


NOTHING: Final = Accepted(NO_BALLOT, b"")
"""A register that was never written has the value b""."""


class VoterState(NamedTuple):
    """What a voter must not forget of one register."""

    promised: Ballot = NO_BALLOT
    accepted: Accepted = NOTHING


# What is sent is compared, and tuples with the same parts are equal: a Look would be
# taken for the Prepare of the same ballot.  So these are no tuples.


@dataclass(frozen=True, slots=True)
class Look:
    """Show me, for the try of *ballot*, what you hold; it promises nothing."""

    ballot: Ballot


@dataclass(frozen=True, slots=True)
class Prepare:
    """Promise me *ballot*, and tell me what you hold."""

    ballot: Ballot


@dataclass(frozen=True, slots=True)
class Accept:
    """Hold *value* from now on."""

    ballot: Ballot
    value: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """To the try of *ballot*: I hold *state*."""

    ballot: Ballot
    state: VoterState


@dataclass(frozen=True, slots=True)
class Promise:
    """I take nothing below *ballot* any more; I hold *accepted*."""

    ballot: Ballot
    accepted: Accepted


@dataclass(frozen=True, slots=True)
class Stored:
    """I hold the value of *ballot*, durably."""

    ballot: Ballot


@dataclass(frozen=True, slots=True)
class Refusal:
    """I have promised *promised*, which is not below *ballot*."""

    ballot: Ballot
    promised: Ballot


Request = Look | Prepare | Accept
Answer = Shown | Promise | Stored | Refusal


def vote(state: VoterState, request: Request) -> tuple[VoterState, Answer]:
    """
    Return what a voter holds after *request*, and what it answers once it is durable.

    A request that comes twice gets the same answer twice.
    """
    match request:
        case Look(ballot):
            return state, Shown(ballot, state)
        case Prepare(ballot):
            if ballot < state.promised:
                return state, Refusal(ballot, state.promised)
            return state._replace(promised=ballot), Promise(ballot, state.accepted)
        case Accept(ballot, value):
            if ballot < state.promised:
                return state, Refusal(ballot, state.promised)
            return VoterState(ballot, Accepted(ballot, value)), Stored(ballot)
        case _:
            assert_never(request)


class Changed(NamedTuple):
    """
    The register held *before*, and holds *after*.

    Both in an unbroken line: no other value was in between.
    """

    before: bytes
    after: bytes


class Outbid(NamedTuple):
    """
    Another try has a larger ballot: try again above *promised*.

    If the try had asked for acceptance before, its value may be chosen all the same.
    """

    promised: Ballot
    may_have_happened: bool


class Unsettled(NamedTuple):
    """
    What is held cannot be seen: somebody is changing it, or has begun and died.

    Nothing was changed.  The largest promise that was seen is *promised*.
    """

    promised: Ballot


Outcome = Changed | Outbid | Unsettled
Change = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    One try to change a register: what to send, and what came of it; a value.

    Attributes:
        voters: All of them; a majority must answer.
        change: From the value that is found to the value that is to be.
        request: What every voter is to be sent now, and again until it answers.
        outcome: What came of it, once it is at an end.
        heard: Those who have answered to *request*.
        found: The newest value that they have accepted, and its ballot.
    """

    voters: frozenset[ReplicaId]
    change: Change
    request: Request
    outcome: Outcome | None = None
    heard: frozenset[ReplicaId] = frozenset()
    found: Accepted = NOTHING

    @classmethod
    def begin(
        cls,
        ballot: Ballot,
        voters: frozenset[ReplicaId],
        change: Change,
        *,
        looks: bool = False,
    ) -> Self:
        """
        Return a try with *ballot*, which nobody has ever used before.

        Args:
            ballot: Its own.
            voters: All of them.
            change: From the value that is found to the value that is to be.
            looks: First see what is held.  If that is not to change, nothing more is
                done, and if it cannot be seen, the try ends as Unsettled.
        """
        assert ballot > NO_BALLOT, "the empty ballot is nobody's"
        assert voters, "somebody must vote"
        return cls(voters, change, Look(ballot) if looks else Prepare(ballot))

    @property
    def may_have_happened(self) -> bool:
        """Tell whether a voter may hold the new value."""
        return isinstance(self.request, Accept)

    def received(self, voter: ReplicaId, answer: Answer) -> "Attempt":
        """
        Return the try after an answer; its request may be another one then.

        Answers to other tries, to what was asked before, of strangers, of who has
        answered, and those after the end change nothing.
        """
        if (
            self.outcome is not None
            or voter not in self.voters - self.heard
            or answer.ballot != self.request.ballot
        ):
            return self
        match self.request, answer:
            case Look(), Shown(_, state):
                return self._shown(voter, state)
            case Prepare(), Promise(_, accepted):
                return self._promised(voter, accepted)
            case Accept(), Stored():
                return self._stored(voter)
            case _, Refusal(_, promised):
                outbid = Outbid(promised, self.may_have_happened)
                return replace(self, outcome=outbid)
            case _:
                return self

    def _shown(self, voter: ReplicaId, state: VoterState) -> "Attempt":
        # One that differs from the first, or has promised more, settles it at once.
        is_alike = not self.heard or state.accepted == self.found
        if state.promised != state.accepted.ballot or not is_alike:
            # Those before have promised what they hold, and the same.
            promised = max(self.found.ballot, state.promised)
            return replace(self, outcome=Unsettled(promised))
        after = replace(self, heard=self.heard | {voter}, found=state.accepted)
        if not after._has_majority:
            return after
        held = after.found.value
        if self.change(held) == held:
            return replace(after, outcome=Changed(held, held))
        return after._asking(Prepare(self.request.ballot))

    def _promised(self, voter: ReplicaId, accepted: Accepted) -> "Attempt":
        after = replace(
            self, heard=self.heard | {voter}, found=max(self.found, accepted)
        )
        if not after._has_majority:
            return after
        wanted = self.change(after.found.value)
        return after._asking(Accept(self.request.ballot, wanted))

    def _stored(self, voter: ReplicaId) -> "Attempt":
        after = replace(self, heard=self.heard | {voter})
        if not after._has_majority:
            return after
        assert isinstance(self.request, Accept), "nothing else is stored"
        changed = Changed(self.found.value, self.request.value)
        return replace(after, outcome=changed)

    @property
    def _has_majority(self) -> bool:
        return is_majority(len(self.heard), len(self.voters))

    def _asking(self, request: Request) -> "Attempt":
        return replace(self, request=request, heard=frozenset())


def is_majority(some: int, of: int) -> bool:
    """Tell whether any two sets of *some* of *of* members have one in common."""
    return 2 * some > of


def ballot_above(other: Ballot, proposer: ReplicaId) -> Ballot:
    """Return the next ballot of *proposer*, above *other*."""
    return Ballot(other.round + 1, proposer)
