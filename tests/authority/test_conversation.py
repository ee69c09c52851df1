"""Talking with several voters: who hangs is not waited for, who errs asked again."""

import asyncio
from collections import Counter
from random import Random

from cluster.simulated.running import run as run_simulated
from kvnode.authority.conversation import (
    ASK_SECONDS_MAX,
    PAUSE_SECONDS,
    PAUSE_SECONDS_MAX,
    Conversation,
    pause_seconds,
    standing,
)
from kvnode.core.objects.caspaxos import Ballot, Changed, Prepare
from kvnode.core.objects.voters.bid import Bid
from kvnode.core.objects.voters.memory import VoterMemory, answered
from kvnode.core.objects.voters.messages import (
    Inquire,
    Report,
    Vote,
    VoterAnswer,
    VoterRequest,
)
from kvnode.errors import PeerProtocolError, UnavailableError
from kvnode.types import ReplicaId
from tests.core.objects.voters_at_hand import FIRST, MEMBERS

DOWN = UnavailableError("it is down")


class Voters:
    """
    Three voters in their first view.

    Attributes:
        asked: How often each was asked.
    """

    def __init__(self) -> None:
        self.asked = Counter[str]()
        self.memories = {
            member.name: VoterMemory(member.identity, electorate=FIRST)
            for member in FIRST.members
        }

    async def ask(
        self, voter: str, request: VoterRequest, _deadline_seconds: float
    ) -> VoterAnswer:
        """See kvnode.authority.voter_port.VoterTransport."""
        self.asked[voter] += 1
        await self.behave(voter, request)
        self.memories[voter], answer = answered(self.memories[voter], request, ())
        return answer

    async def behave(self, voter: str, request: VoterRequest) -> None:
        """Answer at once."""


def talked(voters: Voters) -> tuple[Conversation[Bid], float]:
    """Let a bid be talked about for five virtual seconds; return how long it took."""

    async def main(_cluster: object) -> tuple[Conversation[Bid], float]:
        ballot = Ballot(1, ReplicaId(9))
        bid = Bid.begin(FIRST, "s", ballot, lambda held: held + b"!")
        talk = Conversation(bid, voters, Random(1).uniform)
        await talk.run(5.0)
        await asyncio.sleep(0)
        return talk, asyncio.get_running_loop().time()

    return run_simulated(main, nodes=())


def test_voter_that_hangs_is_asked_what_is_due_by_now() -> None:
    """It does not matter what it was asked before."""

    class Hanging(Voters):
        async def behave(self, voter: str, request: VoterRequest) -> None:
            assert isinstance(request, Vote)
            prepares = isinstance(request.request, Prepare)
            if voter == "c" and prepares:
                await asyncio.sleep(3)
            if voter == "b" and not prepares:
                raise DOWN

    talk, seconds = talked(Hanging())

    assert talk.topic.attempt.outcome == Changed(b"", b"!")
    assert seconds < ASK_SECONDS_MAX


def test_voter_that_is_down_is_asked_again_and_not_too_often() -> None:
    """Until the deadline; why it does not answer is kept."""

    class Down(Voters):
        async def behave(self, voter: str, _request: VoterRequest) -> None:
            if voter != "a":
                raise DOWN

    voters = Down()
    talk, seconds = talked(voters)

    assert not talk.topic.is_over
    assert seconds == 5.0
    assert talk.troubles == {"b": "it is down", "c": "it is down"}
    assert voters.asked["a"] == 1
    assert 5 / PAUSE_SECONDS_MAX < voters.asked["b"] < 30


def test_voter_whose_answer_changes_nothing_is_asked_again() -> None:
    """It may vote by then."""

    class Late(Voters):
        async def behave(self, voter: str, _request: VoterRequest) -> None:
            if voter != "a":
                is_there = self.asked[voter] > 3
                identity = MEMBERS[voter].identity
                electorate = FIRST if is_there else None
                self.memories[voter] = VoterMemory(identity, electorate=electorate)

    talk, _ = talked(Late())

    assert talk.topic.attempt.outcome == Changed(b"", b"!")
    assert talk.troubles == {}


def test_pause_grows_to_a_largest_and_is_drawn() -> None:
    """So that two who are outbid by each other part."""
    shortest = [pause_seconds(tries, min) for tries in range(1, 100)]
    longest = [pause_seconds(tries, max) for tries in range(1, 100)]

    assert longest[0] == 2 * PAUSE_SECONDS
    assert longest == sorted(longest)
    assert longest[-1] == PAUSE_SECONDS_MAX
    assert shortest == [seconds / 2 for seconds in longest]


async def test_who_does_not_say_who_it_is_errs() -> None:
    """No correct peer answers so."""

    class Odd(Voters):
        async def ask(
            self, voter: str, request: VoterRequest, _deadline_seconds: float
        ) -> VoterAnswer:
            assert request == Inquire()
            return Report(MEMBERS[voter].identity, FIRST, {})

    assert isinstance(await standing("a", Odd()), PeerProtocolError)
