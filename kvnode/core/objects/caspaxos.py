"""
CASPaxos: a register that survives the loss of a minority of its voters.

There is no log and no leader.  Whoever wants to change the register picks a ballot,
asks a majority of voters to *promise* it, applies a function to the newest value that
any of them has accepted, and asks a majority to *accept* the result:

    prepare b  ->  voters promise: nothing below b from now on; "I hold v of ballot a"
    accept b f(v of the largest a)  ->  voters store it, unless they promised more

Two majorities share a voter, so a change sees every value that was accepted by a
majority before.  A read is a change by the identity, which makes what it saw hold.

A voter must be durable before it answers, and remember for ever: one that has lost its
memory answers nothing (kvnode.core.objects.voters).

References:
    Lamport, 1998.  The part-time parliament.
    Rystsov, 2018.  CASPaxos: replicated state machines without logs.
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


class Prepare(NamedTuple):
    """Promise me *ballot*, and tell me what you hold."""

    ballot: Ballot


class Accept(NamedTuple):
    """Hold *value* from now on."""

    ballot: Ballot
    value: bytes


class Promise(NamedTuple):
    """I take nothing below *ballot* any more; I hold *accepted*."""

    ballot: Ballot
    accepted: Accepted


class Stored(NamedTuple):
    """I hold the value of *ballot*, durably."""

    ballot: Ballot


class Refusal(NamedTuple):
    """I have promised *promised*, which is not below *ballot*."""

    ballot: Ballot
    promised: Ballot


Request = Prepare | Accept
Answer = Promise | Stored | Refusal


def vote(state: VoterState, request: Request) -> tuple[VoterState, Answer]:
    """
    Return what a voter holds after *request*, and what it answers once it is durable.

    A request that comes twice gets the same answer twice.
    """
    match request:
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


Outcome = Changed | Outbid
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
    """

    voters: frozenset[ReplicaId]
    change: Change
    request: Request
    outcome: Outcome | None = None
    promises: frozenset[tuple[Accepted, ReplicaId]] = frozenset()
    stored: frozenset[ReplicaId] = frozenset()

    @classmethod
    def begin(
        cls, ballot: Ballot, voters: frozenset[ReplicaId], change: Change
    ) -> Self:
        """Return a try with *ballot*, which nobody has ever used before."""
        assert ballot > NO_BALLOT, "the empty ballot is nobody's"
        assert voters, "somebody must vote"
        return cls(voters, change, Prepare(ballot))

    @property
    def may_have_happened(self) -> bool:
        """Tell whether a voter may hold the new value."""
        return isinstance(self.request, Accept)

    def received(self, voter: ReplicaId, answer: Answer) -> "Attempt":
        """
        Return the try after an answer; its request may be another one then.

        Answers to other tries, of strangers and those after the end change nothing.
        """
        if (
            self.outcome is not None
            or voter not in self.voters
            or answer.ballot != self.request.ballot
        ):
            return self
        match answer:
            case Promise(_, accepted):
                return self._promised(voter, accepted)
            case Stored():
                return self._stored(voter)
            case Refusal(_, promised):
                outbid = Outbid(promised, self.may_have_happened)
                return replace(self, outcome=outbid)
            case _:
                assert_never(answer)

    def _promised(self, voter: ReplicaId, accepted: Accepted) -> "Attempt":
        if not isinstance(self.request, Prepare):
            return self
        promises = self.promises | {(accepted, voter)}
        if not is_majority(len(promises), len(self.voters)):
            return replace(self, promises=promises)
        found = max(promises)[0].value
        request = Accept(self.request.ballot, self.change(found))
        return replace(self, promises=promises, request=request)

    def _stored(self, voter: ReplicaId) -> "Attempt":
        if not isinstance(self.request, Accept):
            return self  # nobody can have stored what was not asked for
        stored = self.stored | {voter}
        if not is_majority(len(stored), len(self.voters)):
            return replace(self, stored=stored)
        changed = Changed(max(self.promises)[0].value, self.request.value)
        return replace(self, stored=stored, outcome=changed)


def is_majority(some: int, of: int) -> bool:
    """Tell whether any two sets of *some* of *of* members have one in common."""
    return 2 * some > of


def ballot_above(other: Ballot, proposer: ReplicaId) -> Ballot:
    """Return the next ballot of *proposer*, above *other*."""
    return Ballot(other.round + 1, proposer)
