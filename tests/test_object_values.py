"""What objects store and pass on comes back as it was, or is refused."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.errors import CorruptRecordError, InvalidArgumentError
from kvnode.object_values import Value, decode_value, encode_value

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=10),
    st.binary(max_size=10),
    st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)),  # noqa: DTZ001 -- Hypothesis adds it
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner)
    ),
    max_leaves=10,
)


@given(VALUES)
def test_value_comes_back_as_it_was(value: Value) -> None:
    """Type and all."""
    found = decode_value(encode_value(value, "it"))

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("value", [object(), [len], {"x": 1j}, range(3)])
def test_other_types_are_refused_by_name(value: Value) -> None:
    """With what can be stored."""
    with pytest.raises(InvalidArgumentError, match="can be stored"):
        encode_value(value, "it")


def test_time_without_a_zone_is_refused() -> None:
    """It would be another time elsewhere."""
    with pytest.raises(InvalidArgumentError, match="time zone"):
        encode_value(datetime(2026, 1, 1), "it")  # noqa: DTZ001 -- that is the point


def test_what_is_too_large_or_too_deep_is_refused() -> None:
    """With the limit."""
    with pytest.raises(InvalidArgumentError, match="at most 131072"):
        encode_value(bytes(200_000), "it")
    nested: Value = []
    for _ in range(100):
        nested = [nested]
    with pytest.raises(InvalidArgumentError, match="more than 64 deep"):
        encode_value(nested, "it")


@given(st.binary(max_size=30))
def test_other_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but our own error comes out."""
    try:
        decode_value(data)
    except CorruptRecordError as error:
        assert "damaged" in str(error)  # noqa: PT017 -- either will do


@pytest.mark.parametrize(
    "tag", [4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 260, 261, 999, 1004, 43000]
)
def test_bytes_that_say_something_else_are_refused(tag: int) -> None:
    """Each of these would be made into an object of a type that no value has."""
    head = b"\xd9" + tag.to_bytes(2)
    for body in (b"\x80", b"\x61a", b"\x82\x01\x02", b"\x00"):
        with pytest.raises(CorruptRecordError):
            decode_value(head + body)


def test_few_bytes_cannot_say_more_than_fits_anywhere() -> None:
    """Lists of lists twice each, by reference: a walk over them would never end."""
    bomb = b"\xd8\x1c\x80"
    for depth in range(30):
        bomb = b"\xd8\x1c\x82" + bomb + b"\xd8\x1d\x18" + bytes((30 - depth,))
    with pytest.raises(CorruptRecordError):
        decode_value(bomb)


def test_text_that_is_none_is_refused() -> None:
    """Half of a pair of surrogates, as in names of files."""
    with pytest.raises(InvalidArgumentError, match="text that is none"):
        encode_value(["\udc80"], "it")
