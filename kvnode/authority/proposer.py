"""
Who changes registers: bids, one after another, until one is not outbid.

Its ballots are its own: an identity drawn when the process starts, and rounds that only
grow.  So a ballot is never used twice, in whatever view, and whatever of an earlier
process is still on its way is somebody else's.

A bid that was outbid or overtaken by a view may have had its value accepted somewhere.
The next one settles that: it goes on from that value, or it is accepted itself by a
majority and nothing below its ballot is any more.  So whatever a change returns is what
the register has held after all its bids, and the first of them cannot surface later.
That is also why a read is a change: what it has found it makes hold.  To look is not
enough, even if a majority holds the same value with the same ballot, for after a
succession a single voter may hold another one with a larger ballot, which was never
chosen and still can be.
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
    Outbid,
    ballot_above,
)
from kvnode.core.objects.voters.bid import Bid
from kvnode.core.objects.voters.electorate import Electorate
from kvnode.errors import IndeterminateError, KvError, UnavailableError
from kvnode.types import ReplicaId

CHANGE_SECONDS_MAX: Final = 1.8
"""Less than whoever asks an authority waits, so that it is told what has happened."""

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
        tries, may_have_happened = 0, False
        troubles: dict[str, str] = {}
        while asyncio.get_running_loop().time() < deadline:
            electorate = await self._learned(deadline, troubles)
            if electorate is None:
                break
            begun = Bid.begin(
                electorate, register, self._next_ballot(), change_in(electorate)
            )
            talk = Conversation(begun, self._transport, self._uniform)
            bid = await talk.run(deadline)
            troubles = talk.troubles
            outcome = bid.attempt.outcome
            if isinstance(outcome, Changed):
                return electorate, outcome.after
            if wish is not None:
                may_have_happened = may_have_happened or bid.may_have_made(wish)
            if isinstance(outcome, Outbid):
                self._highest = max(self._highest, outcome.promised)
            if bid.later is not None:
                self.adopt(bid.later)
                continue
            tries += 1
            await self._pause(tries, deadline)
        reasons = "".join(f"; {name}: {why}" for name, why in sorted(troubles.items()))
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

    async def _pause(self, tries: int, deadline: float) -> None:
        left = deadline - asyncio.get_running_loop().time()
        await asyncio.sleep(min(max(0.0, left), pause_seconds(tries, self._uniform)))
