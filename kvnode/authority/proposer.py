"""
Who changes registers: bids, one after another, until one is not outbid.

Its ballots are its own: an identity drawn when the process starts, and rounds that only
grow.  So a ballot is never used twice, in whatever view, and whatever of an earlier
process is still on its way is somebody else's.

A bid that was outbid or overtaken by a view may have had its value accepted somewhere.
The next one settles that: it goes on from that value, or it is accepted itself by a
majority and nothing below its ballot is any more; or it has seen, without bidding, that
a majority holds something else and has promised nothing beyond.  So whatever a change
returns is what the register has held after all its bids, and the first of them cannot
surface later.

Reads look and do not bid, unless what is held cannot be seen and nobody seems to be at
it any more.  And who was outbid looks before it bids again: who has won may have left
nothing to change.  Were every read a bid, those of a few nodes far apart would outbid
the changes that they wait for, and each other.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from kvnode.authority.conversation import Conversation, pause_seconds, standing
from kvnode.authority.voter_port import Uniform, VoterTransport
from kvnode.core.objects.caspaxos import (
    NO_BALLOT,
    Ballot,
    Change,
    Changed,
    Unsettled,
    ballot_above,
)
from kvnode.core.objects.voters.bid import Bid
from kvnode.core.objects.voters.electorate import Electorate
from kvnode.errors import IndeterminateError, KvError, UnavailableError
from kvnode.types import ReplicaId

LOOKS_MAX: Final = 4
"""In a row, if no two of them see the same; then a bid settles what they do not see."""

CHANGE_SECONDS_MAX: Final = 1.8
"""Less than whoever asks an authority waits, so that it is told what has happened."""

FAR_SECONDS_MAX: Final = 1.0
"""Between tries of who is far from the voters: two to four round trips."""

ChangeIn = Callable[[Electorate], Change]
"""From the electorate of a view to what is to be changed in it."""


class Proposer:
    """
    Makes changes, several at once if need be.

    Attributes:
        electorate: Who votes, as far as is known here.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        transport: VoterTransport,
        *,
        proposer: ReplicaId,
        uniform: Uniform,
    ) -> None:
        """
        Begin with nothing known.

        Args:
            names: Nodes of whom some vote.
            transport: The way to them.
            proposer: Drawn at random for this process, and never kept.
            uniform: Draws how long to wait.
        """
        assert proposer != NO_BALLOT.proposer, "0 is nobody"
        self.electorate: Electorate | None = None
        self._names = names
        self._transport = transport
        self._proposer = proposer
        self._uniform = uniform
        self._highest = NO_BALLOT

    async def change(
        self, register: str, change_in: ChangeIn, wish: bytes | None, deadline: float
    ) -> tuple[Electorate, bytes]:
        """
        Change a register; return what it holds then, and in whose view.

        Args:
            register: Of a shard, or SUCCESSION.
            change_in: May be asked several times, and may raise.
            wish: The value that counts as something having happened; None for reads.
            deadline: By the loop's clock.

        Raises:
            UnavailableError: No majority answered in time; *wish* was not made.
            IndeterminateError: The same, and *wish* may have been made.
        """
        tries, looks, may_have_happened = 0, 0, False
        is_to_look, unsettled = wish is None, Unsettled(NO_BALLOT)
        troubles: dict[str, str] = {}
        clock = asyncio.get_running_loop().time
        while clock() < deadline:
            electorate = await self._learned(deadline, troubles)
            if electorate is None:
                break
            began = clock()
            bid = Bid.begin(
                electorate,
                register,
                self._next_ballot(),
                change_in(electorate),
                looks=is_to_look,
            )
            talk = Conversation(bid, self._transport, self._uniform)
            bid = await talk.run(deadline)
            troubles = talk.troubles
            outcome = bid.attempt.outcome
            if isinstance(outcome, Changed):
                return electorate, outcome.after
            if wish is not None:
                may_have_happened = may_have_happened or bid.may_have_made(wish)
            if outcome is not None:
                self._highest = max(self._highest, outcome.promised)
            if bid.later is not None:
                self.adopt(bid.later)
                continue
            # At what two looks have found the same nobody is, for whom to wait.
            took = 0.0 if outcome == unsettled else clock() - began
            if isinstance(outcome, Unsettled):
                looks += 1
                is_to_look = outcome != unsettled and looks < LOOKS_MAX
                unsettled = outcome
            else:
                looks, is_to_look = 0, True
            tries += 1
            await self._pause(tries, deadline, took=took)
        reasons = "".join(f"; {name}: {why}" for name, why in sorted(troubles.items()))
        if tries and not reasons:
            reasons = "; others were changing the same all the time"
        msg = f"no majority of the voters answered in time{reasons}"
        if may_have_happened:
            raise IndeterminateError(msg)
        raise UnavailableError(msg)

    def adopt(self, later: Electorate) -> None:
        """Go on with *later*, unless something later is known."""
        known = self.electorate
        if known is None or known.view.is_before(later.view):
            self.electorate = later

    def _next_ballot(self) -> Ballot:
        """Return a ballot above all that were seen, which nobody has ever used."""
        self._highest = ballot_above(self._highest, self._proposer)
        return self._highest

    async def _learned(
        self, deadline: float, troubles: dict[str, str]
    ) -> Electorate | None:
        """
        Return who votes, asking until some voter says so; None at the deadline.

        What it says may be old: then those who vote there tell so.
        """
        tries = 0
        while self.electorate is None:
            asking = [
                asyncio.ensure_future(self._inquire(name, troubles))
                for name in self._names
            ]
            try:
                for each in asyncio.as_completed(asking):
                    found = await each
                    if found is not None:
                        self.adopt(found)
                        break
            finally:
                for task in asking:
                    task.cancel()
            if self.electorate is None:
                tries += 1
                await self._pause(tries, deadline)
                if asyncio.get_running_loop().time() >= deadline:
                    return None
        return self.electorate

    async def _inquire(self, name: str, troubles: dict[str, str]) -> Electorate | None:
        answer = await standing(name, self._transport)
        if isinstance(answer, KvError):
            troubles[name] = str(answer)
            return None
        if answer.electorate is None:
            troubles[name] = "it does not vote"
        return answer.electorate

    async def _pause(self, tries: int, deadline: float, *, took: float = 0.0) -> None:
        """
        Wait after the *tries*-th vain try.

        One that *took* long is far from the voters, and so may be who has outbid it:
        only in a pause of some round trips can either of them get through.
        """
        left = deadline - asyncio.get_running_loop().time()
        longest = min(FAR_SECONDS_MAX, took * 2 ** min(tries, 16))
        far = self._uniform(longest / 4, longest)
        seconds = max(far, pause_seconds(tries, self._uniform))
        await asyncio.sleep(min(max(0.0, left), seconds))
