"""
Nineteen regions of a real edge network, and the distances between them.

Regions, coordinates, weights and the model of time are those that Corrosion's own
broadcast simulator uses (superfly/corrosion, crates/plum-foca, Apache-2.0), so that
figures can be compared.  A round trip between two regions takes 4 ms and 1 ms more
for each 75 km of great circle; within a region, 4 ms.
"""

import csv
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from math import asin, cos, radians, sin, sqrt
from random import Random
from typing import NamedTuple

EARTH_RADIUS_KM = 6371.0
ROUND_TRIP_LEAST_MS = 4
KM_PER_MS = 75.0


class Region(NamedTuple):
    """A place with nodes: *weight* of all weights is its share of them."""

    name: str
    latitude: float
    longitude: float
    weight: int


@cache
def load_regions() -> tuple[Region, ...]:
    """Return all regions, by name."""
    text = files("cluster.scale").joinpath("regions.csv").read_text(encoding="ascii")
    return tuple(
        Region(
            row["region"],
            float(row["latitude"]),
            float(row["longitude"]),
            int(row["weight"]),
        )
        for row in csv.DictReader(text.splitlines())
    )


def great_circle_km(one: Region, other: Region) -> float:
    """Return the distance over the surface (haversine formula)."""
    latitudes = radians(one.latitude), radians(other.latitude)
    north = sin((latitudes[1] - latitudes[0]) / 2)
    east = sin(radians(other.longitude - one.longitude) / 2)
    chord = north**2 + cos(latitudes[0]) * cos(latitudes[1]) * east**2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(chord))


def round_trip_ms(one: Region, other: Region) -> int:
    """Return the round trip between nodes of two regions without any jitter."""
    if one == other:
        return ROUND_TRIP_LEAST_MS
    return int(ROUND_TRIP_LEAST_MS + great_circle_km(one, other) / KM_PER_MS)


def place_nodes(count: int, regions: Sequence[Region], rng: Random) -> list[Region]:
    """Return a region for each of *count* nodes, drawn by weight."""
    return rng.choices(regions, [region.weight for region in regions], k=count)
