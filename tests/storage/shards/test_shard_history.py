"""What both kinds of states promise of histories: keys become what they were."""

import pytest

from kvnode.core.objects.history import (
    UNDO,
    UNDO_END,
    UNKNOWN_TIME,
    decode_before,
    mark_of,
    parse_undo_key,
)
from kvnode.core.objects.map_change import Change
from kvnode.core.objects.quorum_log import LogEntry
from kvnode.storage.shards.state_port import ShardState, ShardStates
from tests.storage.shards.states import (
    ROWS_MAX,
    all_rows,
    delete,
    delete_prefix,
    entry,
    forget,
    own_rows,
    put,
    rest_of,
    restore,
    send,
    stamped,
)

STEPS: tuple[LogEntry, ...] = (
    stamped(put(b"a", b"1"), put(b"b\x00\xff", b"\x00\xff\x00"), time=10),
    stamped(put(b"a", b"2"), put(b"c", b""), time=20),
    stamped(delete(b"a"), put(b"a", b"3"), delete(b"never"), time=30),
    stamped(put(b"bb", b"4"), delete_prefix(b"b"), put(b"bb", b"5"), time=40),
    stamped(delete(b"c"), put(b"large", bytes(70_000)), time=50),
)
"""Keys that come, change, and go, in all ways."""


@pytest.fixture
def state(states: ShardStates) -> ShardState:
    """A new state."""
    return states.open("a")


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("number", range(len(STEPS) + 1))
async def test_keys_become_what_they_were_behind_any_entry(
    states: ShardStates,
    number: int,
    at_once: bool,  # noqa: FBT001 -- a row of a table
) -> None:
    """Whether entries were applied together or one by one."""
    state, twin = states.open("a"), states.open("twin")
    await twin.apply(STEPS[:number])
    for batch in [STEPS] if at_once else [[step] for step in STEPS]:
        await state.apply(batch)

    await state.apply([stamped(*(restore(number, key) for key in (b"a", b"b")))])
    await state.apply([stamped(restore(number, b"c"), restore(number, b"l"))])

    assert own_rows(state) == own_rows(twin)


async def test_restore_is_undone_by_another(state: ShardState) -> None:
    """It has put down what it changed, like any entry."""
    await state.apply(STEPS)
    last = own_rows(state)
    await state.apply([stamped(restore(1, b"a"), restore(1, b"c"))])
    first = own_rows(state)

    await state.apply([stamped(restore(5, b"a"), restore(5, b"c"))])
    assert own_rows(state) == last
    await state.apply([stamped(restore(6, b"a"), restore(6, b"c"))])
    assert own_rows(state) == first != last


async def test_restore_leaves_alone_what_another_was_about(state: ShardState) -> None:
    """It was changed again since."""
    await state.apply([stamped(put(b"a", b"1"), put(b"b", b"1"))])
    await state.apply([stamped(put(b"a", b"2"), put(b"b", b"2"))])
    await state.apply([stamped(restore(1, b"a"))])
    await state.apply([stamped(put(b"a", b"3"))])

    await state.apply([stamped(restore(1, b"b"))])

    assert own_rows(state) == [(b"a", b"3"), (b"b", b"1")]


async def test_restore_and_changes_of_one_entry_are_undone_together(
    state: ShardState,
) -> None:
    """What the entry has changed itself is put down once: as it was before."""
    await state.apply([stamped(put(b"a", b"1"), put(b"b", b"1"))])
    await state.apply([stamped(put(b"a", b"2"), put(b"b", b"2"))])
    changes = put(b"b", b"3"), restore(1, b"a"), restore(1, b"b"), put(b"a", b"4")
    await state.apply([stamped(*changes)])
    assert own_rows(state) == [(b"a", b"4"), (b"b", b"1")]

    await state.apply([stamped(restore(2, b"a"), restore(2, b"b"))])

    assert own_rows(state) == [(b"a", b"2"), (b"b", b"2")]


@pytest.mark.parametrize(
    ("selected", "left"),
    [
        (restore(0, b"a"), [b"b1", b"b2"]),
        (restore(0, b"a", b"1"), [b"a2", b"b1", b"b2"]),
        (restore(0, b"b", b"2"), [b"a1", b"a2", b"b1"]),
        (restore(0, b"a2", b"a2"), [b"a1", b"b1", b"b2"]),
        (restore(0, b"a", b"\x01a1"), [b"a1", b"a2", b"b1", b"b2"]),
        (restore(0, b"c"), [b"a1", b"a2", b"b1", b"b2"]),
    ],
)
async def test_keys_are_selected_by_how_they_begin_and_end(
    state: ShardState, selected: Change, left: list[bytes]
) -> None:
    """No more than the keys themselves count, not what stands before them."""
    keys = [b"a1", b"a2", b"b1", b"b2"]
    await state.apply([stamped(*(put(key, b"v") for key in keys))])

    await state.apply([stamped(selected)])

    assert [key for key, _ in own_rows(state)] == left


async def test_what_was_so_already_is_not_changed(state: ShardState) -> None:
    """A restore that does nothing leaves nothing to undo."""
    await state.apply([stamped(put(b"a", b"1"), put(b"b", b""))])
    await state.apply([stamped(put(b"a", b"2"), delete(b"b"))])
    await state.apply([stamped(put(b"a", b"1"), put(b"b", b""))])
    rows = all_rows(state)[:-1]

    await state.apply([stamped(restore(1, b"a"), restore(1, b"b"))])

    assert all_rows(state)[:-1] == rows


