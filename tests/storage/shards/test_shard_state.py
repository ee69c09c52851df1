"""What both kinds of applied states promise."""

import pytest

from kvnode.core.objects.map_change import Change
from kvnode.core.objects.quorum_log import ORIGIN, LogEntry, Position
from kvnode.core.objects.state_reader import Row
from kvnode.errors import CorruptRecordError, InvalidArgumentError, UnavailableError
from kvnode.storage.shards.state_port import (
    ShardState,
    ShardStates,
    row_bytes,
)
from tests.storage.shards.states import (
    all_rows,
    delete,
    delete_prefix,
    entry,
    numbered,
    numbered_rows,
    put,
    rest_of,
    send,
)

VERY_LARGE = 1 << 20


@pytest.fixture
def state(states: ShardStates) -> ShardState:
    """A new state."""
    return states.open("a")


def test_new_state_holds_nothing_of_no_entry(state: ShardState) -> None:
    """All logs begin with it."""
    assert state.applied == ORIGIN
    assert all_rows(state) == []
    assert state.get(b"k") is None


async def test_applied_entries_are_seen_and_counted(state: ShardState) -> None:
    """An entry without changes counts, too."""
    await state.apply([entry(put(b"k", b"1")), entry(put(b"l", b""), epoch=3)])
    await state.apply([entry(epoch=4)])

    assert state.applied == Position(4, 3)
    assert state.get(b"k") == b"1"
    assert state.get(b"l") == b""
    assert all_rows(state) == [(b"k", b"1"), (b"l", b"")]


async def test_nothing_to_apply_changes_nothing(state: ShardState) -> None:
    """The position stays that of the last entry."""
    await state.apply(numbered(2))
    await state.apply([])

    assert state.applied == Position(1, 2)


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ([put(b"a", b"2"), delete(b"a")], []),
        ([delete(b"a"), put(b"a", b"2")], [(b"a", b"2")]),
        ([put(b"a", b"2"), put(b"a", b"3")], [(b"a", b"3")]),
        ([put(b"ab", b"2"), delete_prefix(b"a")], []),
        ([delete_prefix(b"a"), put(b"ab", b"2")], [(b"ab", b"2")]),
        ([delete(b"b"), delete_prefix(b"ab")], [(b"a", b"1")]),
    ],
)
async def test_changes_are_done_one_after_the_other(
    state: ShardState, changes: list[Change], left: list[Row]
) -> None:
    """Within an entry, as well as over several of one transaction."""
    await state.apply([entry(put(b"a", b"1"))])
    await state.apply([entry(*changes)])

    assert all_rows(state) == left

    await state.apply([entry(delete_prefix(b"a"), put(b"a", b"1"))])
    await state.apply([entry(change) for change in changes])

    assert all_rows(state) == left


@pytest.mark.parametrize(
    ("prefix", "gone"),
    [
        (b"a", [b"a", b"a\x00", b"a\xff", b"a\xff\x01", b"a\xff\xff\x01"]),
        (b"a\xff", [b"a\xff", b"a\xff\x01", b"a\xff\xff\x01"]),
        (b"\xff", [b"\xff", b"\xff\xff", b"\xff\xff\x00"]),
        (b"\xff\xff", [b"\xff\xff", b"\xff\xff\x00"]),
        (b"aa", []),
    ],
)
async def test_prefix_deletes_what_begins_with_it_and_no_more(
    state: ShardState, prefix: bytes, gone: list[bytes]
) -> None:
    """There is no key behind all that begin with ff."""
    keys = [b"a", b"a\x00", b"a\xff", b"a\xff\x01", b"a\xff\xff\x01", b"b"]
    keys += [b"\xff", b"\xff\xff", b"\xff\xff\x00"]
    await state.apply([entry(*(put(key, b"v") for key in keys))])

    await state.apply([entry(delete_prefix(prefix))])

    left = {key for key, _ in all_rows(state)}
    assert set(keys) - left == set(gone)


async def test_damaged_entry_keeps_all_of_its_turn_out(state: ShardState) -> None:
    """Else a replica would do less than the others, and go on."""
    await state.apply(numbered(1))
    damaged = LogEntry(1, entry(put(b"x", b"y")).data[:-1])

    with pytest.raises(CorruptRecordError, match="ends 1 bytes too soon"):
        await state.apply([*numbered(1, first=2), damaged])

    assert state.applied == Position(1, 1)
    assert all_rows(state) == numbered_rows(1)
    await state.apply(numbered(1, first=2))
    assert all_rows(state) == numbered_rows(2)


