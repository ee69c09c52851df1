"""Values and versions of histories survive the store."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsen_like.adapters.kvnode_values import (
    decode,
    encode,
    member_order,
    micro_operation,
    ranked,
)
from jepsen_like.history.operation import Value
from kvnode.types import HlcTimestamp

scalars = st.none() | st.booleans() | st.integers() | st.text()
values: st.SearchStrategy[Value] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6
)
timestamps = st.integers(0, 2**64 - 1).map(HlcTimestamp)


@given(value=values)
def test_value_comes_back_as_it_was(value: Value) -> None:
    """Tuples stay tuples, so that what is read can be looked up."""
    assert decode(encode(value)) == value


def test_document_is_read_as_pairs_in_order() -> None:
    """The order in which Yjs names its roots means nothing."""
    stored = json.dumps({"b": [1], "a": {"c": None}}).encode()
    assert decode(stored) == (("a", (("c", None),)), ("b", (1,)))


@given(one=timestamps, other=timestamps)
def test_versions_rank_as_their_timestamps(
    one: HlcTimestamp, other: HlcTimestamp
) -> None:
    """As texts: checkers know nothing of what is in them."""
    if one < other:
        assert ranked(one, "9@ff") < ranked(other, "1@00")


@given(members=st.lists(st.integers() | st.text(), unique=True))
def test_members_have_one_order(members: list[int | str]) -> None:
    """Whatever order the store gave them in, and though 1 < "a" is no order."""
    ordered = sorted(members, key=member_order)
    members.reverse()
    assert sorted(members, key=member_order) == ordered
    numbers = [member for member in ordered if isinstance(member, int)]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("step", [None, ("x", "k", 1), ("r", "k"), ("w", None, 1), "r"])
def test_step_that_is_none_is_refused(step: Value) -> None:
    """A misspelt step must not become a read."""
    with pytest.raises(ValueError, match="a step is"):
        micro_operation(step)
