"""Without whom nothing may be forgotten: whom one that counts has let in (G1, D10)."""

from collections.abc import Sequence

import pytest

from cluster.simulated.admissions import Admissions
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.versions.roster import Member, Roster
from kvnode.types import ReplicaId

FIRST, SECOND = ReplicaId(1), ReplicaId(2)  # which were there from the beginning
REMOVED = ReplicaId(3)
NEW, NEWER = ReplicaId(4), ReplicaId(5)

EARLY = VersionVector.of({FIRST: 1})
LATE = VersionVector.of({FIRST: 2})


def admissions(*, excused: bool = True) -> Admissions:
    """Two that count, one that was removed and does not know it, and two new ones."""
    found = Admissions()
    found.is_gone(REMOVED)
    found.is_new(NEW, excused=excused)
    found.is_new(NEWER, excused=True)
    return found


def roster(replicas: Sequence[ReplicaId]) -> Roster:
    """Return one in which *replicas* are members."""
    return Roster(Member(replica, f"{replica}") for replica in replicas)


def test_who_was_there_counts_until_it_is_gone() -> None:
    """Whatever it covers: it is waited for."""
    found = admissions()

    assert found.counts(FIRST, EMPTY)
    assert not found.may_start_over(FIRST, EMPTY)
    assert not found.counts(REMOVED, LATE)
    assert found.may_start_over(REMOVED, LATE)


def test_newcomer_counts_when_it_covers_what_its_host_did_when_it_let_it_in() -> None:
    """What the host reports later goes with a roster in which the newcomer stands."""
    found = admissions()
    found.knows(FIRST, EARLY, roster([FIRST]))
    found.knows(FIRST, EARLY, roster([FIRST, NEW]))
    found.knows(FIRST, LATE, roster([FIRST, NEW]))

    assert not found.counts(NEW, EMPTY)
    assert found.may_start_over(NEW, EMPTY)
    assert found.counts(NEW, EARLY)
    assert not found.may_start_over(NEW, EARLY)


def test_any_host_is_enough() -> None:
    """It is above all that is forgotten without it if it is above what one covered."""
    found = admissions()
    found.knows(FIRST, LATE, roster([NEW]))
    found.knows(SECOND, EARLY, roster([NEW]))

    assert found.counts(NEW, EARLY)


def test_host_that_is_gone_is_none() -> None:
    """The others may never have heard of whom it has let in."""
    found = admissions()
    found.knows(FIRST, EARLY, roster([NEW]))

    found.is_gone(FIRST)

    assert not found.counts(NEW, EARLY)
    assert found.may_start_over(NEW, EARLY)


def test_nobody_is_its_own_host() -> None:
    """Every replica stands in its own roster."""
    found = admissions()

    found.knows(NEW, EARLY, roster([NEW]))

    assert not found.counts(NEW, EARLY)


def test_one_that_does_not_count_makes_nobody_count() -> None:
    """What it covers is from before what the others forget without it."""
    found = admissions()
    found.knows(REMOVED, EARLY, roster([NEW]))
    found.knows(NEW, EARLY, roster([NEWER]))

    assert not found.counts(NEW, EARLY)
    assert not found.counts(NEWER, EARLY)


def test_newcomer_that_counts_makes_others_count() -> None:
    """As any member does."""
    found = admissions()
    found.knows(FIRST, EARLY, roster([NEW]))
    found.knows(NEW, EARLY, roster([NEWER]))

    assert found.counts(NEWER, EARLY)


def test_newcomer_that_was_let_in_and_covers_less_makes_nobody_count() -> None:
    """A removed one may have filled it, and it fills others with that."""
    found = admissions()
    found.knows(FIRST, LATE, roster([NEW]))
    found.knows(NEW, EARLY, roster([NEWER]))

    assert not found.counts(NEWER, EARLY)


def test_newcomer_with_writes_of_the_dead_that_its_host_lacked_does_not_count() -> None:
    """They may have been given up for lost before it was let in."""
    found = admissions()
    found.knows(FIRST, EARLY, roster([NEW]))

    assert not found.counts(NEW, EARLY.join(VersionVector.of({REMOVED: 1})))
    assert found.counts(NEW, EARLY.join(VersionVector.of({NEWER: 1})))


@pytest.mark.parametrize(
    ("hosts", "may"),
    [
        ([], False),
        ([FIRST], False),
        ([REMOVED], True),
        ([FIRST, REMOVED], False),
        ([REMOVED, FIRST], True),
    ],
)
def test_who_has_started_over_may_again_if_one_that_does_not_count_let_it_in_first(
    hosts: list[ReplicaId], *, may: bool
) -> None:
    """Whoever fills it lets it in; here it covers less than any of them."""
    found = admissions(excused=False)
    for host in hosts:
        found.knows(host, EARLY, roster([NEW]))

    assert found.may_start_over(NEW, EMPTY) is may


def test_whom_one_that_is_gone_let_in_must_not_start_over_when_it_counts() -> None:
    """A member has let it in afterwards, and it has caught up with that."""
    found = admissions(excused=False)
    found.knows(REMOVED, EARLY, roster([NEW]))
    found.knows(FIRST, LATE, roster([NEW]))

    assert found.may_start_over(NEW, EARLY)
    assert not found.may_start_over(NEW, LATE)
