"""The fit finds what made the points, and never a negative cost."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cluster.scale.fit import fit

COUNTS = (0, 10, 50, 100)

coefficients = st.floats(0, 1e6).filter(lambda value: value == 0 or value > 1e-3)
noise = st.floats(-1e3, 1e3)


def rows() -> list[tuple[float, ...]]:
    """A constant, a linear and a square term, at the counts that are measured."""
    return [(1.0, float(n), float(n * n)) for n in COUNTS]


def error(values: list[float], at: tuple[float, ...]) -> float:
    """The sum of squares that a fit makes small."""
    predicted = [sum(c * x for c, x in zip(at, row, strict=True)) for row in rows()]
    return sum((a - b) ** 2 for a, b in zip(predicted, values, strict=True))


@given(made_of=st.tuples(coefficients, coefficients, coefficients))
def test_exact_points_give_back_what_made_them(made_of: tuple[float, ...]) -> None:
    """Without noise there is nothing to smooth."""
    values = [sum(c * x for c, x in zip(made_of, row, strict=True)) for row in rows()]

    found = fit(rows(), values)

    for own, other in zip(found, made_of, strict=True):
        assert own == pytest.approx(other, rel=1e-5, abs=1e-5 * max(made_of) + 1e-9)


@given(values=st.lists(noise, min_size=4, max_size=4), step=st.integers(0, 2))
def test_no_cost_is_negative_and_no_step_aside_fits_better(
    values: list[float], step: int
) -> None:
    """It is the best among those that are allowed, as far as neighbours tell."""
    found = fit(rows(), values)

    assert min(found) >= 0
    at = error(values, found)
    for change in (0.999, 1.001):
        beside = [c * change if i == step else c for i, c in enumerate(found)]
        assert at <= error(values, tuple(beside)) * (1 + 1e-9) + 1e-9


@given(values=st.lists(st.floats(0, 1e3), min_size=4, max_size=4))
def test_terms_that_are_alike_do_not_break_it(values: list[float]) -> None:
    """One of the two takes all; their sum is what counts."""
    assume(any(values))
    alike = [(1.0, float(n), 2.0 * n) for n in COUNTS]

    constant, once, twice = fit(alike, values)
    alone = fit([row[:2] for row in alike], values)

    assert (constant, once + 2 * twice) == pytest.approx(alone, rel=1e-6, abs=1e-6)


def test_points_without_terms_are_refused() -> None:
    """There is nothing to find."""
    with pytest.raises(ValueError, match="1 to 8 terms"):
        fit([], [])
    with pytest.raises(ValueError, match="the same number"):
        fit([(1.0,), (1.0, 2.0)], [1.0, 2.0])
