"""Version vectors against a naive twin: the plain set of the dots covered."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.types import Dot, ReplicaId
from tests.strategies import REPLICAS, intervals, version_vectors

END = 24
"""The largest seq that `version_vectors` draws."""

replicas = st.sampled_from(REPLICAS)
dots = st.builds(Dot, replicas, st.integers(1, END + 1))


def covered(vector: VersionVector) -> set[Dot]:
    """Return the twin, by asking for one dot after another."""
    every = (Dot(r, n) for r in REPLICAS for n in range(1, END + 2))
    return {dot for dot in every if vector.covers(dot)}


def seqs(vector: VersionVector, replica: ReplicaId) -> set[int]:
    """Return the twin's part of one replica."""
    return {dot.seq for dot in covered(vector) if dot.replica == replica}


@given(vector=version_vectors())
def test_spans_list_what_is_covered_in_shortest_form(vector: VersionVector) -> None:
    """Ascending, not empty, not touching: so equal sets are equal spans."""
    for replica, spans in vector.items():
        inside = [n for first, last in spans for n in range(first, last + 1)]
        assert inside == sorted(seqs(vector, replica))
        assert spans == vector.spans(replica) != ()
        ends = [last for _, last in spans]
        assert all(a + 1 < b for a, (b, _) in zip(ends, spans[1:], strict=False))


@given(vector=version_vectors(), replica=replicas, interval=intervals())
def test_with_range_adds_exactly_the_range(
    vector: VersionVector, replica: ReplicaId, interval: tuple[int, int]
) -> None:
    """Whatever it overlaps, touches, bridges or repeats."""
    first, last = interval
    before = covered(vector)

    grown = vector.with_range(replica, first, last)

    assert covered(grown) == before | {Dot(replica, n) for n in range(first, last + 1)}
    assert covered(vector) == before, "vectors are values"


@given(vector=version_vectors(), replica=replicas, interval=intervals())
def test_without_takes_out_exactly_the_range(
    vector: VersionVector, replica: ReplicaId, interval: tuple[int, int]
) -> None:
    """And a replica of which nothing is left is gone."""
    first, last = interval

    left = vector.without(replica, first, last)

    taken = {Dot(replica, n) for n in range(first, last + 1)}
    assert covered(left) == covered(vector) - taken
    assert left == vector.without(replica, first, last).join(left)
    assert all(spans for _, spans in left.items())


@given(a=version_vectors(), b=version_vectors())
def test_missing_from_lists_the_difference(a: VersionVector, b: VersionVector) -> None:
    """As ranges, ascending for each replica."""
    missing = list(a.missing_from(b))

    assert missing == sorted(missing)
    dots = [Dot(r, n) for r, first, last in missing for n in range(first, last + 1)]
    assert len(dots) == len(set(dots))
    assert set(dots) == covered(a) - covered(b)
    assert len(dots) == a.count_missing_from(b)


@given(a=version_vectors(), b=version_vectors())
def test_join_is_the_union(a: VersionVector, b: VersionVector) -> None:
    """And the least upper bound: it includes both and nothing else does less."""
    joined = a.join(b)

    assert covered(joined) == covered(a) | covered(b)
    assert joined == b.join(a)
    assert hash(joined) == hash(b.join(a))
    assert joined.includes(a)
    assert joined.includes(b)


@given(a=version_vectors(), b=version_vectors())
def test_includes_is_superset_and_equality_is_equality_of_sets(
    a: VersionVector, b: VersionVector
) -> None:
    """The comparisons of intervals agree with those of sets."""
    assert a.includes(b) == (covered(a) >= covered(b))
    assert (a == b) == (covered(a) == covered(b))
    assert bool(a) == bool(covered(a))
    assert set(a.replicas()) == {dot.replica for dot in covered(a)}


@given(a=version_vectors(), b=version_vectors())
def test_count_missing_is_the_size_of_the_difference(
    a: VersionVector, b: VersionVector
) -> None:
    """What an operator reads as "n writes behind"."""
    assert a.count_missing_from(b) == len(covered(a) - covered(b))


@given(vector=version_vectors(), chosen=st.lists(dots, max_size=5))
def test_covers_all_asks_for_each_dot(vector: VersionVector, chosen: list[Dot]) -> None:
    """A session's token is covered if every dot of it is."""
    assert vector.covers_all(chosen) == (set(chosen) <= covered(vector))


@given(vector=version_vectors(), replica=replicas)
def test_newest_and_prefix_are_the_ends_of_the_set(
    vector: VersionVector, replica: ReplicaId
) -> None:
    """The largest seq, and the largest with nothing missing below it."""
    present = seqs(vector, replica)
    unbroken = 0
    while unbroken + 1 in present:
        unbroken += 1

    assert vector.newest(replica) == max(present, default=0)
    assert vector.prefix(replica) == unbroken


@given(vector=version_vectors(), replica=replicas)
def test_lacking_is_the_complement_and_ends_open(
    vector: VersionVector, replica: ReplicaId
) -> None:
    """Every seq is either covered or in one interval of what is lacking."""
    lacking = list(vector.lacking(replica))

    listed = [
        n
        for first, last in lacking
        for n in range(first, (END + 5 if last is None else last) + 1)
    ]
    assert listed == sorted(set(range(1, END + 6)) - seqs(vector, replica))
    assert [last for _, last in lacking].index(None) == len(lacking) - 1


@given(prefixes=st.dictionaries(replicas, st.integers(0, END)))
def test_of_covers_prefixes_and_forgets_zeros(prefixes: dict[ReplicaId, int]) -> None:
    """A vector without gaps, with nothing for replicas not heard of."""
    vector = VersionVector.of(prefixes)

    assert {r: vector.prefix(r) for r in prefixes} == prefixes
    assert set(vector.replicas()) == {r for r, n in prefixes.items() if n}
    assert vector == VersionVector.of({r: n for r, n in prefixes.items() if n})


def test_the_empty_vector_covers_nothing_and_lacks_everything() -> None:
    """Where every node and every session starts."""
    assert not EMPTY
    assert list(EMPTY.lacking(REPLICAS[0])) == [(1, None)]
    assert repr(VersionVector.of({ReplicaId(255): 2})) == "VersionVector({ff: 1..2})"
