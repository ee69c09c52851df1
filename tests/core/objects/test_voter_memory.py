"""What a voter answers, and what it holds then."""

import pytest

from kvnode.core.objects.caspaxos import (
    Accept,
    Accepted,
    Ballot,
    Look,
    Prepare,
    Promise,
    Refusal,
    Shown,
    VoterState,
)
from kvnode.core.objects.voters import memory as voter_memory
from kvnode.core.objects.voters.electorate import Electorate, View
from kvnode.core.objects.voters.memory import VoterMemory, answered
from kvnode.core.objects.voters.messages import (
    SUCCESSION,
    Enlist,
    Inquire,
    Install,
    Report,
    Seal,
    Standing,
    Vote,
    Voted,
)
from kvnode.errors import OverloadedError, PeerProtocolError
from kvnode.types import ReplicaId
from tests.core.objects.voters_at_hand import FIRST, MEMBERS, SECOND, THIRD

P = ReplicaId(90)
NAMES = ("a", "b", "c")
ACCEPT = Accept(Ballot(2, P), b"v")
HELD = VoterState(Ballot(2, P), Accepted(Ballot(2, P), b"v"))
VOTING = VoterMemory(MEMBERS["a"].identity, pledge=FIRST, electorate=FIRST)
FRESH = VoterMemory(MEMBERS["d"].identity)


def after(memory: VoterMemory, *requests: object) -> VoterMemory:
    """Return a memory after requests."""
    for request in requests:
        memory, _ = answered(memory, request, NAMES)  # type: ignore[arg-type]
    return memory


def test_vote_is_kept_and_told_with_whose_it_is() -> None:
    """Registers are apart."""
    memory, answer = answered(VOTING, Vote(FIRST.view, "s", ACCEPT), NAMES)

    assert memory.registers == {"s": HELD}
    assert isinstance(answer, Voted)
    assert (answer.voter, answer.view) == (VOTING.voter, FIRST.view)
    low = Vote(FIRST.view, "s", Prepare(Ballot(1, P)))
    assert answered(memory, low, NAMES)[1] == Voted(
        VOTING.voter, FIRST.view, Refusal(Ballot(1, P), Ballot(2, P))
    )
    other = low._replace(register="t")
    assert isinstance(answered(memory, other, NAMES)[1], Voted)


def test_question_changes_nothing() -> None:
    """It is not worth a write."""
    memory, answer = answered(VOTING, Inquire(), NAMES)

    assert memory is VOTING
    assert answer == VOTING.standing(NAMES)
    look = Vote(FIRST.view, "s", Look(Ballot(1, P)))
    nothing = Voted(VOTING.voter, FIRST.view, Shown(Ballot(1, P), VoterState()))
    assert answered(VOTING, look, NAMES) == (VOTING, nothing)
    repeated = after(VOTING, Vote(FIRST.view, "s", ACCEPT))
    assert after(repeated, Vote(FIRST.view, "s", ACCEPT)) is repeated


@pytest.mark.parametrize("memory", [FRESH, after(VOTING, Seal(SECOND))])
@pytest.mark.parametrize("view", [FIRST.view, SECOND.view])
def test_who_has_not_founded_or_is_sealed_does_not_vote(
    memory: VoterMemory, view: object
) -> None:
    """It says what it is instead."""
    request = Vote(view, "s", ACCEPT)  # type: ignore[arg-type]

    assert answered(memory, request, NAMES) == (memory, memory.standing(NAMES))


def test_who_has_pledged_does_not_vote_yet() -> None:
    """The others may not have."""
    memory = FRESH._replace(voter=MEMBERS["a"].identity).pledged(FIRST)
    request = Vote(FIRST.view, "s", ACCEPT)

    assert answered(memory, request, NAMES)[1] == memory.standing(NAMES)
    assert isinstance(answered(memory.founded(FIRST), request, NAMES)[1], Voted)


