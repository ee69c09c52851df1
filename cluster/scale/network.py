"""
The network of a simulation: how long messages take, and which are lost.

A flight takes half a round trip, and up to 15 % more.  Every message is lost with the
same probability, whatever was lost before; nothing is repeated underneath.
"""

from collections.abc import Sequence
from random import Random

from cluster.scale.regions import Region, round_trip_ms

JITTER = 0.15

LONG_HAUL_MS = 150
"""Round trips above this are between continents: bytes there cost most."""


class Network:
    """Flights between nodes, named by their number."""

    def __init__(self, places: Sequence[Region], loss: float, rng: Random) -> None:
        regions = sorted(set(places))
        self._region = [regions.index(place) for place in places]
        self._round_trips = [
            [round_trip_ms(one, other) for other in regions] for one in regions
        ]
        self._loss = loss
        self._rng = rng

    def flight_ms(self, sender: int, receiver: int) -> float | None:
        """Return how long a message takes now; None if it is lost."""
        if self._loss and self._rng.random() < self._loss:
            return None
        return self._flight(sender, receiver)

    def measured_ms(self, one: int, other: int) -> int:
        """Return a round trip as a node measures it, there and back with jitter."""
        return round(self._flight(one, other) + self._flight(other, one))

    def is_long_haul(self, one: int, other: int) -> bool:
        """Tell whether two nodes are on different continents."""
        return self._round_trip(one, other) > LONG_HAUL_MS

    def _round_trip(self, one: int, other: int) -> int:
        return self._round_trips[self._region[one]][self._region[other]]

    def _flight(self, sender: int, receiver: int) -> float:
        half = self._round_trip(sender, receiver) / 2
        return half * (1 + JITTER * self._rng.random())
