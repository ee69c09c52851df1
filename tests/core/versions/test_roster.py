"""The roster: a join of records that no hearsay can undo."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.versions import roster as roster_module
from kvnode.core.versions.roster import (
    NOBODY,
    NOT_CLOSED,
    Member,
    Roster,
    Standing,
)
from kvnode.types import ReplicaId
from tests.strategies import REPLICAS

members = st.builds(
    Member,
    st.sampled_from(REPLICAS),
    st.sampled_from(("a-site", "b-site")),
    st.sampled_from(("", "a:1", "a:2")),
    st.sampled_from(("", "east")),
    st.integers(0, 2),
    st.sampled_from(Standing),
    st.sampled_from((0, 7, NOT_CLOSED)),
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from((0, 7, NOT_CLOSED)),
)
rosters = st.lists(members, max_size=5).map(NOBODY.join)
A, B, C = (Member(replica, name) for replica, name in zip(REPLICAS, "abc", strict=True))


@given(a=rosters, b=rosters, c=rosters)
def test_join_is_that_of_a_semilattice(a: Roster, b: Roster, c: Roster) -> None:
    """Nodes that have heard the same have the same roster."""
    assert a.join(a) == a
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))


@given(heard=st.lists(members, max_size=6), data=st.data())
def test_order_and_repetition_of_hearsay_do_not_show(
    heard: list[Member], data: st.DataObject
) -> None:
    """Records come with reports, in any order."""
    shuffled = data.draw(st.permutations(heard + heard[:2]))

    one_by_one = NOBODY
    for member in shuffled:
        one_by_one = one_by_one.join((member,))

    assert one_by_one == NOBODY.join(heard)
    assert one_by_one.digest() == NOBODY.join(heard).digest()


@given(roster=rosters, heard=st.lists(members, max_size=4))
def test_who_is_gone_stays_gone(roster: Roster, heard: list[Member]) -> None:
    """M2: neither by hearsay nor by a larger incarnation."""
    joined = roster.join(heard)

    for member in roster:
        assert joined.gone(member.replica) or not roster.gone(member.replica)


@given(roster=rosters, heard=st.lists(members, max_size=4))
def test_hearing_nothing_new_gives_the_same_object(
    roster: Roster, heard: list[Member]
) -> None:
    """Callers tell by that whether anything has changed."""
    joined = roster.join(heard)

    assert (joined is roster) == (joined == roster)


@given(a=rosters, b=rosters)
def test_digest_is_of_who_counts_and_not_of_labels(a: Roster, b: Roster) -> None:
    """Two names of one incarnation must not hold up forgetting."""

    def told(roster: Roster) -> list[tuple[object, ...]]:
        return [(m.replica, m.incarnation, m.standing, *m[-4:]) for m in roster]

    assert (a.digest() == b.digest()) == (told(a) == told(b))


def test_only_members_count() -> None:
    """G1: neither who has left nor who was removed nor who never joined."""
    left = B._replace(standing=Standing.LEFT)
    removed = C._replace(standing=Standing.REMOVED)
    roster = Roster((A, left, removed))

    assert roster.members() == (A,)
    assert [roster.counts(m.replica) for m in (A, B, C)] == [True, False, False]
    assert [roster.gone(m.replica) for m in (A, B, C)] == [False, True, True]
    assert not roster.counts(ReplicaId(1))
    assert not roster.gone(ReplicaId(1))


def test_larger_incarnation_brings_its_labels() -> None:
    """A replica that moved says so itself."""
    moved = A._replace(address="elsewhere:1", incarnation=1)

    assert Roster((A,)).join((moved,)).get(A.replica) == moved
    assert Roster((moved,)).join((A,)).get(A.replica) == moved


def test_full_roster_takes_no_newcomer_but_what_becomes_of_those_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A flood of identities costs a bounded amount of memory."""
    monkeypatch.setattr(roster_module, "MEMBERS_MAX", 2)
    removed = A._replace(standing=Standing.REMOVED)

    roster = Roster((A, B)).join((C, removed))

    assert len(roster) == 2
    assert roster.gone(A.replica)
    assert roster.get(C.replica) is None
