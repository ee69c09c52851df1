"""
Least squares with coefficients that are not negative, for a handful of points.

A cost cannot be negative, and a fit of noisy points can; so of all choices of
terms, the best fit whose coefficients are all positive is taken, and the other
terms get 0.  With three terms that are seven small systems of equations.

Reference: Lawson & Hanson, 1974.  Solving least squares problems, chapter 23.
"""

from collections.abc import Sequence
from itertools import combinations

TERMS_MAX = 8
"""All choices of terms are tried: 255 of them at most."""

SINGULAR = 1e-12
"""A pivot below this share of its row's largest says that terms are alike."""

Row = Sequence[float]


def fit(rows: Sequence[Row], values: Sequence[float]) -> tuple[float, ...]:
    """
    Return the coefficients c >= 0 that bring rows x c nearest to *values*.

    Args:
        rows: For each point, the value of each term.
        values: What was measured at each point.

    Raises:
        ValueError: No points, too many terms, or rows of different lengths.
    """
    count = len(rows[0]) if rows else 0
    if not 1 <= count <= TERMS_MAX or {len(row) for row in rows} != {count}:
        msg = f"points need 1 to {TERMS_MAX} terms each, and the same number"
        raise ValueError(msg)
    best = (sum(value * value for value in values), (0.0,) * count)
    for size in range(1, count + 1):
        for chosen in combinations(range(count), size):
            some = _solve([[row[term] for term in chosen] for row in rows], values)
            if some is None or min(some) < 0:
                continue
            full = [0.0] * count
            for term, coefficient in zip(chosen, some, strict=True):
                full[term] = coefficient
            best = min(best, (_error(rows, values, full), tuple(full)))
    return best[1]


def _error(rows: Sequence[Row], values: Sequence[float], at: Row) -> float:
    return sum(
        (value - sum(c * x for c, x in zip(at, row, strict=True))) ** 2
        for row, value in zip(rows, values, strict=True)
    )


def _solve(rows: Sequence[Row], values: Sequence[float]) -> list[float] | None:
    """Solve the normal equations by elimination; None if terms are alike."""
    size = len(rows[0])
    system = [
        [sum(row[i] * row[j] for row in rows) for j in range(size)]
        + [sum(row[i] * value for row, value in zip(rows, values, strict=True))]
        for i in range(size)
    ]
    scales = [max(map(abs, line[:size])) for line in system]
    for at in range(size):
        pivot = max(range(at, size), key=lambda line: abs(system[line][at]))
        if abs(system[pivot][at]) <= SINGULAR * max(scales[pivot], 1e-300):
            return None
        system[at], system[pivot] = system[pivot], system[at]
        scales[at], scales[pivot] = scales[pivot], scales[at]
        for line in range(size):
            if line != at:
                share = system[line][at] / system[at][at]
                system[line] = [
                    own - share * pivotal
                    for own, pivotal in zip(system[line], system[at], strict=True)
                ]
    return [system[at][size] / system[at][at] for at in range(size)]
