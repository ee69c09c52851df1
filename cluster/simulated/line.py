"""
One direction of the road between two hosts: distance, trouble, and cuts.

Whatever travels is a message of a stream, as over TCP: what is lost is sent
again, what is overtaken waits, so trouble below costs time and breaks nothing,
until there is too much of it.  A cut is silent: nothing arrives any more, and
nobody is told.
"""

from dataclasses import dataclass
from typing import Protocol

from cluster.simulated.chance import Chance

PACKET_BYTES = 1400
RETRANSMISSION_SECONDS_MIN = 0.2
RETRANSMISSION_SECONDS_MAX = 10.0
RETRANSMISSIONS_MAX = 8
"""
Losses of one message after which a connection is given up.  Linux goes on for
15 minutes by default; gRPC's limit for a connection with keepalives is seconds.
"""

REORDERING_SECONDS = 0.05
"""At most how long an overtaken packet is missing."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    What is wrong with a line; all parts nominal = nothing.

    Attributes:
        delay_ms: Added to each message's flight.
        jitter_ms: At most so much more, drawn for each.
        loss: Chance of each packet to be lost, 0 to 1.
        duplication: Chance of each message to be sent twice.
        reordering: Chance of each message to be overtaken.
        bytes_per_second: Bandwidth; 0 = without limit.
        raw: Duplicates and disorder reach the receiver, as from a proxy that
            misbehaves, instead of costing time.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    bytes_per_second: int = 0
    raw: bool = False


NO_TROUBLE = Trouble()


class Traveller(Protocol):
    """What is told when a line opens again."""

    def line_opened(self) -> None:
        """Go on: the line was cut, and is not any more."""


class Line:
    """
    The road from one host to another.

    Attributes:
        cut: Nothing passes.
        trouble: What else is wrong.
        travellers: Who must hear of it when the line opens, in order.
    """

    def __init__(
        self,
        name: str,
        delay_ms: float,
        jitter_ms: float,
        chance: Chance,
    ) -> None:
        self.name = name
        self.cut = False
        self.trouble = NO_TROUBLE
        self.travellers: dict[Traveller, None] = {}
        self._delay = delay_ms / 1000
        self._jitter = jitter_ms / 1000
        self._free_at = 0.0
        self._flight = chance.stream(f"flight {name}")
        self._trouble = chance.stream(f"trouble {name}")

    def open(self) -> None:
        """End a cut; what was held back goes on."""
        if self.cut:
            self.cut = False
            for traveller in tuple(self.travellers):
                traveller.line_opened()

    def packet_seconds(self) -> float:
        """Return how long one small packet is under way now."""
        extra = self._flight.between(0, self._jitter, 0)
        if self.trouble is NO_TROUBLE:
            return self._delay + extra
        jitter = self._trouble.between(0, self.trouble.jitter_ms, 0)
        return self._delay + extra + (self.trouble.delay_ms + jitter) / 1000

    def loses_packet(self) -> bool:
        """Tell whether a packet sent now never arrives."""
        return self.cut or (
            self.trouble is not NO_TROUBLE and self._trouble.happens(self.trouble.loss)
        )

    def flight_seconds(self, size_bytes: int, now: float) -> float | None:
        """
        Return how long a message of a stream takes if it is sent *now*.

        None: it was lost so often that its sender gives the connection up.
        """
        flight = self.packet_seconds()
        trouble = self.trouble
        if trouble is NO_TROUBLE:
            return flight
        draw = self._trouble
        copies = 2 if draw.happens(trouble.duplication) else 1
        if trouble.bytes_per_second:
            began = max(now, self._free_at)
            self._free_at = began + copies * size_bytes / trouble.bytes_per_second
            flight += self._free_at - now
        if not trouble.raw and draw.happens(trouble.reordering):
            flight += draw.between(0, REORDERING_SECONDS, 0)
        arrives = (1 - trouble.loss) ** (1 + size_bytes // PACKET_BYTES)
        pause = RETRANSMISSION_SECONDS_MIN
        for _ in range(RETRANSMISSIONS_MAX):
            if not draw.happens(1 - arrives):
                return flight
            flight += pause
            pause = min(2 * pause, RETRANSMISSION_SECONDS_MAX)
        return None

    def retransmission_seconds(self) -> float:
        """Return when a sender tries again after a cut has ended."""
        return self._flight.between(0, 1.0, RETRANSMISSION_SECONDS_MIN)

    def duplicates(self) -> bool:
        """Tell whether a receiver gets the message now sent twice."""
        return self.trouble.raw and self._trouble.happens(self.trouble.duplication)

    def disorders(self) -> bool:
        """Tell whether a receiver gets the message now sent before its time."""
        return self.trouble.raw and self._trouble.happens(self.trouble.reordering)
