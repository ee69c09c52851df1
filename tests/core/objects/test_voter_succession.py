"""Bids within a view, and the way to the next one, message by message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.objects.caspaxos import (
    NOTHING,
    Accept,
    Accepted,
    Ballot,
    Changed,
    Outbid,
    Prepare,
    Promise,
    Refusal,
    Stored,
    VoterState,
)
from kvnode.core.objects.voters.bid import Bid
from kvnode.core.objects.voters.electorate import Electorate
from kvnode.core.objects.voters.memory import VoterMemory
from kvnode.core.objects.voters.messages import (
    SUCCESSION,
    Install,
    Report,
    Seal,
    Standing,
    Vote,
    Voted,
)
from kvnode.core.objects.voters.succession import Succession, merged
from kvnode.types import ReplicaId
from tests.core.objects.voters_at_hand import FIRST, MEMBERS, SECOND, THIRD, registers

P, Q = ReplicaId(90), ReplicaId(91)
MINE = Ballot(2, P)
OLD = VoterState(MINE, Accepted(MINE, b"old"))
NEW = VoterState(Ballot(5, Q), Accepted(Ballot(3, Q), b"new"))


def voted(name: str, answer: Promise | Stored | Refusal) -> Voted:
    """Return a vote in the first view."""
    return Voted(MEMBERS[name].identity, FIRST.view, answer)


def standing(name: str, electorate: Electorate | None) -> Standing:
    """Return that of a member."""
    return VoterMemory(MEMBERS[name].identity, electorate=electorate).standing(())


def report(name: str, electorate: Electorate, **held: VoterState) -> Report:
    """Return what a member holds."""
    return Report(MEMBERS[name].identity, electorate, held)


def begun() -> Bid:
    """Return a bid of which nobody has heard."""
    return Bid.begin(FIRST, "s", MINE, lambda held: held + b"!")


def accepting() -> Bid:
    """Return a bid that a and b have promised."""
    return (
        begun()
        .received("a", voted("a", Promise(MINE, NOTHING)))
        .received("b", voted("b", Promise(MINE, NOTHING)))
    )


def test_bid_asks_those_who_have_not_answered() -> None:
    """In its view, for a promise, and then all of them to accept."""
    bid = begun()
    prepare = Vote(FIRST.view, "s", Prepare(MINE))
    assert bid.requests == {"a": prepare, "b": prepare, "c": prepare}

    bid = bid.received("b", voted("b", Promise(MINE, NOTHING)))
    assert set(bid.requests) == {"a", "c"}

    bid = bid.received("c", voted("c", Promise(MINE, NOTHING)))
    accept = Vote(FIRST.view, "s", Accept(MINE, b"!"))
    assert bid.requests == {"a": accept, "b": accept, "c": accept}

    bid = bid.received("a", voted("a", Stored(MINE)))
    assert set(bid.requests) == {"b", "c"}
    bid = bid.received("b", voted("b", Stored(MINE)))
    assert bid.is_over
    assert bid.attempt.outcome == Changed(b"", b"!")


def test_vote_of_another_view_or_voter_does_not_count() -> None:
    """A name may belong to another voter by now."""
    bid = begun()
    answer = Promise(MINE, NOTHING)

    elsewhere = Voted(MEMBERS["a"].identity, SECOND.view, answer)
    assert bid.received("a", elsewhere) == bid
    assert bid.received("a", Voted(ReplicaId(66), FIRST.view, answer)) == bid
    assert bid.received("a", report("a", FIRST)) == bid


def test_later_view_ends_a_bid() -> None:
    """And nothing else that a voter may be."""
    bid = begun()
    for harmless in (standing("a", None), standing("a", FIRST)):
        assert bid.received("a", harmless) == bid

    over = bid.received("d", standing("d", SECOND))

    assert over.is_over
    assert over.later == SECOND
    assert over.received("a", voted("a", Promise(MINE, NOTHING))) == over


def test_bid_tells_what_it_may_have_made() -> None:
    """Nothing before it asked for acceptance, and then its own value."""
    assert not begun().may_have_made(b"!")
    assert accepting().may_have_made(b"!")
    assert not accepting().may_have_made(b"?")
    refused = accepting().received("a", voted("a", Refusal(MINE, Ballot(3, Q))))
    assert isinstance(refused.attempt.outcome, Outbid)
    assert refused.may_have_made(b"!")


def test_succession_seals_a_majority_and_installs_what_it_held() -> None:
    """At all of the next view, until a majority of it votes."""
    succession = Succession.begin(FIRST, SECOND)
    seal = Seal(SECOND)
    assert succession.requests == {"a": seal, "b": seal, "c": seal, "d": seal}

    succession = succession.received("a", report("a", FIRST, s=OLD))
    assert succession.contents is None
    succession = succession.received("c", report("c", FIRST, s=NEW))
    install = Install(SECOND, {"s": NEW})
    assert succession.requests == {"a": install, "b": install, "d": install}

    succession = succession.received("d", standing("d", SECOND))
    assert not succession.is_over
    assert set(succession.requests) == {"a", "b"}
    assert succession.received("b", standing("b", SECOND)).is_over


def test_one_voter_of_the_next_view_knows_enough() -> None:
    """Its contents came from a majority, or from who had them from one."""
    succession = Succession.begin(None, SECOND)
    assert set(succession.requests) == {"a", "b", "d"}
    assert succession.received("a", report("a", FIRST, s=OLD)) == succession

    succession = succession.received("d", report("d", SECOND, s=NEW))

    install = Install(SECOND, {"s": NEW})
    assert succession.requests == {"a": install, "b": install}


def test_succession_does_not_change_its_contents() -> None:
    """What comes later comes too late."""
    succession = Succession.begin(None, SECOND).received("d", report("d", SECOND))

    assert succession.received("a", report("a", SECOND, s=OLD)).contents == {}


def test_report_of_a_stranger_counts_for_nothing() -> None:
    """Only members of the view before make a majority of it."""
    succession = Succession.begin(FIRST, SECOND)

    for voter in (66, 67):
        succession = succession.received("a", Report(ReplicaId(voter), FIRST, {}))

    assert succession.contents is None


def test_later_view_ends_a_succession() -> None:
    """What has chosen another was in force."""
    succession = Succession.begin(FIRST, SECOND)

    assert succession.received("d", standing("d", THIRD)).is_over
    assert not succession.received("a", standing("a", FIRST)).is_over
    assert not succession.received("d", standing("d", None)).is_over


def test_views_follow_one_by_one() -> None:
    """What the first has chosen says nothing of the third."""
    with pytest.raises(AssertionError, match="one by one"):
        Succession.begin(FIRST, THIRD)


def test_next_view_has_the_largest_of_everything() -> None:
    """Of each register by itself; and it chooses its own successor."""
    contents = merged([{"s": OLD, SUCCESSION: NEW}, {"s": NEW, "t": OLD}])

    assert contents == {"s": NEW, "t": OLD}
    promised = VoterState(Ballot(9, P))
    assert merged([{"s": promised}, {"s": OLD}]) == {
        "s": VoterState(Ballot(9, P), OLD.accepted)
    }


@given(st.lists(registers, min_size=1, max_size=3))
def test_contents_do_not_depend_on_the_order_of_reports(
    reports: list[dict[str, VoterState]],
) -> None:
    """And are what a single voter can hold."""
    contents = merged(reports)

    assert merged(reports[::-1]) == contents == merged([contents])
    assert all(each.promised >= each.accepted.ballot for each in contents.values())
