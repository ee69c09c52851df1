"""A page file shows what a plain file would, and what it says of changes is so."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvnode.core.objects.map_change import (
    ENTRY_BYTES_MAX,
    Change,
    ChangeKind,
    encode_changes,
)
from kvnode.errors import CorruptRecordError, InvalidArgumentError
from kvnode.objects.storing.keys import Kind, object_prefix
from kvnode.objects.storing.sql.page_file import PAGE_BYTES, PAGES_MAX, PageFile
from tests.objects.running.fake_log import DictState

BODY = b"b" * 24
PREFIX = object_prefix(BODY, Kind.SQL_PAGE)
ZEROS = bytes(PAGE_BYTES)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 6), st.integers(1, 255)),
        st.tuples(st.just("resize"), st.integers(0, 6), st.just(0)),
        st.tuples(st.just("take"), st.just(0), st.just(0)),
        st.tuples(st.just("open again"), st.just(0), st.just(0)),
    ),
    max_size=30,
)


def page(fill: int) -> bytes:
    """Return a page."""
    return bytes((fill,)) * PAGE_BYTES


def shown(pages: PageFile) -> list[bytes]:
    """Return all pages."""
    return [pages.read(number) for number in range(pages.count)]


@given(STEPS)
@example([("write", 1, 1), ("take", 0, 0), ("resize", 1, 0), ("take", 0, 0)])
@example(
    [
        ("resize", 1, 0),
        ("take", 0, 0),
        ("resize", 0, 0),
        ("resize", 1, 0),
        ("take", 0, 0),
    ]
)
def test_page_file_agrees_with_a_list(steps: list[tuple[str, int, int]]) -> None:
    """Also after it was opened anew, with what was taken and nothing else."""
    state = DictState()
    pages = PageFile(state, BODY)
    expected, stored = list[bytes](), list[bytes]()
    for what, number, fill in steps:
        match what:
            case "write":
                pages.write(number, page(fill))
                expected += [ZEROS] * (number + 1 - len(expected))
                expected[number] = page(fill)
            case "resize":
                pages.resize(number)
                expected = (expected + [ZEROS] * number)[:number]
            case "take":
                state.apply(encode_changes(pages.changes()))
                pages.taken()
                stored = list(expected)
            case _:
                pages = PageFile(state, BODY)
                expected = list(stored)
        assert shown(pages) == expected
        assert pages.read(len(expected)) == b""
    assert PageFile(state, BODY).count == len(stored)


def test_nothing_is_to_be_taken_where_nothing_was_written() -> None:
    """A query that reads makes no entry."""
    state = DictState()
    pages = PageFile(state, BODY)
    pages.write(0, page(1))
    assert pages.is_changed
    state.apply(encode_changes(pages.changes()))
    pages.taken()

    assert not pages.is_changed
    assert pages.changes() == []
    assert list(state.rows) == [PREFIX + bytes(4)]


def test_last_page_has_a_row_even_if_it_is_empty() -> None:
    """How long the file is follows from it."""
    pages = PageFile(DictState(), BODY)

    pages.resize(3)

    assert pages.changes() == [
        Change(ChangeKind.PUT, PREFIX + bytes((0, 0, 0, 2)), ZEROS)
    ]


def test_as_many_pages_as_may_change_at_once_fit_one_entry() -> None:
    """And one more is refused when it is written."""
    pages = PageFile(DictState(), BODY)
    for number in range(PAGES_MAX):
        pages.write(number, ZEROS)
    assert len(encode_changes(pages.changes())) <= ENTRY_BYTES_MAX

    pages.write(7, page(7))
    with pytest.raises(InvalidArgumentError, match="change in one step"):
        pages.write(PAGES_MAX, ZEROS)


def test_row_of_another_length_is_damage() -> None:
    """It is told, rather than read as something else."""
    state = DictState()
    state.rows[PREFIX + bytes(4)] = b"short"

    with pytest.raises(CorruptRecordError, match="5 bytes"):
        PageFile(state, BODY).read(0)
