"""Repair: what merging takes for one write, and is not, is settled as well."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.crdt.kinds import join
from kvnode.core.replication.fingerprint import fingerprint
from kvnode.core.replication.repair import repaired
from kvnode.core.versions.version import Entry
from kvnode.types import Dot, Millis
from tests import strategies
from tests.core.replication.entries import A, B, at, counter, register
from tests.strategies import History

KEY = at(b"k")


@given(history=strategies.histories(), data=st.data())
def test_repair_of_sound_entries_is_merging(
    history: History, data: st.DataObject
) -> None:
    """It heals what is wrong and changes nothing else."""
    stored, incoming = (data.draw(st.sampled_from(history.seen)) for _ in range(2))

    merged = strategies.merge_entries(stored, incoming).entry

    assert strategies.content(repaired(stored, incoming, join)) == strategies.content(
        merged
    )


@given(
    history=strategies.histories(),
    values=st.tuples(st.binary(max_size=3), st.binary(max_size=3)),
    deadlines=st.tuples(*2 * [st.integers(0, 2).map(Millis)]),
    notes=st.tuples(*2 * [st.sampled_from(("", "{}"))]),
)
def test_both_sides_come_to_hold_the_same_whatever_is_wrong(
    history: History,
    values: tuple[bytes, bytes],
    deadlines: tuple[Millis, Millis],
    notes: tuple[str, str],
) -> None:
    """Contents that differ under one stamp would differ for ever by R2 alone."""
    version = history.seen[-1].version
    mergeable = version.index_dots != (version.dot,) or version.base.hlc != 0
    one, other = (
        Entry(
            version._replace(deadline=deadline),
            history.seen[-1].value if mergeable or version.kind > 1 else value,
            note,
        )
        for value, deadline, note in zip(values, deadlines, notes, strict=True)
    )

    here, there = repaired(one, other, join), repaired(other, one, join)

    assert fingerprint(KEY, here) == fingerprint(KEY, there)
    assert here in {one, other} or version.kind > 1


def test_lost_entry_comes_back() -> None:
    """The copy of the other side is all there is."""
    entry = register(Dot(A, 1))

    assert repaired(None, entry, join) == entry


def test_merged_values_that_differ_under_equal_dots_are_joined() -> None:
    """No contribution that either side has is lost."""
    whole, version = (
        counter(Dot(A, 5), Dot(B, 7)),
        counter(Dot(A, 5), Dot(B, 7)).version,
    )
    part = Entry(version, counter(Dot(A, 5)).value)

    assert repaired(part, whole, join) == whole
    assert repaired(whole, part, join) == whole
