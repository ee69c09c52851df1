"""Hybrid timestamps never contradict causality and stay near wall time."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.hybrid_logical_clock import (
    COUNTER_BITS,
    absorb,
    from_millis,
    millis_of,
    restrain,
    tick,
)
from kvnode.types import HlcTimestamp, Millis

# Seventy years around now, in a clock that is 48 bits wide.
walls = st.integers(0, 2**41).map(Millis)
stamps = st.integers(0, 2**57).map(HlcTimestamp)


@given(seen=st.lists(stamps, min_size=1, max_size=4), now=walls)
def test_tick_is_above_all_that_was_seen_and_not_before_now(
    seen: list[HlcTimestamp], now: Millis
) -> None:
    """R1 in one line; and no larger than that needs."""
    stamp = tick(*seen, now=now)

    assert stamp > max(seen)
    assert millis_of(stamp) >= now
    assert stamp in {from_millis(now), max(seen) + 1}


@given(times=st.lists(walls, min_size=2, max_size=20))
def test_stamps_of_one_clock_rise_whatever_the_wall_clock_does(
    times: list[Millis],
) -> None:
    """A wall clock set back costs counter values, not order."""
    last = HlcTimestamp(0)
    for now in times:
        stamp = tick(last, now=now)
        assert stamp > last
        last = stamp

    drift = millis_of(last) - max(times)
    assert 0 <= drift <= 1 + len(times) >> COUNTER_BITS


def test_running_out_of_counter_values_carries_into_the_milliseconds() -> None:
    """The 65,537th stamp of a millisecond is the first of the next."""
    full = HlcTimestamp(from_millis(Millis(7)) + 2**COUNTER_BITS - 1)

    assert tick(full, now=Millis(7)) == from_millis(Millis(8))


@given(now=walls)
def test_millis_round_trip_and_keep_order(now: Millis) -> None:
    """Integer order is timestamp order."""
    assert millis_of(from_millis(now)) == now
    assert from_millis(now) - 1 < from_millis(now) < from_millis(Millis(now + 1))


@given(last=stamps, remote=stamps, now=walls, ahead_max=st.integers(0, 10_000))
def test_absorb_takes_the_larger_unless_it_is_from_too_far_ahead(
    last: HlcTimestamp, remote: HlcTimestamp, now: Millis, ahead_max: int
) -> None:
    """C2: one node's wrong clock does not become everyone's."""
    after = absorb(last, remote, now=now, ahead_max=Millis(ahead_max))

    acceptable = remote <= from_millis(Millis(now + ahead_max))
    assert after == (max(last, remote) if acceptable else last)


def test_the_bound_of_absorb_is_inclusive() -> None:
    """A stamp exactly as far ahead as allowed is not yet too far."""
    bound = from_millis(Millis(600))
    zero = HlcTimestamp(0)

    assert absorb(zero, bound, now=Millis(100), ahead_max=Millis(500)) == bound
    beyond = HlcTimestamp(bound + 1)
    assert absorb(zero, beyond, now=Millis(100), ahead_max=Millis(500)) == zero


@given(last=stamps, now=walls, ahead_max=st.integers(0, 10_000).map(Millis))
def test_restrained_clock_is_near_the_time_and_never_before_it_for_that(
    last: HlcTimestamp, now: Millis, ahead_max: Millis
) -> None:
    """C2: after its clock was set right a node stamps near the time again."""
    restrained = restrain(last, now=now, ahead_max=ahead_max)

    assert restrained <= from_millis(Millis(now + ahead_max))
    assert restrained == last or last > restrained == from_millis(now)
