"""The model of regions against distances that anyone can look up."""

from collections import Counter
from random import Random

import pytest

from cluster.scale.regions import (
    Region,
    great_circle_km,
    load_regions,
    place_nodes,
    round_trip_ms,
)

REGIONS = {region.name: region for region in load_regions()}


def test_there_are_nineteen_regions() -> None:
    """Each once, by name."""
    assert len(load_regions()) == len(REGIONS) == 19
    assert list(REGIONS) == sorted(REGIONS)
    assert all(region.weight > 0 for region in load_regions())


@pytest.mark.parametrize(
    ("one", "other", "km", "round_trip"),
    [
        # Great circles between the airports, and 4 ms + km / 75 by hand.
        pytest.param("fra", "lhr", 654, 12, id="Frankfurt to London"),
        pytest.param("iad", "nrt", 10_840, 148, id="Washington to Tokyo"),
        pytest.param("lhr", "syd", 17_020, 230, id="London to Sydney"),
        pytest.param("gru", "nrt", 18_500, 250, id="the farthest pair"),
    ],
)
def test_distance_is_that_of_the_globe(
    one: str, other: str, km: int, round_trip: int
) -> None:
    """To one in a hundred, and the same in both directions."""
    there, back = (REGIONS[one], REGIONS[other]), (REGIONS[other], REGIONS[one])

    assert great_circle_km(*there) == pytest.approx(km, rel=0.01)
    assert round_trip_ms(*there) == round_trip_ms(*back) == round_trip


def test_farthest_pair_is_250_ms_apart() -> None:
    """So no cluster with both can be sure of less than 144 ms."""
    longest = max(round_trip_ms(a, b) for a in load_regions() for b in load_regions())

    assert longest == 250


def test_quarter_of_the_equator_is_ten_thousand_km() -> None:
    """As the metre was once defined."""
    here, there = Region("here", 0, 0, 1), Region("there", 0, 90, 1)

    assert great_circle_km(here, there) == pytest.approx(10_008, abs=1)
    assert round_trip_ms(here, there) == 4 + 133
    assert round_trip_ms(here, here) == 4


def test_nodes_are_placed_by_weight() -> None:
    """A region's share of nodes is its share of weights, give or take chance."""
    weights = sum(region.weight for region in load_regions())
    places = Counter(place_nodes(100_000, load_regions(), Random(1)))

    for region in load_regions():
        expected = 100_000 * region.weight / weights
        assert abs(places[region] - expected) < 5 * expected**0.5
