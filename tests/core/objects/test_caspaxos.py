"""CASPaxos: the values that are acknowledged are one unbroken line."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.objects.caspaxos import (
    NO_BALLOT,
    NOTHING,
    Accept,
    Accepted,
    Answer,
    Attempt,
    Ballot,
    Change,
    Changed,
    Look,
    Outbid,
    Prepare,
    Promise,
    Refusal,
    Request,
    Shown,
    Stored,
    Unsettled,
    VoterState,
    ballot_above,
    is_majority,
    vote,
)
from kvnode.types import ReplicaId

VOTERS = tuple(map(ReplicaId, (1, 2, 3)))
P, Q = ReplicaId(8), ReplicaId(9)
FIRST = Ballot(1, P)


class Append:
    """A change that can be told from all others: it adds a letter."""

    def __init__(self, letter: bytes) -> None:
        self.letter = letter

    def __call__(self, value: bytes) -> bytes:
        """Return *value* with the letter."""
        return value + self.letter


def unchanged(value: bytes) -> bytes:
    """Only read."""
    return value


@st.composite
def runs(draw: st.DrawFn) -> list[Changed]:
    """What five proposers, each trying again and again, are told in the end."""
    changed: list[Changed] = []
    voters = dict.fromkeys(VOTERS, VoterState())
    flying: list[tuple[Attempt | None, ReplicaId, Request | Answer]] = []
    trying: dict[ReplicaId, Attempt] = {}
    letters = iter(range(1000))
    highest = NO_BALLOT
    choice = draw(st.randoms(use_true_random=False))
    proposers = [ReplicaId(10 + n) for n in range(5)]
    for _ in range(draw(st.integers(50, 150))):
        if not flying or choice.random() < 0.1:
            proposer = choice.choice(proposers)
            ballot = ballot_above(highest, proposer)
            highest = max(highest, ballot)
            change: Change = Append(b"%03d" % next(letters))
            looks = choice.random() < 0.5
            if looks and choice.random() < 0.7:
                change = unchanged
            attempt = Attempt.begin(ballot, frozenset(VOTERS), change, looks=looks)
            trying[proposer] = attempt
            flying += [(None, voter, attempt.request) for voter in VOTERS]
        place = choice.randrange(len(flying))
        _, voter, message = flying[place]
        if choice.random() < 0.8:
            del flying[place]  # else it comes again
        if choice.random() < 0.1:
            continue  # lost
        if isinstance(message, Look | Prepare | Accept):
            voters[voter], answer = vote(voters[voter], message)
            flying.append((None, voter, answer))
            continue
        proposer = message.ballot.proposer
        before = trying[proposer]
        after = trying[proposer] = before.received(voter, message)
        if after.request != before.request:
            flying += [(None, each, after.request) for each in VOTERS]
        if isinstance(after.outcome, Changed) and before.outcome is None:
            changed.append(after.outcome)
    return changed


@given(runs())
def test_each_acknowledged_change_sees_all_before_it(changed: list[Changed]) -> None:
    """In the order in which they were acknowledged: the register is linearizable."""
    for earlier, later in pairwise(changed):
        assert later.before.startswith(earlier.after)


@pytest.mark.parametrize("request_", [Prepare(FIRST), Accept(FIRST, b"new")])
def test_voter_refuses_what_is_below_its_promise(request_: Request) -> None:
    """It says what it has promised, so that the next try can be above."""
    state = VoterState(Ballot(2, Q), Accepted(FIRST, b"old"))

    assert vote(state, request_) == (state, Refusal(FIRST, Ballot(2, Q)))


def test_voter_answers_twice_what_comes_twice() -> None:
    """Networks repeat messages."""
    once, promise = vote(VoterState(), Prepare(FIRST))
    assert (
        vote(once, Prepare(FIRST)) == (once, promise) == (once, Promise(FIRST, NOTHING))
    )

    stored, answer = vote(once, Accept(FIRST, b"v"))
    assert (
        vote(stored, Accept(FIRST, b"v")) == (stored, answer) == (stored, Stored(FIRST))
    )


def test_acceptance_is_a_promise_too() -> None:
    """A voter may miss the request for its promise and be asked to accept."""
    state, _ = vote(VoterState(), Accept(Ballot(3, P), b"v"))

    assert vote(state, Prepare(Ballot(2, Q)))[1] == Refusal(Ballot(2, Q), Ballot(3, P))


def test_attempt_that_is_outbid_says_whether_it_may_have_happened() -> None:
    """Before it asked for acceptance nothing can have; after that it can."""
    begun = Attempt.begin(FIRST, frozenset(VOTERS), Append(b"A"))
    refusal = Refusal(FIRST, Ballot(2, Q))

    assert begun.received(VOTERS[0], refusal).outcome == Outbid(
        Ballot(2, Q), may_have_happened=False
    )

    for voter in VOTERS[:2]:
        begun = begun.received(voter, Promise(FIRST, NOTHING))
    assert begun.request == Accept(FIRST, b"A")
    assert begun.received(VOTERS[0], refusal).outcome == Outbid(
        Ballot(2, Q), may_have_happened=True
    )


def test_attempt_builds_on_the_newest_value_that_was_accepted() -> None:
    """By ballot, not by the order in which voters answer."""
    attempt = Attempt.begin(Ballot(9, P), frozenset(VOTERS), Append(b"+"))
    old, new = Accepted(Ballot(2, Q), b"zz"), Accepted(Ballot(3, P), b"a")

    for voter, accepted in zip(VOTERS, (new, old), strict=False):
        attempt = attempt.received(voter, Promise(Ballot(9, P), accepted))

    assert attempt.request == Accept(Ballot(9, P), b"a+")


def looking(*states: VoterState, change: Change = unchanged) -> Attempt:
    """Return a try that has looked at voters."""
    ballot = Ballot(9, P)
    attempt = Attempt.begin(ballot, frozenset(VOTERS), change, looks=True)
    assert attempt.request == Look(ballot)
    for voter, state in zip(VOTERS, states, strict=False):
        assert vote(state, attempt.request) == (state, Shown(ballot, state))
        attempt = attempt.received(voter, Shown(ballot, state))
    return attempt


HELD = VoterState(FIRST, Accepted(FIRST, b"v"))


def test_what_a_majority_holds_alike_is_read_by_looking() -> None:
    """Also that nothing was ever written; one voter alone says nothing."""
    assert looking(HELD).outcome is None
    assert looking(HELD, HELD).outcome == Changed(b"v", b"v")
    assert looking(VoterState(), VoterState()).outcome == Changed(b"", b"")


def test_what_is_to_change_is_bid_for_after_the_look() -> None:
    """With the same ballot; and if nothing is to change, it is done."""
    attempt = looking(HELD, HELD, change=Append(b"!"))

    assert attempt.outcome is None
    assert attempt.request == Prepare(Ballot(9, P))
    assert len({Look(Ballot(9, P)), attempt.request}) == 2, "they are told apart"
    for voter in VOTERS[1:]:
        attempt = attempt.received(voter, Promise(Ballot(9, P), HELD.accepted))
    assert attempt.request == Accept(Ballot(9, P), b"v!")


@pytest.mark.parametrize(
    "states",
    [
        (HELD._replace(promised=Ballot(4, Q)),),
        (HELD, HELD._replace(promised=Ballot(4, Q))),
        (HELD, VoterState(Ballot(4, Q), Accepted(Ballot(4, Q), b"v"))),
        (VoterState(), VoterState(Ballot(4, Q))),
    ],
)
def test_look_at_what_is_being_changed_says_so(states: tuple[VoterState, ...]) -> None:
    """It may be anything in a moment; also if values are equal by chance."""
    assert looking(*states).outcome == Unsettled(Ballot(4, Q))


@pytest.mark.parametrize("behind", [VoterState(), HELD])
def test_look_that_sees_nothing_held_tells_of_the_largest_promise(
    behind: VoterState,
) -> None:
    """Whoever has shown it: so two looks at the same see the same, in any order."""
    newest = Ballot(4, Q)
    ahead = VoterState(newest, Accepted(newest, b"w"))

    assert looking(ahead, behind).outcome == Unsettled(newest)
    assert looking(behind, ahead).outcome == Unsettled(newest)


def test_attempt_takes_no_notice_of_strangers_and_of_other_ballots() -> None:
    """A voter that was replaced may go on answering."""
    attempt = Attempt.begin(FIRST, frozenset(VOTERS), Append(b"A"))

    assert attempt.received(P, Promise(FIRST, NOTHING)) == attempt
    assert attempt.received(VOTERS[0], Promise(Ballot(1, Q), NOTHING)) == attempt
    assert attempt.received(VOTERS[0], Stored(FIRST)) == attempt


@given(of=st.integers(1, 9), some=st.integers(0, 9))
def test_two_majorities_have_a_member_in_common(of: int, some: int) -> None:
    """And of what is no majority there can be two apart."""
    assert is_majority(min(some, of), of) is (2 * min(some, of) > of)
