"""Paths and queries: split before they are decoded, and decoded once."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.errors import InvalidArgumentError
from kvnode.http.paths import RawPath, decoded, parameters

TEXT = st.text(st.characters(codec="utf-8"))


@given(TEXT)
def test_part_comes_back_from_its_encoding(name: str) -> None:
    """Slashes, percent signs and all."""
    assert decoded(quote(name, safe="")) == name


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("a%2Fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("%c3%bc", "ü"),
        ("ü", "ü"),
        ("+:@$,;=~!*'()&", "+:@$,;=~!*'()&"),  # as workerd leaves them
        ("%00", "\0"),
    ],
)
def test_part_is_decoded_once(part: str, name: str) -> None:
    """And a plus is a plus."""
    assert decoded(part) == name


@pytest.mark.parametrize("part", ["%", "a%2", "%zz", "%FF", "%ED%A0%80"])
def test_part_that_stands_for_nothing_is_refused(part: str) -> None:
    """Rather than being taken for another name."""
    with pytest.raises(InvalidArgumentError):
        decoded(part)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/a?b?c", RawPath("/a", "b?c")),
        ("http://host:80/a?b", RawPath("/a", "b")),
        ("http://host", RawPath("/", "")),
        ("http://host?b", RawPath("/", "b")),
        ("/http://a", RawPath("/http://a", "")),
        ("*", RawPath("*", "")),
    ],
)
def test_target_is_path_and_query(target: str, found: RawPath) -> None:
    """With or without an origin, which proxies may send."""
    assert RawPath.of(target) == found


def test_target_that_is_no_utf8_is_refused() -> None:
    """It could not be passed on."""
    with pytest.raises(InvalidArgumentError, match="no UTF-8"):
        RawPath.of("/\udcff")


def test_parameters_are_decoded_as_forms_are() -> None:
    """A plus is a space there."""
    assert parameters("a=x+y%2B%C3%BC&b=&c", "abc") == {"a": "x y+ü", "b": "", "c": ""}
    assert parameters("", "abc") == {}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("d=1", "no parameter 'd'; there are a, b, c"),
        ("a=1&a=2", "a is there more than once"),
        ("a=%FF", "UTF-8"),
        ("a=1&&b=2", "no parameter ''"),
    ],
)
def test_parameters_that_are_not_understood_are_refused(
    query: str, message: str
) -> None:
    """A misspelt one would else be found out in production."""
    with pytest.raises(InvalidArgumentError, match=message):
        parameters(query, "abc")
