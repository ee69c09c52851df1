"""Changes come out of an entry as they went in, and damage is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.objects.history import (
    Forget,
    Restore,
    forget_of,
    restore_of,
    stamp,
    stamp_time,
)
from kvnode.core.objects.map_change import (
    KEY_BYTES_MAX,
    Change,
    ChangeKind,
    decode_changes,
    encode_changes,
)
from kvnode.errors import CorruptRecordError
from kvnode.types import Millis

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


def test_changes_about_history_come_out_as_they_went_in() -> None:
    """A stamp before others, a restore of whatever keys, what is let go by itself."""
    entries = [
        [stamp(Millis(7)), Restore(b"a", b"", 1).change()],
        [stamp(Millis(7)), Restore(b"a", b"z", 1 << 60).change()],
        [Forget(3, 4).change()],
    ]
    for changes in entries:
        assert decode_changes(encode_changes(changes)) == changes
    assert stamp_time(entries[0][0]) == 7
    assert restore_of(entries[1][1]) == Restore(b"a", b"z", 1 << 60)
    assert forget_of(entries[2][0]) == Forget(3, 4)


@pytest.mark.parametrize(
    "changes",
    [
        [Change(ChangeKind.DELETE, b"k"), stamp(Millis(7))],
        [stamp(Millis(7)), stamp(Millis(8))],
        [Change(ChangeKind.STAMP, b"short")],
        [stamp(Millis(7)), Forget(1, 2).change()],
        [Forget(1, 2).change(), Change(ChangeKind.DELETE, b"k")],
        [Change(ChangeKind.FORGET, b"short")],
        [Change(ChangeKind.RESTORE, b"k", b"short")],
    ],
)
def test_change_in_a_wrong_place_is_damage(changes: list[Change]) -> None:
    """States might understand it differently."""
    with pytest.raises(CorruptRecordError, match="in a wrong place, or of a wrong"):
        decode_changes(encode_changes(changes))


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
