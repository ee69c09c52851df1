"""Clock filter: the best sample counts until it is contradicted, or old."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.membership.clock_filter import (
    AGE_MAX,
    WINDOW,
    ClockFilter,
    Interval,
    Sample,
    drift,
)
from kvnode.types import Millis


def sample(middle: int, error: int, at: int) -> Sample:
    """Return a sample of a clock *middle* ms ahead, give or take *error*."""
    return Sample(
        Interval(middle - error, middle + error), Millis(at), Millis(2 * error)
    )


@given(
    true=st.integers(-1000, 1000),
    errors=st.lists(
        st.tuples(st.integers(0, 900), st.integers(-100, 100)), min_size=1, max_size=12
    ),
)
def test_best_of_a_constant_clock_holds_the_truth_at_the_least_error(
    true: int, errors: list[tuple[int, int]]
) -> None:
    """Whatever the asymmetry: it is within the error by how samples are made."""
    samples = ClockFilter()
    for n, (error, asymmetry) in enumerate(errors):
        samples.add(sample(true + error * asymmetry // 100, error, n * 100))

    best = samples.best(Millis(len(errors) * 100))

    assert best is not None
    assert best.low <= true <= best.high
    least = min(error for error, _ in errors[-WINDOW:])
    assert best.high - best.low <= 2 * (least + drift(len(errors) * 100))


def test_newer_sample_refutes_older_ones_that_it_does_not_meet() -> None:
    """One of the two clocks was set in between."""
    samples = ClockFilter()
    samples.add(sample(0, 1, 0))
    samples.add(sample(5, 100, 1000))
    assert samples.best(Millis(1000)) == Interval(-2, 2)

    samples.add(sample(3000, 50, 2000))

    assert samples.best(Millis(2000)) == Interval(2950, 3050)


def test_drift_is_no_contradiction() -> None:
    """Clocks may have gone apart by 1 ms a second."""
    samples = ClockFilter()
    samples.add(sample(0, 1, 0))
    samples.add(sample(40, 10, 30_000))

    assert samples.best(Millis(30_000)) == Interval(30, 50)
    samples.add(sample(60, 20, 30_000))
    assert samples.best(Millis(30_000)) == Interval(30, 50)


def test_old_samples_say_nothing() -> None:
    """The peer may have been set right since."""
    samples = ClockFilter()
    samples.add(sample(0, 1, 0))

    assert samples.best(AGE_MAX) is not None
    assert samples.best(Millis(AGE_MAX + 1)) is None


def test_only_the_last_few_samples_are_kept() -> None:
    """As many as NTP keeps."""
    samples = ClockFilter()
    samples.add(sample(0, 1, 0))
    for _ in range(WINDOW):
        samples.add(sample(0, 9, 0))

    assert samples.best(Millis(0)) == Interval(-9, 9)
    assert samples.heard_at == 0


def test_road_takes_what_the_quickest_probe_kept_took() -> None:
    """Waits at either end make a round trip longer, nothing makes it shorter."""
    samples = ClockFilter()
    samples.add(sample(0, 20, 0))
    samples.add(sample(0, 150, 1000))
    assert samples.rtt == 40

    for _ in range(WINDOW):
        samples.add(sample(0, 90, 2000))

    assert samples.rtt == 180, "the road has changed"
