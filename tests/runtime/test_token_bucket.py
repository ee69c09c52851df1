"""A token bucket bounds a rate, whatever the sizes and the pauses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.runtime.token_bucket import BURST_SECONDS, TokenBucket

RATE = 1000


def test_small_burst_passes_at_once_and_then_it_is_paced() -> None:
    """Tokens of the quiet time are spent first."""
    bucket = TokenBucket(RATE)
    burst = round(RATE * BURST_SECONDS)

    assert bucket.take(burst, 10.0) == 0
    assert bucket.take(100, 10.0) == pytest.approx(0.1)


def test_quiet_time_earns_no_more_than_a_burst() -> None:
    """A day of silence is no licence to flood a link."""
    bucket = TokenBucket(RATE)
    bucket.take(0, 0.0)

    assert bucket.take(RATE, 86_400.0) == pytest.approx(1 - BURST_SECONDS)


@given(
    sends=st.lists(
        st.tuples(st.integers(0, 5000), st.floats(0, 3, allow_nan=False)), max_size=40
    )
)
def test_who_pauses_as_told_never_exceeds_rate_and_burst(
    sends: list[tuple[int, float]],
) -> None:
    """Of all that was sent, but the last thing: its pause is still to come."""
    bucket, now, sent = TokenBucket(RATE), 0.0, 0
    for size, idle in sends:
        assert sent <= RATE * (now + BURST_SECONDS) + 1e-6
        pause = bucket.take(size, now)
        assert pause >= 0
        sent += size
        now += pause + idle
