"""Sessions: joins of what was seen, and of what that may depend on (S1, D3)."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.session import NEW_SESSION, Session, newest_dots
from kvnode.core.versions.version import Entry, Kind, Version
from kvnode.types import Dot, HlcTimestamp
from tests.strategies import REPLICAS, dots, hlc_timestamps, version_vectors

A, B, C = REPLICAS


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """Sessions as nodes make them."""
    seen = draw(st.lists(dots(), max_size=5, unique_by=lambda dot: dot.replica))
    return Session(tuple(sorted(seen)), draw(hlc_timestamps), draw(hlc_timestamps))


@given(a=sessions(), b=sessions(), c=sessions())
def test_join_is_the_least_session_that_has_seen_both(
    a: Session, b: Session, c: Session
) -> None:
    """A semilattice: order, grouping and repetition of replies do not matter."""
    assert a.join(a) == a
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert NEW_SESSION.join(a) == a


@given(a=sessions(), b=sessions())
def test_joined_session_is_covered_where_both_are(a: Session, b: Session) -> None:
    """By prefixes: that is what a token means."""
    joined = a.join(b)
    prefixes = {dot.replica: dot.seq for dot in joined.seen}

    assert VersionVector.of(prefixes).covers_all((*a.seen, *b.seen))
    assert set(joined.seen) <= {*a.seen, *b.seen}
    assert joined.hlc == max(a.hlc, b.hlc)
    assert joined.floor == max(a.floor, b.floor)


@given(session=sessions(), vector=version_vectors(), hlc=hlc_timestamps)
def test_session_above_a_floor_names_only_what_a_member_may_lack(
    session: Session, vector: VersionVector, hlc: HlcTimestamp
) -> None:
    """S1: what every member covers is left out, and the token says by which floor."""
    short = session.above(Floor(vector, hlc))

    assert short.seen == tuple(d for d in session.seen if not vector.covers(d))
    assert short.hlc == session.hlc
    if short.seen == session.seen:
        assert short == session
    else:
        assert short.floor == max(session.floor, hlc)


@given(clock=version_vectors())
def test_whole_clock_is_seen_by_its_newest_dots(clock: VersionVector) -> None:
    """One dot a replica, sorted, so that equal sessions are equal tokens."""
    session = NEW_SESSION.saw_all_of(clock)

    assert session.seen == newest_dots(clock)
    assert clock.covers_all(session.seen)
    assert list(session.seen) == sorted(session.seen)


ENTRY = Entry(
    Version(
        Kind.COUNTER,
        HlcTimestamp(9),
        Dot(A, 5),
        others=(Dot(B, 3),),
        dependencies=(Dot(C, 2),),
    )
)


def test_read_of_a_covered_entry_joins_its_contributions_alone() -> None:
    """What they depend on is covered wherever they are (I2)."""
    covered = VersionVector.of({A: 5, B: 3, C: 2})

    session = NEW_SESSION.saw_entry(ENTRY, covered=covered, pending=EMPTY)

    assert session == Session(tuple(sorted((Dot(A, 5), Dot(B, 3)))), HlcTimestamp(9))


def test_read_of_an_uncovered_entry_joins_all_that_it_may_depend_on() -> None:
    """D3, D4: its dependencies, and the snapshot clocks of deltas under way."""
    covered = VersionVector.of({A: 5})

    session = NEW_SESSION.saw_entry(
        ENTRY, covered=covered, pending=VersionVector.of({B: 7})
    )

    assert set(session.seen) == {Dot(A, 5), Dot(B, 7), Dot(C, 2)}


@given(session=sessions(), covered=version_vectors(), pending=version_vectors())
def test_session_never_forgets(
    session: Session, covered: VersionVector, pending: VersionVector
) -> None:
    """Reading adds to what was seen, whatever is read."""
    later = session.saw_entry(ENTRY, covered=covered, pending=pending)

    assert later.join(session) == later
