"""Bookmarks come out of their text as they went in, and sort by what they name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.errors import InvalidArgumentError
from kvnode.objects.points.bookmark import Bookmark

BODY = b"b" * 24
bookmarks = st.builds(Bookmark, st.integers(0, (1 << 64) - 1), st.booleans())


@given(bookmark=bookmarks)
def test_bookmark_comes_out_as_it_went_in(bookmark: Bookmark) -> None:
    """For the object that it is of, and no other."""
    text = bookmark.text_for(BODY)

    assert Bookmark.parse(BODY, text) == bookmark
    with pytest.raises(InvalidArgumentError, match="one of another"):
        Bookmark.parse(b"c" * 24, text)


@given(bookmark=bookmarks)
def test_bookmark_is_of_the_region_in_which_it_was_taken(bookmark: Bookmark) -> None:
    """Elsewhere it names an entry of another log."""
    text = bookmark.text_for(BODY, "west")
    assert Bookmark.parse(BODY, text, "west") == bookmark
    for region in ("", "east"):
        with pytest.raises(InvalidArgumentError, match="one of another"):
            Bookmark.parse(BODY, text, region)
    with pytest.raises(InvalidArgumentError, match="before the object was placed in"):
        Bookmark.parse(BODY, bookmark.text_for(BODY), "west")


@given(one=bookmarks, other=bookmarks)
def test_texts_sort_as_what_they_name(one: Bookmark, other: Bookmark) -> None:
    """What is right before a later restore comes behind its entry."""
    assert (one.text_for(BODY) < other.text_for(BODY)) == (one < other)


@given(bookmark=bookmarks, place=st.integers(0, 34), digit=st.sampled_from("0123"))
def test_text_with_a_wrong_character_is_refused(
    bookmark: Bookmark, place: int, digit: str
) -> None:
    """Whichever it is."""
    text = bookmark.text_for(BODY)
    wrong = text[:place] + digit + text[place + 1 :]
    if wrong != text:
        with pytest.raises(InvalidArgumentError):
            Bookmark.parse(BODY, wrong)
