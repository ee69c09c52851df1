"""What voters do of their own accord."""

import pytest

from kvnode.core.objects.voters.duty import (
    Found,
    Pledge,
    Rest,
    Stand,
    Succeed,
    duty_of,
    explained,
)
from kvnode.core.objects.voters.electorate import Electorate, View
from kvnode.core.objects.voters.messages import Standing
from kvnode.types import ReplicaId
from tests.core.objects.voters_at_hand import FIRST, MEMBERS, SECOND, THIRD

NAMES = ("a", "b", "c")


def standing(
    name: str,
    *,
    electorate: Electorate | None = None,
    pledge: Electorate | None = None,
    successor: Electorate | None = None,
) -> Standing:
    """Return that of one of the members."""
    voter = MEMBERS[name].identity
    return Standing(voter, NAMES, False, pledge, electorate, successor)  # noqa: FBT003


FRESH = {name: standing(name) for name in NAMES}
PLEDGED = {name: standing(name, pledge=FIRST) for name in NAMES}
VOTING = {name: standing(name, pledge=FIRST, electorate=FIRST) for name in NAMES}


def reason(own: Standing, heard: dict[str, Standing]) -> str:
    """Return why a voter stands by."""
    duty = duty_of(own, heard)
    assert isinstance(duty, Stand)
    return duty.reason


def test_fresh_voters_pledge_and_found_once_all_have() -> None:
    """One that has not pledged yet is waited for."""
    assert duty_of(FRESH["a"], FRESH) == Pledge(FIRST)
    some = {**PLEDGED, "c": FRESH["c"]}
    assert duty_of(FRESH["c"], some) == Pledge(FIRST)
    assert "not pledged yet" in reason(PLEDGED["a"], some)
    assert duty_of(PLEDGED["a"], PLEDGED) == Found(FIRST)


def test_voter_that_is_silent_is_waited_for() -> None:
    """A majority does not found."""
    two = {name: PLEDGED[name] for name in "ab"}

    assert "c does not" in reason(PLEDGED["a"], two)


def test_voter_that_has_pledged_founds_with_who_has_founded() -> None:
    """It need not hear the others."""
    heard = {"a": PLEDGED["a"], "b": VOTING["b"]}

    assert duty_of(PLEDGED["a"], heard) == Found(FIRST)
    later = {**heard, "b": standing("b", pledge=FIRST, electorate=SECOND)}
    assert duty_of(PLEDGED["a"], later) == Succeed(None, SECOND)


def test_founding_needs_the_same_names_everywhere() -> None:
    """Else two might found with the same one."""
    other = FRESH["b"]._replace(configured=("a", "b", "d"))

    assert "b is configured" in reason(FRESH["a"], {**FRESH, "b": other})


@pytest.mark.parametrize("name", NAMES)
def test_nobody_founds_with_a_barred_voter(name: str) -> None:
    """Be it oneself."""
    heard = {**FRESH, name: FRESH[name]._replace(barred=True)}

    assert f"{name} founds nothing" in reason(heard["a"], heard)


def test_two_names_of_one_voter_found_nothing() -> None:
    """Somebody has mixed up addresses."""
    assert "one and the same" in reason(FRESH["a"], {**FRESH, "b": FRESH["a"]})


def test_disk_that_is_lost_while_founding_stops_it() -> None:
    """A pledge is for ever: whoever runs the voters begins anew."""
    heard = {**PLEDGED, "c": FRESH["c"]._replace(voter=ReplicaId(66))}

    assert "wipe the disks of a, b" in reason(PLEDGED["a"], heard)
    assert "wipe the disks of a, b" in reason(heard["c"], heard)


def test_voter_without_memory_is_a_stranger_to_its_electorate() -> None:
    """Even if all others are silent but one."""
    wiped = FRESH["c"]._replace(voter=ReplicaId(66))

    heard = {"a": VOTING["a"], "c": wiped}

    assert "none of those who vote (a, b, c)" in reason(wiped, heard)


def test_newcomer_sees_to_it_that_it_votes() -> None:
    """As soon as it hears of its being chosen."""
    newcomer = standing("d")
    sealed = standing("a", electorate=FIRST, successor=SECOND)
    inside = standing("b", electorate=SECOND)

    assert duty_of(newcomer, {"a": sealed, "d": newcomer}) == Succeed(FIRST, SECOND)
    heard = {"a": sealed, "b": inside, "d": newcomer}
    assert duty_of(newcomer, heard) == Succeed(None, SECOND)


def test_sealed_voter_finishes_what_was_begun() -> None:
    """And so does one that hears of it."""
    sealed = standing("a", electorate=FIRST, successor=SECOND)

    assert duty_of(sealed, {"a": sealed}) == Succeed(FIRST, SECOND)
    heard = {"a": sealed, "b": VOTING["b"]}
    assert duty_of(VOTING["b"], heard) == Succeed(FIRST, SECOND)


def test_voter_follows_to_a_later_view_or_retires() -> None:
    """It goes there at once, over any number of views."""
    later = {"d": standing("d", electorate=THIRD)}

    assert duty_of(VOTING["b"], {**VOTING, **later}) == Succeed(None, THIRD)
    assert "was replaced" in reason(VOTING["a"], {**VOTING, **later})
    next_one = {"d": standing("d", electorate=SECOND)}
    assert duty_of(VOTING["b"], next_one) == Succeed(FIRST, SECOND)


def test_other_lineages_do_not_concern_a_voter() -> None:
    """Somebody has mixed up two clusters."""
    other = Electorate(View(ReplicaId(77), 9), FIRST.members)

    heard = {**VOTING, "c": standing("c", electorate=other)}

    assert duty_of(VOTING["a"], heard) == Rest()


def test_newcomer_goes_where_it_is_a_member() -> None:
    """Though another cluster, with which it was mixed up, has come further."""
    other = Electorate(View(ReplicaId(77), 9), THIRD.members[1:])
    heard = {
        "a": standing("a", electorate=SECOND),
        "c": standing("c", electorate=other),
    }
    newcomer = standing("b")

    assert duty_of(newcomer, {**heard, "b": newcomer}) == Succeed(None, SECOND)


def test_voter_that_votes_rests() -> None:
    """And all can be said in words."""
    assert duty_of(VOTING["a"], VOTING) == Rest()
    duties = (Rest(), Pledge(FIRST), Succeed(None, SECOND), Stand("it waits"))
    assert [explained(duty) for duty in duties] == [
        "votes",
        "founds",
        "goes on to view 2",
        "it waits",
    ]
