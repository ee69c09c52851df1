"""
One try to change a register, in one view.

It is an attempt of CASPaxos whose messages carry the view.  A voter that has gone on to
a later view ends it: then nothing can be said of what it has asked to be accepted, as
after being outbid.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from kvnode.core.objects.caspaxos import Accept, Attempt, Ballot, Change
from kvnode.core.objects.voters.electorate import Electorate
from kvnode.core.objects.voters.messages import Standing, Vote, Voted, VoterAnswer


@dataclass(frozen=True, slots=True)
class Bid:
    """
    What to send, and what came of it; a value.

    Attributes:
        electorate: Who is asked.
        register: What is to be changed.
        attempt: How far it has come; see there for its outcome.
        later: An electorate that follows, of which a voter has told; ends the bid.
    """

    electorate: Electorate
    register: str
    attempt: Attempt
    later: Electorate | None = None

    @classmethod
    def begin(
        cls,
        electorate: Electorate,
        register: str,
        ballot: Ballot,
        change: Change,
        *,
        looks: bool = False,
    ) -> Self:
        """
        Return a bid with *ballot*, which nobody has ever used in any view.

        See Attempt for *looks*.
        """
        attempt = Attempt.begin(ballot, electorate.identities, change, looks=looks)
        return cls(electorate, register, attempt)

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more is to be sent."""
        return self.attempt.outcome is not None or self.later is not None

    @property
    def requests(self) -> Mapping[str, Vote]:
        """Return what is to be sent now, by the name of each voter."""
        request = Vote(self.electorate.view, self.register, self.attempt.request)
        members, heard = self.electorate.members, self.attempt.heard
        return {each.name: request for each in members if each.identity not in heard}

    def received(self, _name: str, answer: VoterAnswer) -> "Bid":
        """Return the bid after an answer; what others have caused changes nothing."""
        if self.is_over:
            return self
        view = self.electorate.view
        match answer:
            case Voted(voter, in_view, inner) if in_view == view:
                return replace(self, attempt=self.attempt.received(voter, inner))
            case Standing(electorate=Electorate() as other):
                if view.is_before(other.view):
                    return replace(self, later=other)
            case _:
                pass
        return self

    def may_have_made(self, value: bytes) -> bool:
        """Tell whether a voter may hold *value* because of this bid."""
        request = self.attempt.request
        return isinstance(request, Accept) and request.value == value
