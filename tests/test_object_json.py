"""Values of objects in JSON: the nearest form, and bytes there and back."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.errors import InvalidArgumentError
from kvnode.object_json import from_json, near_json
from kvnode.object_values import DEPTH_MAX, Value

SAYABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("value", "near"),
    [
        ({1: {True}, "a": (None, 2.5)}, {"1": [True], "a": [None, 2.5]}),
        ({"b", "a"}, ["a", "b"]),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), "2024-02-29T12:00:00+00:00"),
        ([float("inf"), float("nan")], ["inf", "nan"]),
    ],
)
def test_what_json_cannot_say_is_written_in_its_nearest_form(
    value: Value, near: Value
) -> None:
    """Whatever objects can store can be printed."""
    assert near_json(value) == near


@given(SAYABLE)
def test_what_json_can_say_with_bytes_comes_back(value: Value) -> None:
    """Objects get from JSON what they would have said in it."""
    assert from_json(near_json(value), "it") == value


@pytest.mark.parametrize(
    "document", [{"base64": 5}, {"base64": "aGk=", "more": 1}, {"Base64": "aGk="}]
)
def test_map_that_only_resembles_bytes_is_a_map(document: Value) -> None:
    """One key, and text under it: nothing else stands for bytes."""
    assert from_json(document, "it") == document


@pytest.mark.parametrize("text", ["aGk", "a Gk=", "\u00fc", "aGk=="])
def test_bytes_that_are_no_base64_are_refused(text: str) -> None:
    """Rather than being stored as a map, or as other bytes."""
    with pytest.raises(InvalidArgumentError, match=r"argument 1 holds.* no base64"):
        from_json([{"base64": text}], "argument 1")


def test_nesting_that_no_object_could_store_is_refused() -> None:
    """Before it is a recursion that ends badly."""
    document: Value = "leaf"
    for _ in range(DEPTH_MAX - 1):
        document = [document]

    assert from_json(document, "it") == document
    with pytest.raises(InvalidArgumentError, match=f"more than {DEPTH_MAX} deep"):
        from_json([document], "it")
