"""The data set of the demonstration."""

import json

from cluster.demo.cities import load_cities
from kvnode.limits import KEY_BYTES_MAX, METADATA_BYTES_MAX


def test_cities_are_many_distinct_and_within_the_limits() -> None:
    """Every one can be stored, and Tokyo is where the docs say."""
    cities = {city.key: city for city in load_cities()}

    assert len(cities) > 30_000
    assert json.loads(cities["cities/JP/1850147"].value)["name"] == "Tokyo"
    assert max(len(key.encode()) for key in cities) <= KEY_BYTES_MAX
    for city in cities.values():
        assert len(json.dumps(city.metadata)) <= METADATA_BYTES_MAX
