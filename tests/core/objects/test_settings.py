"""How long leaders and replicas hold a lease, by clocks that show whole ms."""

from fractions import Fraction
from itertools import product
from math import floor

import pytest

from kvnode.core.objects.settings import MILLION, ShardSettings
from kvnode.types import Millis

PHASES = tuple(Fraction(part, 1000) for part in (0, 1, 500, 999))


@pytest.mark.parametrize("lease", [1, 2, 100, 600, 999])
@pytest.mark.parametrize("error_ppm", [0, 100, 10_000, 200_000])
def test_leader_lets_go_of_a_lease_before_those_who_gave_it(
    lease: int, error_ppm: int
) -> None:
    """Whatever part of a millisecond each clock is in, and without any flight."""
    settings = ShardSettings(
        lease=Millis(lease), lease_max=Millis(lease), clock_error_ppm=error_ppm
    )
    fast = 1 + Fraction(error_ppm, MILLION)
    for leaders, replicas in product(PHASES, PHASES):
        relied_on = floor(leaders) + settings.lease_held - leaders
        promised = (floor(replicas) + lease - replicas) / fast

        assert settings.lease_held == 0 or relied_on <= promised


def test_most_of_a_lease_is_relied_on() -> None:
    """Else it would be of no use."""
    assert ShardSettings().lease_held == 593
