"""How long a suspect has: bounds and the effect of confirmations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.membership.suspicion import (
    Suspicion,
    shortest_suspicion,
    suspicion_timeout,
)
from kvnode.types import Millis, ReplicaId
from tests.core.membership.updates import A, B, C, D

counts = st.integers(0, 20)
bounds = st.tuples(st.integers(1, 100_000), st.integers(0, 1_000_000)).map(
    lambda pair: (Millis(pair[0]), Millis(pair[0] + pair[1]))
)


@given(confirmations=counts, needed=counts, span=bounds)
def test_timeout_stays_within_its_bounds(
    confirmations: int, needed: int, span: tuple[Millis, Millis]
) -> None:
    """Rounding does not push it out."""
    shortest, longest = span

    timeout = suspicion_timeout(
        confirmations=confirmations,
        confirmations_needed=needed,
        shortest=shortest,
        longest=longest,
    )

    assert shortest <= timeout <= longest


@given(confirmations=counts, needed=counts, span=bounds)
def test_confirmation_never_makes_a_timeout_longer(
    confirmations: int, needed: int, span: tuple[Millis, Millis]
) -> None:
    """More doubt in the suspect, less in oneself."""
    shortest, longest = span

    def timeout(confirmed: int) -> Millis:
        return suspicion_timeout(
            confirmations=confirmed,
            confirmations_needed=needed,
            shortest=shortest,
            longest=longest,
        )

    assert timeout(confirmations + 1) <= timeout(confirmations)


def test_timeout_falls_from_longest_to_shortest_with_the_logarithm() -> None:
    """Lifeguard's formula with K = 3: half of the fall at the first one."""
    timeouts = [
        suspicion_timeout(
            confirmations=confirmations,
            confirmations_needed=3,
            shortest=Millis(1000),
            longest=Millis(5000),
        )
        for confirmations in range(5)
    ]

    assert timeouts == [5000, 3000, 1830, 1000, 1000]


@pytest.mark.parametrize(
    ("confirmations", "needed", "shortest", "longest"),
    [(-1, 3, 1, 2), (0, -1, 1, 2), (0, 3, 0, 2), (0, 3, 3, 2)],
)
def test_timeout_refuses_what_is_out_of_range(
    confirmations: int, needed: int, shortest: int, longest: int
) -> None:
    """A negative span would be a verdict without a hearing."""
    with pytest.raises(ValueError, match=r"must be >= 0|need 0 <"):
        suspicion_timeout(
            confirmations=confirmations,
            confirmations_needed=needed,
            shortest=Millis(shortest),
            longest=Millis(longest),
        )


def test_shortest_suspicion_grows_with_the_logarithm_of_the_members() -> None:
    """And is the same for clusters of up to ten."""
    spans = [
        shortest_suspicion(members=n, multiplier=4, probe_interval=Millis(1000))
        for n in (1, 2, 10, 100, 1000)
    ]

    assert spans == [4000, 4000, 4000, 8000, 12_000]


def suspicion() -> Suspicion:
    """Return A's suspicion, which two others can confirm."""
    return Suspicion(Millis(100), A, 2, Millis(1000), Millis(5000))


def test_only_others_than_the_first_accuser_confirm_and_each_once() -> None:
    """An accuser heard over several roads is one accuser."""
    held = suspicion()

    assert not held.confirm(A)
    assert held.deadline == 5100
    assert held.confirm(B)
    first = held.deadline
    assert not held.confirm(B)
    assert held.deadline == first < 5100


def test_suspicion_with_all_its_confirmations_takes_no_more() -> None:
    """What is no news is not passed on: a suspicion costs bounded messages."""
    held = suspicion()

    assert [held.confirm(accuser) for accuser in (B, C, D)] == [True, True, False]
    assert held.deadline == 1100


@given(accusers=st.lists(st.integers(1, 5).map(ReplicaId)))
def test_deadline_never_gets_later(accusers: list[ReplicaId]) -> None:
    """Whoever confirms, in whatever order."""
    held = suspicion()

    deadlines = [held.deadline]
    for accuser in accusers:
        held.confirm(accuser)
        deadlines.append(held.deadline)

    assert deadlines == sorted(deadlines, reverse=True)
