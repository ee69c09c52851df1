"""Histories as columns, and rates and latencies over time."""

from hypothesis import given
from hypothesis import strategies as st

from jepsen_like.history import FOREVER, Header, History, Operation, Outcome
from jepsen_like.report.columns import TEXT_LENGTH_MAX, Scale, columns, shown
from jepsen_like.report.series import latencies, quantile, throughput

MS = 1_000_000


def operation(called: int, returned: int, outcome: Outcome = Outcome.OK) -> Operation:
    """Return a write of process 0."""
    return Operation(0, "write", "k", 1, None, called, returned, outcome)


def test_times_are_shown_in_milliseconds_from_the_first_call() -> None:
    """A recorder's nanoseconds since some boot mean nothing to a reader."""
    history = History.of([operation(5 * MS, 7 * MS), operation(9 * MS, 10 * MS)])

    table = columns(history, Scale.of(history), ())

    assert table["called"] == [0, 4]
    assert table["returned"] == [2, 5]


def test_operation_that_never_ended_is_shown_to_the_end() -> None:
    """FOREVER has no place on an axis."""
    pending = operation(1 * MS, FOREVER, Outcome.INFO)
    history = History.of([pending, operation(2 * MS, 6 * MS)])

    table = columns(history, Scale.of(history), ())

    assert table["returned"] == [5, 5]


def test_positions_in_a_log_are_shown_as_they_are() -> None:
    """A log without times has an order all the same."""
    history = History.of([operation(0, 3)], header=Header(timed=False))

    assert columns(history, Scale.of(history), ())["returned"] == [3]


def test_witness_is_marked_and_nothing_else() -> None:
    """The eye should find the contradiction at once."""
    first, second = operation(0, 1), operation(2, 3)
    history = History.of([first, second])

    assert columns(history, Scale.of(history), [second])["marked"] == [0, 1]


def test_long_values_are_cut() -> None:
    """A page is no dump of the store."""
    text = shown(tuple("x" * 30 for _ in range(30)))

    assert len(text) == TEXT_LENGTH_MAX
    assert text.endswith("…")


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(1, 10**9)), min_size=1))
def test_throughput_counts_every_operation_once(spans: list[tuple[int, int]]) -> None:
    """However the times fall into slices."""
    history = History.of(operation(called, called + took) for called, took in spans)
    scale = Scale.of(history)
    length = max(1, -(-(scale.end - scale.begin + 1) // 120))

    rates = throughput(history, scale)

    counted = sum(rates.ok) * length / 1e9
    assert abs(counted - len(spans)) < 0.01 * len(spans) + 0.01
    assert not any(rates.fail)
    assert not any(rates.info)


def test_latency_is_of_operations_that_ended_well() -> None:
    """A pending one has none."""
    history = History.of(
        [operation(0, 3 * MS), operation(4 * MS, FOREVER, Outcome.INFO)]
    )

    (latency,) = latencies(history, Scale.of(history))

    assert (latency.f, latency.p50, latency.p99) == ("write", [3.0], [3.0])


@given(st.lists(st.integers(0, 10**9), min_size=1), st.sampled_from([0.5, 0.99]))
def test_quantile_is_the_smallest_value_not_exceeded_by_the_share(
    values: list[int], share: float
) -> None:
    """By definition, counted."""
    found = quantile(values, share)

    place = [round(value / MS, 4) for value in values]
    assert found in place
    assert sum(value <= found for value in place) >= share * len(values)
    assert sum(value < found for value in place) < share * len(values)
