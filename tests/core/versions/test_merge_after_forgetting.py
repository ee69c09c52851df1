"""
The merge laws where something was forgotten before (docs/decisions/0012).

A CRDT that is started upon nothing has the timestamp of its node's floor as its base,
so that nodes with different floors start the same CRDT upon different bases.
"""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.crdt.counter import PnCounter
from kvnode.core.crdt.set import ObservedRemoveSet
from kvnode.core.versions.floor import Floor, origin_of
from kvnode.core.versions.merge import includes
from kvnode.core.versions.version import Entry, Kind, Version
from kvnode.types import Dot, HlcTimestamp
from tests.strategies import REPLICAS, content, merge_entries

FLOORS = (10, 13, 17, 20)
BELOW_ALL, ABOVE_ALL = st.integers(1, 9), st.integers(21, 40)


def started(kind: Kind, floor: int, dot: Dot, *, hlc: int) -> Entry:
    """Return a CRDT that *dot* has started upon nothing, at a node with *floor*."""
    base = origin_of(Floor(hlc=HlcTimestamp(floor)))
    value = (
        PnCounter().add(dot.replica, dot.seq).encode()
        if kind is Kind.COUNTER
        else ObservedRemoveSet().update(dot, add=(b"%d" % dot.seq,), remove=()).encode()
    )
    return Entry(Version(kind, HlcTimestamp(hlc), dot, base=base), value)


@st.composite
def entries_of_a_key(draw: st.DrawFn) -> list[Entry]:
    """CRDTs started at nodes of several floors; registers below or above them all."""
    entries = []
    for replica in REPLICAS:
        dot = Dot(replica, draw(st.integers(1, 9)))
        if draw(st.booleans()):
            kind = draw(st.sampled_from((Kind.COUNTER, Kind.SET)))
            floor = draw(st.sampled_from(FLOORS))
            hlc = draw(st.integers(floor, 40))
            entries.append(started(kind, floor, dot, hlc=hlc))
        else:
            kind = draw(st.sampled_from((Kind.REGISTER, Kind.TOMBSTONE)))
            hlc = draw(BELOW_ALL | ABOVE_ALL)
            entries.append(Entry(Version(kind, HlcTimestamp(hlc), dot)))
    return entries


def merged(*entries: Entry) -> Entry:
    """Merge *entries* from the left."""
    result = entries[0]
    for entry in entries[1:]:
        result = merge_entries(result, entry).entry
    return result


@given(entries=entries_of_a_key(), data=st.data())
def test_any_order_of_delivery_gives_the_same_entry(
    entries: list[Entry], data: st.DataObject
) -> None:
    """Nodes that have forgotten more or less than others converge with them."""
    again = entries + data.draw(st.lists(st.sampled_from(entries), max_size=2))
    shuffled = data.draw(st.permutations(again))

    assert content(merged(*shuffled)) == content(merged(*entries))


@given(entries=entries_of_a_key())
def test_merge_is_associative_and_commutative(entries: list[Entry]) -> None:
    """Forwarding merged entries or the parts of them comes to the same."""
    a, b, c = entries[:3]

    assert content(merged(merged(a, b), c)) == content(merged(a, merged(b, c)))
    assert content(merged(a, b)) == content(merged(b, a))


@given(entries=entries_of_a_key())
def test_what_is_merged_is_included(entries: list[Entry]) -> None:
    """What `includes` says of versions is what merging entries does."""
    total = merged(*entries)

    assert all(includes(total, entry.version) for entry in entries)


def test_contributions_of_nodes_with_different_floors_are_all_counted() -> None:
    """They are one counter, and its base tells of the larger floor."""
    a, b = REPLICAS[:2]
    early = started(Kind.COUNTER, 10, Dot(a, 3), hlc=11)
    late = started(Kind.COUNTER, 20, Dot(b, 4), hlc=21)

    both = merged(early, late)

    assert PnCounter.decode(both.value).value == 3 + 4
    assert both.version.base == late.version.base


def test_deletion_from_before_a_floor_does_not_end_what_was_started_above_it() -> None:
    """A node that still has the deletion agrees with one that has forgotten it."""
    a, b = REPLICAS[:2]
    deletion = Entry(Version(Kind.TOMBSTONE, HlcTimestamp(15), Dot(a, 3)))
    anew = started(Kind.COUNTER, 17, Dot(b, 1), hlc=18)
    older = started(Kind.COUNTER, 13, Dot(b, 1), hlc=18)

    assert merged(deletion, anew) == anew
    assert merged(deletion, older) == deletion
