"""Key clocks: pointwise maxima in two orders, bounded by dropping the oldest."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.key_clock import (
    KeyClock,
    covers,
    extend,
    join_sorted,
    pointwise_maximum,
)
from kvnode.types import Dot, ReplicaId

A, B, C = ReplicaId(3), ReplicaId(1), ReplicaId(2)

clocks = st.dictionaries(st.sampled_from((A, B, C)), st.integers(1, 5), max_size=3).map(
    lambda found: tuple(Dot(r, n) for r, n in found.items())
)
any_dots = st.builds(Dot, st.sampled_from((A, B, C)), st.integers(1, 6))


@given(clock=clocks, dot=any_dots)
def test_a_clock_covers_what_its_entry_of_the_replica_reaches(
    clock: KeyClock, dot: Dot
) -> None:
    """An entry stands for its seq and all below."""
    assert covers(clock, dot) == (dict(clock).get(dot.replica, 0) >= dot.seq)


@given(a=clocks, b=clocks)
def test_joins_are_pointwise_maxima(a: KeyClock, b: KeyClock) -> None:
    """Sorted by replica, so equal joins are equal clocks."""
    both = {A, B, C} & ({r for r, _ in a} | {r for r, _ in b})
    expected = {r: max(dict(a).get(r, 0), dict(b).get(r, 0)) for r in both}

    assert pointwise_maximum(a, b) == expected
    assert join_sorted(a, b) == tuple(sorted(expected.items()))


@given(a=clocks, b=clocks, c=clocks)
def test_sorted_join_is_a_semilattice(a: KeyClock, b: KeyClock, c: KeyClock) -> None:
    """The contributors of a CRDT do not depend on who heard of whom first."""
    a, b, c = (tuple(sorted(clock)) for clock in (a, b, c))

    assert join_sorted(a, a) == a
    assert join_sorted(a, b) == join_sorted(b, a)
    assert join_sorted(join_sorted(a, b), c) == join_sorted(a, join_sorted(b, c))


@given(clock=clocks, seq=st.integers(6, 9), entries_max=st.integers(1, 4))
def test_extend_puts_the_own_dot_last_and_drops_the_oldest(
    clock: KeyClock, seq: int, entries_max: int
) -> None:
    """One entry a replica, at most *entries_max*, the write's own always kept."""
    own = Dot(B, seq)

    extended = extend(clock, own, entries_max=entries_max)

    everything = [dot for dot in clock if dot.replica != B] + [own]
    assert list(extended) == everything[-entries_max:]
