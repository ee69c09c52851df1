"""Budgets: they are spent when a limit is met, stay spent, and say which limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsen_like.checkers.budget import CLOCK_INTERVAL, Budget


class FakeClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.looks = 0

    def __call__(self) -> float:
        """Return the time, and count that somebody asked."""
        self.looks += 1
        return self.now


@given(limit=st.integers(1, 50), steps=st.lists(st.integers(0, 20), max_size=20))
def test_budget_of_states_is_spent_by_the_first_state_too_many(
    limit: int, steps: list[int]
) -> None:
    """It goes on exactly as long as no more than the limit was visited."""
    budget = Budget(seconds=None, states=limit)
    total = 0

    for step in steps:
        total += step
        goes_on = budget.spend(step)

        assert goes_on == (total <= limit)
        assert budget.spent == (total > limit)
        assert bool(budget.reason) == budget.spent


def test_budget_of_time_is_spent_after_the_deadline() -> None:
    """The reason says how long was waited."""
    clock = FakeClock()
    budget = Budget(seconds=2.5, clock=clock)

    assert budget.spend()
    clock.now += 3
    assert not budget.spend(CLOCK_INTERVAL)

    assert budget.reason == "no answer within 2.5 s"


def test_spent_budget_stays_spent() -> None:
    """Even if the clock should go back."""
    clock = FakeClock()
    budget = Budget(seconds=1, clock=clock)
    clock.now += 2
    budget.spend(CLOCK_INTERVAL)

    clock.now -= 2

    assert not budget.spend()


def test_clock_is_asked_only_once_in_a_while() -> None:
    """Counting must cost next to nothing."""
    clock = FakeClock()
    budget = Budget(seconds=1, clock=clock)

    for _ in range(10 * CLOCK_INTERVAL):
        budget.spend()

    assert clock.looks <= 12


def test_unlimited_budget_never_asks_the_clock() -> None:
    """None means no limit."""
    clock = FakeClock()
    budget = Budget(seconds=None, clock=clock)

    assert budget.spend(10**12)
    assert clock.looks == 0


@pytest.mark.parametrize(("seconds", "states"), [(0, None), (-1, None), (None, 0)])
def test_budget_of_nothing_is_refused(
    seconds: float | None, states: int | None
) -> None:
    """A check could only answer unknown."""
    with pytest.raises(ValueError, match="a budget needs > 0"):
        Budget(seconds=seconds, states=states)
