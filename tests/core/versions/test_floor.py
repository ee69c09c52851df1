"""Floors: what they forget, and what may still be merged above them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.floor import (
    GROUND,
    Floor,
    begun,
    forgets,
    may_merge,
    mortal_from,
    origin_of,
)
from kvnode.core.versions.merge import includes
from kvnode.core.versions.version import Entry, Kind, Stamp, Version, outranks
from kvnode.types import Dot, HlcTimestamp, Millis, ReplicaId
from tests import strategies
from tests.strategies import REPLICAS, History

A = REPLICAS[0]
DOT = Dot(A, 3)
ABOVE = Floor(VersionVector.of({A: 3}), HlcTimestamp(101))

floors = st.builds(Floor, strategies.version_vectors(), strategies.hlc_timestamps)


def tombstone(hlc: int = 100) -> Version:
    """Return a deletion, A's third write."""
    return Version(Kind.TOMBSTONE, HlcTimestamp(hlc), DOT)


# -- floors --------------------------------------------------------------------


@given(a=floors, b=floors, c=floors)
def test_join_is_that_of_a_semilattice(a: Floor, b: Floor, c: Floor) -> None:
    """Floors may be heard in any order, and twice."""
    assert a.join(a) == a
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))


@given(a=floors, b=floors)
def test_join_includes_both_and_is_what_includes_means(a: Floor, b: Floor) -> None:
    """One includes another exactly if joining it changes nothing."""
    assert a.join(b).includes(a)
    assert a.includes(b) == (a.join(b) == a)
    assert a.includes(GROUND)


@given(entry=strategies.entries(), a=floors, b=floors)
def test_what_a_floor_forgets_every_higher_one_does(
    entry: Entry, a: Floor, b: Floor
) -> None:
    """What was dropped need not be looked at again."""
    if forgets(a, entry.version):
        assert forgets(a.join(b), entry.version)


@given(entry=strategies.entries())
def test_ground_forgets_nothing_and_lets_everything_be_merged(entry: Entry) -> None:
    """A node that never forgot works as if there were no floors."""
    assert not forgets(GROUND, entry.version)
    assert may_merge(GROUND, None, entry.version)
    assert not GROUND


# -- what is forgotten -----------------------------------------------------------


def test_tombstone_is_forgotten_if_it_is_below_in_both_ways() -> None:
    """G2: its dot under the vector, and its stamp below the timestamp."""
    assert forgets(ABOVE, tombstone(100))
    assert not forgets(ABOVE, tombstone(101))
    assert not forgets(Floor(VersionVector.of({A: 2}), ABOVE.hlc), tombstone(100))


def test_register_without_a_deadline_is_never_forgotten() -> None:
    """It is data."""
    version = Version(Kind.REGISTER, HlcTimestamp(1), DOT)

    assert mortal_from(version) is None
    assert not forgets(ABOVE, version)


def test_expired_entry_is_forgotten_if_its_deadline_is_below_too() -> None:
    """G2: all members' clocks had passed it when they reported."""
    version = Version(Kind.REGISTER, HlcTimestamp(100), DOT, deadline=Millis(7))
    vector = ABOVE.vector

    assert mortal_from(version) == from_millis(Millis(7))
    assert not forgets(Floor(vector, from_millis(Millis(7))), version)
    above = Floor(vector, HlcTimestamp(from_millis(Millis(7)) + 1))
    assert forgets(above, version)


def test_entry_that_had_expired_when_it_was_written_is_forgotten_by_its_stamp() -> None:
    """All that is forgotten is stamped below the floor."""
    version = Version(Kind.REGISTER, from_millis(Millis(9)), DOT, deadline=Millis(7))

    assert mortal_from(version) == version.hlc


def test_deadline_beyond_every_clock_is_due_at_no_floor() -> None:
    """It must fit into a row of the store all the same."""
    deadline = Millis(2**64 - 1)
    version = Version(Kind.REGISTER, HlcTimestamp(1), DOT, deadline=deadline)

    due = mortal_from(version)

    assert due is not None
    assert due < 2**63


# -- what may be merged above it ---------------------------------------------------


