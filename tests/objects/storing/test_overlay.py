"""An overlay shows what a plain dict would, however far the state below it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.objects.history import stamp
from kvnode.core.objects.map_change import (
    ENTRY_BYTES_MAX,
    Change,
    ChangeKind,
    encode_changes,
)
from kvnode.errors import InvalidArgumentError
from kvnode.objects.storing.overlay import CHANGE_BYTES, STAMP_BYTES, Overlay
from kvnode.types import Millis
from tests.objects.running.fake_log import DictState

KEYS = st.sampled_from([b"a1", b"a2", b"a3", b"b1", b"b2"])
PREFIXES = st.sampled_from([b"a", b"b"])

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.binary(max_size=2)),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("clear"), PREFIXES),
        st.tuples(st.just("take")),
        st.tuples(st.just("apply")),
    ),
    max_size=40,
)


def _change(step: tuple[object, ...]) -> Change:
    match step:
        case ("put", bytes(key), bytes(value)):
            return Change(ChangeKind.PUT, key, value)
        case ("delete", bytes(key)):
            return Change(ChangeKind.DELETE, key)
        case ("clear", bytes(key)):
            return Change(ChangeKind.DELETE_PREFIX, key)
        case _:
            raise AssertionError(step)


def _do(rows: dict[bytes, bytes], change: Change) -> None:
    kind, key, value = change
    if kind is ChangeKind.PUT:
        rows[key] = value
    else:
        for each in [each for each in rows if each.startswith(key)]:
            if kind is ChangeKind.DELETE_PREFIX or each == key:
                del rows[each]


@given(st.dictionaries(KEYS, st.binary(max_size=2)), STEPS, st.integers(1, 4))
def test_overlay_agrees_with_a_dict(
    rows: dict[bytes, bytes], steps: list[tuple[object, ...]], limit: int
) -> None:
    """Get and scan, both ways, after every step; and batches do what was staged."""
    state = DictState()
    state.rows = dict(rows)
    overlay, batches = Overlay(state), list[tuple[int, tuple[Change, ...]]]()
    for step in steps:
        match step[0]:
            case "take":
                if overlay.is_staging:
                    batches.append(overlay.take())
            case "apply":
                if batches:
                    number, changes = batches.pop(0)
                    for change in changes:
                        _do(state.rows, change)
                    overlay.settle(number)
            case _:
                overlay.stage([_change(step)])
                _do(rows, _change(step))
        for key in (b"a1", b"a2", b"a3", b"b1", b"b2"):
            assert overlay.get(key) == rows.get(key)
        for prefix, end in ((b"a", b"b"), (b"b", b"c")):
            for reverse in (False, True):
                expected = sorted(
                    (row for row in rows.items() if row[0].startswith(prefix)),
                    reverse=reverse,
                )[:limit]
                found = overlay.scan(prefix, end, reverse=reverse, limit=limit)
                assert found == expected


def test_entry_has_a_bound_and_nothing_of_what_is_too_much_is_staged() -> None:
    """What was staged before stays."""
    overlay = Overlay(DictState())
    overlay.stage([Change(ChangeKind.PUT, b"k", b"v")])
    half = Change(ChangeKind.PUT, b"x", bytes(ENTRY_BYTES_MAX // 2))

    with pytest.raises(InvalidArgumentError, match="written in one step"):
        overlay.stage([half, half._replace(key=b"y")])

    assert overlay.get(b"x") is None
    assert overlay.take() == (1, (Change(ChangeKind.PUT, b"k", b"v"),))


def test_entry_has_room_for_its_stamp() -> None:
    """Peers refuse an entry that is larger than that."""
    overlay = Overlay(DictState())
    room = ENTRY_BYTES_MAX - CHANGE_BYTES - STAMP_BYTES - 1
    most = Change(ChangeKind.PUT, b"k", bytes(room))

    with pytest.raises(InvalidArgumentError, match="written in one step"):
        overlay.stage([most._replace(value=bytes(room + 1))])
    overlay.stage([most])

    entry = [stamp(Millis(1 << 60)), *overlay.take()[1]]
    assert len(encode_changes(entry)) <= ENTRY_BYTES_MAX


def test_what_is_written_again_takes_room_once() -> None:
    """A counter may change as often as it likes in one step."""
    overlay = Overlay(DictState())
    for n in range(40):
        overlay.stage([Change(ChangeKind.PUT, b"k", bytes(ENTRY_BYTES_MAX // 3 + n))])

    assert len(overlay.take()[1]) == 1
