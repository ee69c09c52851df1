"""Rows of a history come out as they went in, and damage is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.objects.history import (
    UNDO,
    UNDO_END,
    UNKNOWN_TIME,
    Before,
    HistoryMark,
    decode_before,
    decode_mark,
    parse_undo_key,
    undo_key,
)
from kvnode.errors import CorruptRecordError
from kvnode.types import Millis

numbers = st.integers(0, (1 << 64) - 1)
times = st.integers(0, UNKNOWN_TIME).map(Millis)


@given(mark=st.builds(HistoryMark, numbers, times, times, numbers))
def test_mark_comes_out_as_it_went_in(mark: HistoryMark) -> None:
    """All of it."""
    assert decode_mark(mark.encode()) == mark


@given(before=st.builds(Before, times, st.none() | st.binary(max_size=9)))
def test_what_a_key_held_comes_out_as_it_went_in(before: Before) -> None:
    """Nothing is another thing than an empty value."""
    assert decode_before(before.encode()) == before


@given(number=numbers, key=st.binary(max_size=9))
def test_undo_key_comes_out_as_it_went_in(number: int, key: bytes) -> None:
    """And stands within the range of all."""
    place = undo_key(number, key)

    assert parse_undo_key(place) == (number, key)
    assert UNDO <= place < UNDO_END


@given(one=st.tuples(numbers, st.binary()), other=st.tuples(numbers, st.binary()))
def test_undo_keys_sort_by_entry_and_key(
    one: tuple[int, bytes], other: tuple[int, bytes]
) -> None:
    """So the oldest goes first, and the first change of a key is found first."""
    assert (undo_key(*one) < undo_key(*other)) == (one < other)


@pytest.mark.parametrize(
    "row", [b"", b"short", bytes(8), bytes(8) + b"\x02", bytes(8) + b"\x00x"]
)
def test_damaged_undo_row_is_told(row: bytes) -> None:
    """Rather than taken for what a key has held."""
    with pytest.raises(CorruptRecordError, match="damaged"):
        decode_before(row)


@pytest.mark.parametrize("row", [b"", bytes(31), bytes(33)])
def test_damaged_mark_is_told(row: bytes) -> None:
    """A wrong floor would restore what nobody knows."""
    with pytest.raises(CorruptRecordError, match="damaged"):
        decode_mark(row)
