"""EDN: what it says, however it comes, and what is wrong with it."""

from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsen_like.history import MalformedHistoryError, Value
from jepsen_like.readers import source as source_module
from jepsen_like.readers.events.forms import Form, Forms, value_of
from tests.jepsen_like.readers.told import source

Pair: TypeAlias = tuple[str, Value]
"""Text of EDN, and what it means."""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


_words = st.text("abcxyz", min_size=1, max_size=4)
_scalars: st.SearchStrategy[Pair] = (
    st.sampled_from(
        [
            ("nil", None),
            ("true", True),
            ("false", False),
            ("1N", 1),
            ("+7", 7),
            ("2.5M", 2.5),
            ("\\(", "("),
            ("\\newline", "\n"),
            (":a.b/c-d?", "a.b/c-d?"),
        ]
    )
    | st.integers().map(lambda number: (str(number), number))
    | st.floats(allow_nan=False, allow_infinity=False).map(lambda x: (repr(x), x))
    | st.text(max_size=8).map(lambda text: (_quoted(text), text))
    | _words.map(lambda word: (f":{word}", word))
)
_gaps = st.sampled_from([" ", ",", "\n", " ; ) } \n", " #_ nil ", " #_[1 #_2 (3)] "])


@st.composite
def _lists(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    pairs = draw(st.lists(inner, max_size=4))
    opening, closing = draw(st.sampled_from([("[", "]"), ("(", ")")]))
    gap = draw(_gaps)
    tag = draw(st.sampled_from(["", "#jepsen.history.Op", "#my/tag ", "^{:line 1} "]))
    text = gap.join(text for text, _ in pairs)
    return f"{tag}{opening}{gap}{text}{gap}{closing}", tuple(v for _, v in pairs)


_pairs: st.SearchStrategy[Pair] = st.recursive(_scalars, _lists, max_leaves=8)


def _forms(text: str) -> list[Form]:
    return list(Forms(source(text)))


@given(pair=_pairs, size=st.integers(1, 12))
def test_value_is_read_however_it_is_cut_into_pieces(pair: Pair, size: int) -> None:
    """No token is cut in two by the end of a piece, nor two made one."""
    text, expected = pair
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_module, "HEAD_BYTES", size)
        patch.setattr(source_module, "PIECE_BYTES", size)
        forms = _forms(f"{{:value {text}}}")

    assert forms == [{"value": expected}]
    assert repr(forms[0]) == repr({"value": expected})  # 1 is not 1.0, nor true


@given(pairs=st.lists(_pairs, max_size=5))
def test_whole_file_in_brackets_streams_as_its_elements(pairs: list[Pair]) -> None:
    """A vector of maps and a map a line are the same history."""
    maps = [f"{{:value {text}}}" for text, _ in pairs]
    expected = [{"value": value} for _, value in pairs]

    assert _forms("\n".join(maps)) == expected
    assert _forms(f"[{' '.join(maps)}]") == expected
    assert _forms(f"; a comment\n({', '.join(maps)}\n)\n") == expected


def test_sets_and_inner_maps_are_sorted_tuples() -> None:
    """So that they are values: hashable, and the same in every run."""
    (form,) = _forms('{:value #{3 "b" :a nil 1 [2] true} :inner {:b 1 :a {2 3}}}')

    assert form == {
        "value": (None, True, 1, 3, "a", "b", (2,)),
        "inner": (("a", ((2, 3),)), ("b", 1)),
    }


def test_discarded_forms_are_not_there() -> None:
    """Also two in a row, at the top, and with brackets in them."""
    assert _forms("#_ {:a 1} {:b [1 #_ #_ 2 (3) 4]} #_[{:c 1}] {:d 1}") == [
        {"b": (1, 4)},
        {"d": 1},
    ]


def test_special_numbers_are_read() -> None:
    """Infinity exists in EDN."""
    assert value_of("[##Inf ##-Inf]") == (float("inf"), float("-inf"))


def test_unicode_escapes_are_read() -> None:
    """By their code, in text and as characters."""
    assert value_of('["\\u00e9\\t\\\\" \\u0041]') == ("é\t\\", "A")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("{:a 1}\n{:b", 2, "the file ends where '}'"),
        ("[{:a 1}\n", 2, "the file ends where ']'"),
        ("{:a\n[1 2)}", 2, "expected ']' to close '\\['"),
        ("{:a 1}\n\n}", 3, "closes nothing"),
        ("{:a 1 :b}", 1, "a value for each key"),
        ('{:a "never\nending}', 2, "no closing quote"),
        ('{:a "\\q"}', 1, "no escape"),
        ("{:a\n12x}", 2, "'12x' is not a number"),
        ("{:a \\nonsense}", 1, "no character"),
        ("[" * 200, 1, "more than 100 brackets"),
    ],
)
def test_malformed_text_is_named_with_its_line(
    text: str, line: int, message: str
) -> None:
    """Whoever cut the file off is told where."""
    with pytest.raises(MalformedHistoryError, match=message) as caught:
        _forms(text)

    assert caught.value.line == line


def test_lines_are_counted_over_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error far down in a large file is found again."""
    monkeypatch.setattr(source_module, "HEAD_BYTES", 7)
    monkeypatch.setattr(source_module, "PIECE_BYTES", 7)

    with pytest.raises(MalformedHistoryError) as caught:
        _forms("{:a 1}\n" * 999 + "{:a 1 2}")

    assert caught.value.line == 1000


def test_bytes_that_are_not_utf8_are_refused() -> None:
    """They are no EDN."""
    with pytest.raises(MalformedHistoryError, match="UTF-8"):
        list(Forms(source(b'{:a "\xff"}')))


def test_remembered_atoms_are_bounded() -> None:
    """A history of a million times does not fill memory with them."""
    forms = Forms(source(" ".join(f"{{:a {number}}}" for number in range(120_000))))

    assert sum(1 for _ in forms) == 120_000
    assert len(forms._known) <= 50_000
