"""A node's clock is wrong exactly as it was told to be."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.limits import CLOCK_BEND_MILLIS_MAX, CLOCK_BEND_PPM_MAX
from kvnode.runtime.clock import NodeClock, steady_millis
from kvnode.types import Millis

NOW = Millis(1_700_000_000_000)

offsets = st.integers(-CLOCK_BEND_MILLIS_MAX, CLOCK_BEND_MILLIS_MAX)
drifts = st.integers(-CLOCK_BEND_PPM_MAX, CLOCK_BEND_PPM_MAX)


class TrueTime:
    """True time, moved by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> Millis:
        """Return it."""
        return self.now


def test_clock_that_was_never_bent_is_true() -> None:
    """The common case: no fault injection."""
    true = TrueTime()
    clock = NodeClock(true)
    true.now = Millis(NOW + 12_345)

    assert clock() == NOW + 12_345


@given(offset=offsets, drift=drifts, passed=st.integers(0, 10**9))
def test_clock_is_off_by_offset_and_by_what_drift_gained(
    offset: int, drift: int, passed: int
) -> None:
    """Whatever was gained before the last bend counts no more."""
    true = TrueTime()
    clock = NodeClock(true)
    clock.bend(offset_ms=-77, drift_ppm=5_000)
    true.now = Millis(NOW + 1_000_000)
    clock.bend(offset_ms=offset, drift_ppm=drift)
    true.now = Millis(true.now + passed)

    assert clock() == true.now + offset + passed * drift // 1_000_000


@given(drift=drifts, passed=st.lists(st.integers(0, 10**6), max_size=20))
def test_clock_that_only_drifts_never_goes_back(drift: int, passed: list[int]) -> None:
    """At worst it stands still."""
    true = TrueTime()
    clock = NodeClock(true)
    clock.bend(offset_ms=0, drift_ppm=drift)
    shown = [clock()]
    for step in passed:
        true.now = Millis(true.now + step)
        shown.append(clock())

    assert shown == sorted(shown)


@pytest.mark.parametrize(
    ("offset_ms", "drift_ppm", "said"),
    [
        (CLOCK_BEND_MILLIS_MAX + 1, 0, "offset_ms is 315360000001"),
        (-CLOCK_BEND_MILLIS_MAX - 1, 0, "offset_ms is -315360000001"),
        (0, CLOCK_BEND_PPM_MAX + 1, "drift_ppm is 1000001"),
        (0, -CLOCK_BEND_PPM_MAX - 1, "drift_ppm is -1000001"),
    ],
)
def test_bend_out_of_range_is_refused_and_changes_nothing(
    offset_ms: int, drift_ppm: int, said: str
) -> None:
    """A timestamp has 48 bits of milliseconds."""
    clock = NodeClock(TrueTime())
    with pytest.raises(ValueError, match=said):
        clock.bend(offset_ms=offset_ms, drift_ppm=drift_ppm)
    assert clock() == NOW


def test_clock_of_long_ago_stops_at_the_epoch() -> None:
    """A timestamp is never negative."""
    clock = NodeClock(lambda: Millis(1000))
    clock.bend(offset_ms=-5000, drift_ppm=0)
    assert clock() == 0


def test_reading_shows_a_bend_by_how_far_the_two_clocks_are_apart() -> None:
    """C1: a node's own jump is seen against what cannot be set."""
    true = TrueTime()
    clock = NodeClock(true, steady_time=lambda: Millis(true.now - NOW))
    before = clock.read()
    true.now = Millis(NOW + 500)
    clock.bend(offset_ms=3_600_000, drift_ppm=0)

    after = clock.read()

    assert before == (NOW, 0)
    assert after == (NOW + 3_600_500, 500)
    assert after.apart - before.apart == 3_600_000


def test_steady_clock_of_the_machine_does_not_go_back() -> None:
    """It is in ms, and agrees with what an interval takes by another clock."""
    before = time.monotonic()
    readings = [steady_millis() for _ in range(1000)]
    took = 1000 * (time.monotonic() - before)

    assert readings == sorted(readings)
    assert readings[-1] - readings[0] <= took + 1