@pytest.mark.parametrize(
    ("between", "reverse", "limit", "found"),
    [
        ((b"", None), False, 9, "abcd"),
        ((b"", None), True, 9, "dcba"),
        ((b"b", b"d"), False, 9, "bc"),
        ((b"b", b"d"), True, 9, "cb"),
        ((b"b", None), False, 2, "bc"),
        ((b"b", None), True, 2, "dc"),
        ((b"a", b"d"), True, 1, "c"),
        ((b"bb", b"c"), False, 9, ""),
        ((b"d", b"a"), False, 9, ""),
    ],
)
async def test_scan_returns_the_range_in_order(
    state: ShardState,
    between: tuple[bytes, bytes | None],
    reverse: bool,  # noqa: FBT001 -- a row of a table
    limit: int,
    found: str,
) -> None:
    """The start is in it, the end is not."""
    await state.apply([entry(*(put(bytes((key,)), b"v") for key in b"dacb"))])

    rows = state.scan(*between, reverse=reverse, limit=limit)

    assert rows == [(key.encode(), b"v") for key in found]


async def test_state_is_there_after_it_was_closed(states: ShardStates) -> None:
    """Without a checkpoint, since no power was lost."""
    await states.open("a").apply(numbered(3))
    states.open("a").close()

    again = states.open("a")

    assert again.applied == Position(1, 3)
    assert all_rows(again) == numbered_rows(3)


async def test_checkpoint_tells_what_is_applied(state: ShardState) -> None:
    """Up to there the log may go."""
    assert await state.checkpoint() == ORIGIN
    await state.apply(numbered(3))
    assert await state.checkpoint() == Position(1, 3)


# -- pictures -----------------------------------------------------------------


async def test_picture_stays_what_it_was_while_the_state_goes_on(
    state: ShardState,
) -> None:
    """Keys change, go, and come, before and behind where it has come to."""
    await state.apply(numbered(6))
    pages = state.pages(page_bytes=row_bytes(numbered_rows(1)[0]) * 2)
    first = await pages.page()
    for changes in (
        [put(b"000001", b"new"), put(b"000004", b"new"), delete(b"000005")],
        [put(b"000004", b"newer"), put(b"0000035", b"new"), delete(b"000002")],
        [delete_prefix(b"00000"), put(b"000005", b"back"), put(b"1", b"new")],
    ):
        await state.apply([entry(*changes)])
        await state.checkpoint()

    assert pages.base == Position(1, 6)
    assert [*first, *await rest_of(pages)] == numbered_rows(6)
    assert all_rows(state) == [(b"000005", b"back"), (b"1", b"new")]


async def test_pictures_of_two_times_do_not_mix(state: ShardState) -> None:
    """Each has what was there when it began, or was changed for the other alone."""
    await state.apply([entry(put(b"a", b"1"), put(b"b", b"1"), put(b"d", b"1"))])
    older = state.pages(page_bytes=VERY_LARGE)
    changes = put(b"a", b"2"), delete(b"b"), put(b"c", b"2"), put(b"d", b"2")
    await state.apply([entry(*changes)])
    newer = state.pages(page_bytes=VERY_LARGE)
    await state.apply([entry(delete_prefix(b"a"), put(b"b", b"3"), delete(b"c"))])

    assert await rest_of(older) == [(b"a", b"1"), (b"b", b"1"), (b"d", b"1")]
    assert await rest_of(newer) == [(b"a", b"2"), (b"c", b"2"), (b"d", b"2")]


async def test_pages_are_as_large_as_asked_for_at_most(state: ShardState) -> None:
    """A row that is larger comes alone."""
    sizes = [10, 300, 10, 10, 10]
    await state.apply([entry(*(put(b"%d" % n, bytes(s)) for n, s in enumerate(sizes)))])

    pages = state.pages(page_bytes=2 * row_bytes((b"k", bytes(10))))

    assert [[len(value) for _, value in await pages.page()] for _ in range(5)] == [
        [10],
        [300],
        [10, 10],
        [10],
        [],
    ]
    assert await pages.page() == ()