def test_other_views_and_lineages_are_not_answered() -> None:
    """Neither earlier nor later ones, nor that of another cluster."""
    later = VOTING._replace(electorate=SECOND)
    other = FIRST.view._replace(lineage=ReplicaId(77))
    for memory, view in ((later, FIRST.view), (VOTING, SECOND.view), (VOTING, other)):
        answer = answered(memory, Vote(view, "s", ACCEPT), NAMES)
        assert answer == (memory, memory.standing(NAMES))


def test_seal_is_for_the_next_view_and_reports_all() -> None:
    """It comes again, and another successor is an error."""
    memory = after(VOTING, Vote(FIRST.view, "s", ACCEPT))

    sealed, report = answered(memory, Seal(SECOND), NAMES)

    assert report == Report(VOTING.voter, FIRST, {"s": HELD})
    assert sealed == memory._replace(successor=SECOND)
    assert answered(sealed, Seal(SECOND), NAMES) == (sealed, report)
    assert isinstance(answered(memory, Seal(THIRD), NAMES)[1], Standing)
    with pytest.raises(PeerProtocolError, match="two electorates"):
        answered(sealed, Seal(FIRST.with_replaced("b", MEMBERS["d"])), NAMES)


def test_seal_does_not_concern_who_is_in_the_next_view() -> None:
    """It reports what it holds there."""
    memory = VOTING._replace(electorate=SECOND, registers={"s": HELD})

    assert answered(memory, Seal(SECOND), NAMES) == (
        memory,
        Report(VOTING.voter, SECOND, {"s": HELD}),
    )
    assert isinstance(answered(FRESH, Seal(SECOND), NAMES)[1], Standing)


def test_first_contents_of_a_view_count() -> None:
    """What comes again is what was known before the first vote."""
    memory = after(VOTING, Seal(SECOND), Install(SECOND, {"s": HELD}))
    assert (memory.electorate, memory.successor) == (SECOND, None)
    assert memory.registers == {"s": HELD}

    assert after(memory, Install(SECOND, {})) is memory
    assert after(memory, Install(FIRST, {})) is memory
    later = after(VOTING, Install(THIRD.with_replaced("d", MEMBERS["a"]), {}))
    assert later.electorate is not None
    assert later.electorate.view.number == 4


def test_contents_are_for_members_of_the_lineage() -> None:
    """Not for who has a member's name, or votes in another cluster."""
    wiped = VoterMemory(ReplicaId(66))
    assert after(wiped, Install(SECOND, {})) is wiped

    other = Electorate(View(ReplicaId(77), 9), SECOND.members)
    assert after(VOTING, Install(other, {})) is VOTING


def test_fresh_voter_begins_with_what_it_is_given() -> None:
    """It was chosen before."""
    memory = after(FRESH, Install(SECOND, {"s": HELD}))

    assert memory == FRESH._replace(electorate=SECOND, registers={"s": HELD})
    answer = answered(memory, Vote(SECOND.view, "s", Prepare(Ballot(3, P))), NAMES)[1]
    assert answer == Voted(
        FRESH.voter, SECOND.view, Promise(Ballot(3, P), HELD.accepted)
    )


def test_only_who_is_fresh_is_enlisted() -> None:
    """And then it founds nothing."""
    assert after(FRESH, Enlist()).barred
    assert after(VOTING, Enlist()) is VOTING
    pledged = VOTING._replace(electorate=None)
    assert after(pledged, Enlist()) is pledged


def test_registers_have_a_largest_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are there go on, and the way to a next view stays open."""
    monkeypatch.setattr(voter_memory, "REGISTERS_MAX", 1)
    memory = after(VOTING, Vote(FIRST.view, "s", ACCEPT))

    with pytest.raises(OverloadedError, match="as many as may be"):
        answered(memory, Vote(FIRST.view, "t", ACCEPT), NAMES)

    assert after(memory, Vote(FIRST.view, "t", Look(Ballot(9, P)))) is memory
    assert after(memory, Vote(FIRST.view, "s", Prepare(Ballot(9, P)))) != memory
    assert SUCCESSION in after(memory, Vote(FIRST.view, SUCCESSION, ACCEPT)).registers
