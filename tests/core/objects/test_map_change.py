"""Changes come out of an entry as they went in, and damage is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.objects.map_change import (
    KEY_BYTES_MAX,
    Change,
    ChangeKind,
    decode_changes,
    encode_changes,
)
from kvnode.errors import CorruptRecordError

keys = st.binary(min_size=1, max_size=40) | st.just(b"k" * KEY_BYTES_MAX)
puts = st.builds(
    Change, kind=st.just(ChangeKind.PUT), key=keys, value=st.binary(max_size=300)
)
deletes = st.builds(
    Change,
    kind=st.sampled_from((ChangeKind.DELETE, ChangeKind.DELETE_PREFIX)),
    key=keys,
    value=st.just(b""),
)


@given(changes=st.lists(puts | deletes, max_size=8))
def test_changes_come_out_as_they_went_in(changes: list[Change]) -> None:
    """In their order, which decides what is left."""
    assert decode_changes(encode_changes(changes)) == changes


@given(data=st.binary(max_size=60))
def test_other_bytes_are_refused_or_are_changes(data: bytes) -> None:
    """Nothing but the one error comes of them."""
    try:
        changes = decode_changes(data)
    except CorruptRecordError:
        return
    assert all(0 < len(change.key) <= KEY_BYTES_MAX for change in changes)


@given(changes=st.lists(puts, min_size=1, max_size=3), cut=st.integers(1, 10))
def test_entry_that_is_cut_off_is_damaged(changes: list[Change], cut: int) -> None:
    """Unless it happens to end with a whole change."""
    data = encode_changes(changes)[: -min(cut, len(encode_changes(changes)) - 1)]
    try:
        found = decode_changes(data)
    except CorruptRecordError:
        return
    assert found == changes[: len(found)]


def test_key_without_bytes_is_damage() -> None:
    """No change is of everything: that is what a prefix of one object is for."""
    with pytest.raises(CorruptRecordError, match="a key or value of 0 bytes"):
        decode_changes(bytes((ChangeKind.DELETE_PREFIX, 0)))