# -- another state --------------------------------------------------------------


async def test_installed_state_takes_the_place_of_all(states: ShardStates) -> None:
    """And the log goes on behind it."""
    here, there = states.open("a"), states.open("b")
    await here.apply(numbered(9, first=5))
    await there.apply(numbered(5, epoch=4))

    await send(there, here, page_bytes=64)

    assert here.applied == Position(4, 5)
    assert all_rows(here) == numbered_rows(5)
    assert here.get(b"000006") is None
    await here.apply(numbered(2, first=6, epoch=4))
    assert here.applied == Position(4, 7)
    assert all_rows(here) == numbered_rows(7)


async def test_installed_state_is_there_after_it_was_closed(
    states: ShardStates,
) -> None:
    """It is not only what is shown."""
    await states.open("b").apply(numbered(5, epoch=4))
    await send(states.open("b"), states.open("a"), page_bytes=64)
    await states.open("a").apply(numbered(1, first=6, epoch=4))
    states.open("a").close()

    assert states.open("a").applied == Position(4, 6)
    assert all_rows(states.open("a")) == numbered_rows(6)


async def test_page_that_comes_twice_does_no_harm(state: ShardState) -> None:
    """Messages are sent again; and of a key within one the last row counts."""
    install = await state.install()
    await install.add(numbered_rows(3))
    await install.add(numbered_rows(3, first=4))
    await install.add(numbered_rows(3))
    await install.add([(b"1", b"a"), (b"1", b"b"), (b"2", b"c")])
    await install.finish(Position(2, 6))

    assert all_rows(state) == [*numbered_rows(6), (b"1", b"b"), (b"2", b"c")]


async def test_state_goes_on_until_another_is_complete(state: ShardState) -> None:
    """What comes is not seen before, and may be abandoned."""
    await state.apply(numbered(2))
    install = await state.install()
    await install.add([(b"x", b"y")])
    await state.apply(numbered(1, first=3))
    assert all_rows(state) == numbered_rows(3)

    await install.abandon()
    await install.abandon()

    with pytest.raises(UnavailableError, match="begin anew"):
        await install.add([(b"x", b"y")])
    with pytest.raises(UnavailableError, match="begin anew"):
        await install.finish(Position(2, 1))
    assert state.applied == Position(1, 3)
    assert all_rows(state) == numbered_rows(3)


async def test_installing_begun_again_abandons_the_first(state: ShardState) -> None:
    """Two senders' pages would mix."""
    first = await state.install()
    await first.add([(b"x", b"y")])
    second = await state.install()

    with pytest.raises(UnavailableError, match="begin anew"):
        await first.add([(b"x", b"y")])
    await first.abandon()

    await second.add(numbered_rows(2))
    await second.finish(Position(2, 2))
    assert all_rows(state) == numbered_rows(2)


async def test_picture_ends_with_the_state_it_was_of(state: ShardState) -> None:
    """Its rows are gone."""
    await state.apply(numbered(2))
    pages = state.pages(page_bytes=1)
    await pages.page()
    install = await state.install()
    await install.finish(Position(2, 9))

    with pytest.raises(UnavailableError, match="begin anew"):
        await pages.page()
    pages.close()
    assert await rest_of(state.pages(page_bytes=1)) == []


# -- states by name ---------------------------------------------------------------


async def test_states_are_had_listed_and_dropped_by_name(states: ShardStates) -> None:
    """One that was dropped begins anew."""
    for name in ("b", "a-1.sqlite", "..", "x"):
        await states.open(name).apply(numbered(2))
    assert states.open("b") is states.open("b")

    states.drop("x")
    states.drop("never-there")

    assert states.shards() == ("..", "a-1.sqlite", "b")
    assert states.open("x").applied == ORIGIN
    assert all_rows(states.open("b")) == numbered_rows(2)


@pytest.mark.parametrize("name", ["", "a/b", "A", "é", "a\n", "a" * 201])
def test_what_is_no_name_of_a_shard_is_refused(states: ShardStates, name: str) -> None:
    """It becomes the name of a file."""
    with pytest.raises(InvalidArgumentError, match="is no name of a shard"):
        states.open(name)
    with pytest.raises(InvalidArgumentError, match="is no name of a shard"):
        states.drop(name)
