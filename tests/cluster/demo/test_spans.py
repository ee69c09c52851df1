"""Percentiles of spans."""

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.demo.spans import Spans


@given(millis=st.lists(st.integers(0, 10_000), min_size=1, max_size=300))
def test_percentiles_have_that_share_of_values_at_or_below(millis: list[int]) -> None:
    """The definition of nearest rank, counted out."""
    spans = Spans.of([value / 1000 for value in millis])

    for percent, found in ((50, spans.p50), (99, spans.p99), (100, spans.longest)):
        needed = ceil(len(millis) * percent / 100)
        at_or_below = sum(value <= found + 1e-6 for value in millis)
        below = sum(value < found - 1e-6 for value in millis)
        assert below < needed <= at_or_below


def test_nothing_measured_has_no_percentiles() -> None:
    """A table must not show zeros for what was never seen."""
    with pytest.raises(ValueError, match="nothing"):
        Spans.of([])