@given(entry=strategies.entries(), floor=floors)
def test_what_was_begun_at_or_above_the_floor_may_be_merged(
    entry: Entry, floor: Floor
) -> None:
    """All that is forgotten is stamped below it."""
    if begun(entry.version) >= floor.hlc:
        assert may_merge(floor, None, entry.version)
    elif entry.version.kind in {Kind.REGISTER, Kind.TOMBSTONE}:
        assert not may_merge(floor, entry, entry.version)


@given(history=strategies.histories(), data=st.data())
def test_what_may_be_merged_brings_nothing_back_that_was_ended(
    history: History, data: st.DataObject
) -> None:
    """G2b: whatever a node holds that covers the floor, and whatever comes."""
    writes = st.sampled_from(history.writes)
    ended_by, late = data.draw(writes).version, data.draw(writes)
    due = mortal_from(ended_by)
    if due is None:
        return
    vector = VersionVector().with_range(*ended_by.dot, ended_by.dot.seq)
    floor = Floor(vector, HlcTimestamp(due + 1))
    held = data.draw(st.none() | st.sampled_from(history.seen))
    if held is not None and outranks(ended_by, held.version):
        return  # it has merged the deletion

    if outranks(ended_by, late.version) and may_merge(floor, held, late.version):
        assert includes(held, late.version)


def test_contribution_to_a_counter_that_is_here_may_be_merged() -> None:
    """Nothing forgotten has ended it, or it were not here."""
    base = Stamp(HlcTimestamp(50), A)
    here = Entry(Version(Kind.COUNTER, HlcTimestamp(60), Dot(A, 1), base=base))
    late = Version(Kind.COUNTER, HlcTimestamp(61), Dot(REPLICAS[1], 1), base=base)

    assert may_merge(ABOVE, here, late)
    assert not may_merge(ABOVE, None, late)


def test_contribution_to_a_counter_from_before_a_deletion_may_not() -> None:
    """The one that is here was started anew, after something was forgotten."""
    here = Entry(
        Version(Kind.COUNTER, HlcTimestamp(160), Dot(A, 1), base=origin_of(ABOVE))
    )
    late = Version(Kind.COUNTER, HlcTimestamp(61), Dot(REPLICAS[1], 1))

    assert not may_merge(ABOVE, here, late)


@pytest.mark.parametrize("kind", [Kind.COUNTER, Kind.SET])
def test_contribution_from_before_may_not_be_merged_where_nothing_is_forgotten_yet(
    kind: Kind,
) -> None:
    """What was forgotten where the stored one was started may have ended this one."""
    here = Entry(
        Version(Kind.COUNTER, HlcTimestamp(160), Dot(A, 1), base=origin_of(ABOVE))
    )
    late = Version(kind, HlcTimestamp(61), Dot(REPLICAS[1], 1))

    assert not may_merge(GROUND, here, late)


def test_counter_started_anew_waits_where_the_deletion_has_not_been_forgotten() -> None:
    """The deletion must end first what is on its way, and would be joined with it."""
    anew = Version(Kind.COUNTER, HlcTimestamp(102), Dot(A, 9), base=origin_of(ABOVE))

    assert not may_merge(GROUND, Entry(tombstone(100)), anew)
    assert may_merge(ABOVE, Entry(tombstone(100)), anew)
    assert may_merge(GROUND, None, anew)


def test_counter_that_loses_may_be_merged_wherever_it_comes_from() -> None:
    """It changes nothing, and is covered."""
    upon = Version(
        Kind.COUNTER,
        HlcTimestamp(61),
        Dot(REPLICAS[1], 1),
        base=Stamp(HlcTimestamp(60), A),
    )
    here = Version(Kind.COUNTER, HlcTimestamp(160), Dot(A, 1), base=origin_of(ABOVE))

    assert may_merge(ABOVE, Entry(here), upon)
    assert may_merge(ABOVE, Entry(tombstone(100)), upon)


def test_counter_started_above_a_floor_outranks_all_that_it_forgets() -> None:
    """A node that has the deletion still must not take the counter for ended."""
    started = Version(Kind.COUNTER, HlcTimestamp(102), Dot(A, 9), base=origin_of(ABOVE))

    assert outranks(started, tombstone(100))
    assert origin_of(ABOVE).replica == ReplicaId(0)
    assert may_merge(ABOVE, None, started)
