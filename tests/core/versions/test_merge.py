"""
The laws of kvnode.core.versions.merge, over entries that nodes can really make.

Histories mix puts, deletions, expiry and all CRDT types under one key, at
replicas with clocks that disagree, which merge each other's entries now and then.
"""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.key_clock import covers
from kvnode.core.versions.merge import Relation, relate
from kvnode.core.versions.version import CRDT_KINDS, Entry, Kind
from tests import strategies
from tests.strategies import History, content, merge_entries


def merged(*entries: Entry) -> Entry:
    """Merge *entries* from the left."""
    result = entries[0]
    for entry in entries[1:]:
        result = merge_entries(result, entry).entry
    return result


@given(history=strategies.histories(), data=st.data())
def test_merge_is_associative_over_all_kinds(
    history: History, data: st.DataObject
) -> None:
    """Forwarding merged entries or the parts of them comes to the same."""
    seen = st.sampled_from(history.seen)
    a, b, c = data.draw(st.tuples(seen, seen, seen))

    assert content(merged(merged(a, b), c)) == content(merged(a, merged(b, c)))


@given(history=strategies.histories(), data=st.data())
def test_merge_is_commutative_over_all_kinds(
    history: History, data: st.DataObject
) -> None:
    """Who holds and who sends makes no difference."""
    seen = st.sampled_from(history.seen)
    a, b = data.draw(st.tuples(seen, seen))

    assert content(merged(a, b)) == content(merged(b, a))


@given(history=strategies.histories(), data=st.data())
def test_merge_is_idempotent_and_says_so(history: History, data: st.DataObject) -> None:
    """A repeated delivery is no change, so it is neither stored nor forwarded."""
    seen = st.sampled_from(history.seen)
    a, b = data.draw(st.tuples(seen, seen))

    again = merge_entries(a, a)

    assert (again.entry, again.changed, again.loser) == (a, False, None)
    assert content(merged(a, b, b)) == content(merged(a, b))


@given(history=strategies.histories(), data=st.data())
def test_any_order_of_delivery_gives_the_same_entry(
    history: History, data: st.DataObject
) -> None:
    """Writes arriving at strangers in any order, and twice, end up the same."""
    repeated = data.draw(st.lists(st.sampled_from(history.seen), max_size=3))
    orders = st.permutations([*history.writes, *repeated])

    one, other = data.draw(orders), data.draw(orders)

    assert content(merged(*one)) == content(merged(*other))
    held = [r.entry for r in history.replicas if r.entry is not None]
    assert content(merged(*held)) == content(merged(*one))


@given(history=strategies.histories())
def test_every_write_is_superseded_or_in_the_final_entry(history: History) -> None:
    """Invariant I1's base: the winner's rank is no lower than any write's."""
    final = merged(*history.writes).version

    for write in history.writes:
        assert write.version.rank <= final.rank
        if write.version.rank == final.rank and final.kind in CRDT_KINDS:
            assert covers(final.key_clock, write.version.dot)


@given(history=strategies.histories())
def test_a_causally_later_write_never_loses(history: History) -> None:
    """R1: what a write built on ranks no higher, so clocks never contradict ranks."""
    for earlier in history.writes:
        for later in history.writes:
            if relate(earlier.version, later.version) is Relation.NEWER:
                assert content(merged(earlier, later)) == content(
                    merged(later, earlier)
                )
                assert merged(earlier, later).version.dot == later.version.dot


@given(history=strategies.histories(), data=st.data())
def test_a_loser_is_reported_only_if_it_was_concurrent(
    history: History, data: st.DataObject
) -> None:
    """R4: the conflict log gets what nobody overwrote on purpose, and all of that."""
    seen = st.sampled_from(history.seen)
    stored, incoming = data.draw(st.tuples(seen, seen))

    result = merge_entries(stored, incoming)

    ranks_differ = stored.version.rank != incoming.version.rank
    concurrent = result.relation is Relation.CONCURRENT
    assert (result.loser is not None) == (ranks_differ and concurrent)
    assert result.changed == (result.entry != stored)
    if result.loser is not None:
        assert {result.entry, result.loser} == {stored, incoming}


@given(history=strategies.histories(("put", "delete", "hear")), data=st.data())
def test_registers_merge_by_the_larger_stamp(
    history: History, data: st.DataObject
) -> None:
    """R2: time first, then the replica's number, and nothing else."""
    seen = st.sampled_from(history.seen)
    a, b = data.draw(st.tuples(seen, seen))

    assert merged(a, b) == max(a, b, key=lambda entry: entry.version.stamp)


@given(history=strategies.histories(("counter", "hear")))
def test_contributions_on_one_base_are_never_lost(history: History) -> None:
    """A counter nobody put or deleted ends at the sum of all that was added."""
    final = merged(*history.writes)

    contributors = {write.version.dot.replica for write in history.writes}
    assert final.version.kind is Kind.COUNTER
    assert {dot.replica for dot in final.version.key_clock} == contributors
    newest = [
        max(d for d in (w.version.dot for w in history.writes) if d.replica == r)
        for r in sorted(contributors)
    ]
    assert list(final.version.key_clock) == newest
