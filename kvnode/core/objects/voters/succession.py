"""
From one view to the next: seal a majority, and give what it holds to the new one.

    Seal     to all of both: either a majority of the view before reports, sealed, or
             one voter that is in the next view already
    Install  what they have reported, to all of the next; done once a majority has it

Anybody who knows the successor may do this, and many at once, for two of them may come
to different contents: of what was accepted and not chosen, one majority has seen more
than the other.  That is as if those messages had come to some voters and not to others,
so long as nobody can undercut them.  Therefore a register keeps its ballots: that of
the value, *and the largest promise* of the majority.  Whatever was accepted anywhere
had been promised by a majority before, which shares a voter with any that is sealed; so
no voter of the next view takes a ballot below.  Were promises left out, a value could
be chosen in the new view below a ballot that some of its voters hold, and be lost.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from kvnode.core.objects.caspaxos import VoterState
from kvnode.core.objects.configuration import has_majority
from kvnode.core.objects.voters.electorate import Electorate
from kvnode.core.objects.voters.messages import (
    SUCCESSION,
    Install,
    Report,
    Seal,
    Standing,
    VoterAnswer,
)
from kvnode.types import ReplicaId

Registers = Mapping[str, VoterState]


@dataclass(frozen=True, slots=True)
class Succession:
    """
    What to send, and how far it has come; a value.

    Attributes:
        before: The view that has chosen *after*; None if only a voter of *after* can
            help, since who asks does not know the view before.
        after: The electorate that is to vote.
        reports: Of the sealed voters of *before*.
        contents: What the voters of *after* begin with, once it is known.
        installed: Those of *after* that vote in it.
        has_passed: A later view was heard of, which *after* has chosen.
    """

    before: Electorate | None
    after: Electorate
    reports: Mapping[ReplicaId, Registers]
    contents: Registers | None = None
    installed: frozenset[ReplicaId] = frozenset()
    has_passed: bool = False

    @classmethod
    def begin(cls, before: Electorate | None, after: Electorate) -> "Succession":
        """Return one in which nobody has been asked yet."""
        assert before is None or before.view.next == after.view, "one by one"
        return cls(before, after, {})

    @property
    def is_over(self) -> bool:
        """Tell whether *after* is or was in force: a majority of it votes."""
        has_come = has_majority(self.installed, self.after.identities)
        return self.has_passed or has_come

    @property
    def requests(self) -> Mapping[str, Seal | Install]:
        """Return what is to be sent now, by the name of each voter."""
        waiting = [m for m in self.after.members if m.identity not in self.installed]
        if self.contents is not None:
            install = Install(self.after, self.contents)
            return {member.name: install for member in waiting}
        if self.before is not None:
            waiting += [
                m for m in self.before.members if m.identity not in self.reports
            ]
        return {member.name: Seal(self.after) for member in waiting}

    def received(self, _name: str, answer: VoterAnswer) -> "Succession":
        """Return it after an answer; what others have caused changes nothing."""
        match answer:
            case Report(voter, electorate, registers):
                if electorate == self.after:
                    known = replace(self, installed=self.installed | {voter})
                    return known._with_contents(registers)
                if electorate == self.before:
                    reports = {**self.reports, voter: registers}
                    known = replace(self, reports=reports)
                    if has_majority(reports, electorate.identities):
                        return known._with_contents(merged(reports.values()))
                    return known
            case Standing(voter=voter, electorate=Electorate(view=view)):
                if view == self.after.view:
                    return replace(self, installed=self.installed | {voter})
                if self.after.view.is_before(view):
                    return replace(self, has_passed=True)
            case _:
                pass
        return self

    def _with_contents(self, contents: Registers) -> "Succession":
        return self if self.contents is not None else replace(self, contents=contents)


def merged(reports: Collection[Registers]) -> Registers:
    """Return what the next view begins with, from what a sealed majority holds."""
    names = {name for each in reports for name in each} - {SUCCESSION}
    contents: dict[str, VoterState] = {}
    for name in sorted(names):
        held = [each[name] for each in reports if name in each]
        promised = max(state.promised for state in held)
        contents[name] = VoterState(promised, max(state.accepted for state in held))
    return contents
