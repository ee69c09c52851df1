"""
What a voter is to do of its own accord, given what the others say of themselves.

Founding is in two steps, since the others may change while they are asked.  That a
voter is fresh is true for a moment: since then it may have founded, voted, and lost its
disk.  A pledge is for ever, and there is one in the life of a voter.  So a voter
pledges what it sees if all are fresh, and founds it once *all* say that they have
pledged the very same.  Two electorates that have a voter in common are then never both
founded; a majority would not do, for of two that differ in one identity the others
could be in both.

A voter that finds others with an electorate has come too late to found.  If it is a
member, what it lacks is brought to it; if not, it is a stranger, and whoever runs it
says for whom it is to vote.  It is enlisted before it is chosen, for good: else, before
it has heard of its being a member, it might found with others that have lost their
disks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from kvnode.core.objects.voters.electorate import Electorate, Member
from kvnode.core.objects.voters.messages import Standing

Standings = Mapping[str, Standing]
"""By the name that was asked."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing: it votes."""


@dataclass(frozen=True, slots=True)
class Pledge:
    """Pledge to found *electorate*: all its members are fresh."""

    electorate: Electorate


@dataclass(frozen=True, slots=True)
class Found:
    """Found *electorate*: all its members have pledged it."""

    electorate: Electorate


@dataclass(frozen=True, slots=True)
class Succeed:
    """
    See to it that *after* comes into force, here too.

    Attributes:
        before: The view that has chosen it; None if that is not known here.
        after: Has this voter for a member, or follows the view in which it is sealed.
    """

    before: Electorate | None
    after: Electorate


@dataclass(frozen=True, slots=True)
class Stand:
    """
    Do not vote, and wait for others or for whoever runs this node.

    Attributes:
        reason: For people.
    """

    reason: str


Duty = Rest | Pledge | Found | Succeed | Stand


def duty_of(own: Standing, heard: Standings) -> Duty:
    """
    Return what a voter is to do.

    Args:
        own: Its standing.
        heard: Those of all who have answered, by name, its own among them.
    """
    if own.electorate is not None:
        return _duty_of_member(own, own.electorate, heard.values())
    present = [each.electorate for each in heard.values() if each.electorate]
    if present:
        # A voter is of one lineage, but somebody may have mixed up two clusters.
        latest = max(present, key=lambda each: (each.has(own.voter), each.view.number))
        return _duty_of_newcomer(own, latest, heard.values())
    return _duty_of_founder(own, heard)


def _duty_of_member(
    own: Standing, electorate: Electorate, heard: Iterable[Standing]
) -> Duty:
    later = [
        each.electorate
        for each in heard
        if each.electorate and electorate.view.is_before(each.electorate.view)
    ]
    if later:
        latest = max(later, key=lambda each: each.view.number)
        if not latest.has(own.voter):
            return Stand("this voter was replaced: its node need not vote any more")
        is_next = electorate.view.next == latest.view
        return Succeed(electorate if is_next else None, latest)
    successor = own.successor or _successor_of(electorate, heard)
    return Rest() if successor is None else Succeed(electorate, successor)


def _duty_of_newcomer(
    own: Standing, electorate: Electorate, heard: Iterable[Standing]
) -> Duty:
    if own.pledge == electorate:
        return Found(electorate)
    if electorate.has(own.voter):
        return Succeed(None, electorate)
    successor = _successor_of(electorate, heard)
    if successor is not None and successor.has(own.voter):
        return Succeed(electorate, successor)
    names = ", ".join(sorted(electorate.names))
    return Stand(
        f"this voter is none of those who vote ({names}): its disk is new, was wiped,"
        " or was restored; let it replace the voter that was lost"
    )


def _successor_of(
    electorate: Electorate, heard: Iterable[Standing]
) -> Electorate | None:
    """Return who was chosen to follow *electorate*, if anybody knows."""
    for each in heard:
        if each.electorate == electorate and each.successor is not None:
            return each.successor
    return None


def _duty_of_founder(own: Standing, heard: Standings) -> Duty:
    silent = sorted(set(own.configured) - heard.keys())
    if silent:
        return Stand(f"to found, all voters must answer: {', '.join(silent)} does not")
    named = {name: heard[name] for name in own.configured}
    for name, each in named.items():
        if each.barred:
            return Stand(
                f"voter {name} founds nothing: its disk was copied or restored, or it"
                " was to replace another; so there are others who vote, or who did"
            )
        if each.configured != own.configured:
            return Stand(
                f"voter {name} is configured with other voters:"
                f" {', '.join(each.configured)} and here {', '.join(own.configured)}"
            )
    if len({each.voter for each in named.values()}) < len(named):
        return Stand("two of the names that are configured are one and the same voter")
    electorate = Electorate.founded_by(
        [Member(each.voter, name) for name, each in named.items()]
    )
    return _pledge_or_found(own, electorate, named)


def _pledge_or_found(own: Standing, electorate: Electorate, named: Standings) -> Duty:
    pledges = {name: each.pledge for name, each in named.items()}
    broken = [
        name
        for name, pledge in pledges.items()
        if pledge is not None and pledge != electorate
    ]
    if broken:
        return Stand(
            "a disk was lost, or the voters were named anew, while they were founding:"
            " name them as before, or, if none has ever voted, wipe the disks of"
            f" {', '.join(sorted(broken))}"
        )
    if own.pledge is None:
        return Pledge(electorate)
    if all(pledge == electorate for pledge in pledges.values()):
        return Found(electorate)
    return Stand("the others have not pledged yet to found with this voter")


def explained(duty: Duty) -> str:
    """Return *duty* in words, for people."""
    match duty:
        case Rest():
            return "votes"
        case Pledge() | Found():
            return "founds"
        case Succeed(_, after):
            return f"goes on to view {after.view.number}"
        case Stand(reason):
            return reason
        case _:
            assert_never(duty)
