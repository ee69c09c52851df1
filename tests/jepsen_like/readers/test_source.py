"""Sources: lines are the same however the bytes come."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsen_like.history import MalformedHistoryError
from jepsen_like.readers import Source
from jepsen_like.readers import source as source_module
from tests.jepsen_like.readers.told import source


class Dribble(BytesIO):
    """A stream that gives a byte or two at a time, as a pipe may."""

    def read(self, size: int | None = -1) -> bytes:
        """Return less than was asked for."""
        return super().read(min(2, 2 if size is None or size < 0 else size))


@given(text=st.text("ab\n", max_size=30))
def test_lines_are_those_of_the_text(text: str) -> None:
    """However little comes at once, and where it begins after the head."""
    lines = Source(Dribble(text.encode()), "h").raw_lines()

    assert list(lines) == text.encode().splitlines()


@given(text=st.text("ab\n", max_size=30), size=st.integers(1, 5))
def test_lines_do_not_depend_on_the_size_of_pieces(text: str, size: int) -> None:
    """A line may lie in many pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_module, "HEAD_BYTES", size)
        patch.setattr(source_module, "PIECE_BYTES", size)
        lines = list(source(text).raw_lines())

    assert lines == text.encode().splitlines()


def test_progress_reaches_the_size_of_the_file() -> None:
    """The bar is full when all is read."""
    told: list[int] = []
    content = b"x" * 300_000

    list(Source(BytesIO(content), "h", told.append).pieces())

    assert told == sorted(told)
    assert told[-1] == len(content)


def test_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A film is not read into memory to learn that it is no history."""
    monkeypatch.setattr(source_module, "LINE_BYTES_MAX", 10)

    with pytest.raises(MalformedHistoryError, match="h:2: a line of more than 10"):
        list(source(b"short\n" + b"x" * 11).raw_lines())


def test_line_that_is_not_utf8_is_named() -> None:
    """With its number and the byte."""
    with pytest.raises(MalformedHistoryError, match="h:2: not UTF-8 at byte 3"):
        list(source(b"ok\nab\xff\n").lines())
