"""Tests of kvnode.storage.sorted_map."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.storage.sorted_map import SortedMap

small = st.integers(0, 9)
operations = st.lists(st.tuples(st.booleans(), small, small))


@given(drawn=operations, start=small)
def test_sorted_map_agrees_with_a_dict(
    drawn: list[tuple[bool, int, int]], start: int
) -> None:
    """Through puts and removals of keys old and new."""
    sorted_map: SortedMap[int, int] = SortedMap()
    twin: dict[int, int] = {}
    for putting, key, value in drawn:
        if putting:
            sorted_map.put(key, value)
            twin[key] = value
        else:
            sorted_map.discard(key)
            twin.pop(key, None)

    expected = sorted((k, v) for k, v in twin.items() if k >= start)
    assert list(sorted_map.items_from(start)) == expected
    assert len(sorted_map) == len(twin)
    assert [sorted_map.get(key) for key in range(10)] == [
        twin.get(k) for k in range(10)
    ]


def test_copy_goes_its_own_way() -> None:
    """What is done to one is not seen in the other."""
    original: SortedMap[int, str] = SortedMap()
    original.put(1, "one")
    copy = original.copy()

    copy.put(2, "two")
    original.discard(1)

    assert list(copy.items_from(0)) == [(1, "one"), (2, "two")]
    assert list(original.items_from(0)) == []