async def test_entry_without_a_stamp_is_a_gap(state: ShardState) -> None:
    """Nobody knows what it has changed, so nothing before it can be had."""
    await state.apply([stamped(put(b"a", b"1"), time=10)])
    await state.apply([entry(put(b"a", b"2")), entry()])
    mark = mark_of(state)
    assert mark is not None
    assert (mark.floor, mark.floor_time) == (2, UNKNOWN_TIME)
    await state.apply([stamped(put(b"a", b"3"), time=30)])
    mark = mark_of(state)
    assert mark is not None
    assert (mark.floor, mark.floor_time, mark.last_time) == (2, 30, 30)

    await state.apply([stamped(restore(1, b"a"))])
    assert own_rows(state) == [(b"a", b"3")]
    await state.apply([stamped(restore(2, b"a"))])
    assert own_rows(state) == [(b"a", b"2")]


async def test_state_without_stamps_has_no_history(state: ShardState) -> None:
    """As of versions that know of none."""
    await state.apply([entry(put(b"a", b"1")), entry(put(b"a", b"2"))])
    await state.apply([entry(restore(1, b"a")), forget(1)])

    assert all_rows(state) == [(b"a", b"2")]


async def test_history_begins_with_the_first_stamp(state: ShardState) -> None:
    """What was there before can be had, and not what was before that."""
    await state.apply([entry(put(b"a", b"1")), entry(put(b"a", b"2"))])
    await state.apply([stamped(put(b"a", b"3"))])

    await state.apply([stamped(restore(1, b"a"))])
    assert own_rows(state) == [(b"a", b"3")]
    await state.apply([stamped(restore(2, b"a"))])
    assert own_rows(state) == [(b"a", b"2")]


def _numbers(state: ShardState) -> list[int]:
    rows = state.scan(UNDO, UNDO_END, limit=ROWS_MAX)
    return sorted({parse_undo_key(key)[0] for key, _ in rows})


def _size_bytes(state: ShardState) -> int:
    rows = state.scan(UNDO, UNDO_END, limit=ROWS_MAX)
    return sum(len(key) + len(row) for key, row in rows)


async def test_what_is_let_go_cannot_be_restored(state: ShardState) -> None:
    """All before it, and no more."""
    await state.apply(STEPS)
    before = own_rows(state)

    await state.apply([forget(2)])

    assert _numbers(state) == [3, 4, 5]
    mark = mark_of(state)
    assert mark is not None
    assert (mark.floor, mark.floor_time) == (2, 20)
    assert mark.size_bytes == _size_bytes(state)
    await state.apply([stamped(restore(1, b"a"))])
    assert own_rows(state) == before
    await state.apply([stamped(restore(2, b"a"))])
    assert state.get(b"a") == b"2"


async def test_what_is_too_much_is_let_go_by_whole_entries(state: ShardState) -> None:
    """The oldest first, until the rest is no more than asked for."""
    await state.apply([stamped(*(put(b"%d" % n, b"") for n in range(9)))] * 10)
    size_bytes = _size_bytes(state)

    await state.apply([forget(0, size_bytes // 2 + 1)])
    assert _numbers(state) == [6, 7, 8, 9, 10]
    await state.apply([forget(0, size_bytes)])
    assert _numbers(state) == [6, 7, 8, 9, 10]
    await state.apply([forget(7, size_bytes // 5)])
    assert _numbers(state) == [9, 10]
    await state.apply([stamped(put(b"a", b"")), forget(0, 0)])
    assert _numbers(state) == []
    mark = mark_of(state)
    assert mark is not None
    assert (mark.floor, mark.size_bytes) == (14, 0)


async def test_time_of_an_entry_stands_with_all_that_it_put_down(
    state: ShardState,
) -> None:
    """That is how points are found by time."""
    await state.apply(STEPS)

    rows = state.scan(UNDO, UNDO_END, limit=ROWS_MAX)

    times = {parse_undo_key(key)[0]: decode_before(row).time for key, row in rows}
    assert times == {1: 10, 2: 20, 3: 30, 4: 40, 5: 50}


async def test_installed_state_restores_like_the_one_it_came_from(
    states: ShardStates,
) -> None:
    """Its history came with it, though both go on differently until it is there."""
    here, there = states.open("a"), states.open("b")
    await here.apply([stamped(put(b"other", b"")), *[entry()] * 9])
    await there.apply(STEPS)
    await send(there, here, page_bytes=100)
    assert all_rows(here) == all_rows(there)

    later = [stamped(restore(1, b"a")), forget(2), stamped(restore(2, b"c"))]
    for state in (here, there):
        await state.apply(later)

    assert all_rows(here) == all_rows(there)
    assert here.get(b"a") == b"1"


async def test_picture_has_the_history_as_it_was(state: ShardState) -> None:
    """Whatever is put down, restored and let go while it is read."""
    await state.apply(STEPS[:3])
    rows = all_rows(state)
    pages = state.pages(page_bytes=60)
    first = [*await pages.page(), *await pages.page()]

    await state.apply([stamped(restore(1, b"a")), forget(1), *STEPS[3:]])
    await state.apply([stamped(restore(2, b"b"), restore(2, b"c")), forget(9)])

    assert [*first, *await rest_of(pages)] == rows
    assert _numbers(state) == []


async def test_history_is_there_after_the_state_was_closed(
    states: ShardStates,
) -> None:
    """It is part of it."""
    await states.open("a").apply(STEPS)
    states.open("a").close()
    await states.open("a").apply([stamped(restore(1, b"a"))])

    assert states.open("a").get(b"a") == b"1"
